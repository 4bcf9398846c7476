"""What counts as a change of code."""

import ast
import re
import sys
from functools import cache

import pytest

from layerwise import code_digest as module
from layerwise.counted_code import counted
from tests.conftest import REPOSITORY

FILES = {
    "run.py": """\"\"\"Program.\"\"\"
import argparse
import logging

import layerwise.settings
from layerwise.a import tool
from layerwise.a.catalogue import KINDS, prepare_all
from layerwise.errors import InputError
from layerwise.jobs.locks import one_at_a_time
from layerwise.states.start_checks import check_all

log = logging.getLogger(__name__)


def main(count: int) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=3, help="how many")
    if count < 0:
        raise InputError(f"there are {count} of them; give more")
    check_all(count)
    prepare_all(count)
    KINDS["one"].prepare(count)
    KINDS["one"](count)
    log.info("now %d", count)
    log.info("and %s", tool.next())
    with one_at_a_time(tool.lock(), "on this cell"):
        print(tool.go())
""",
    "layerwise/__init__.py": "",
    "layerwise/a/__init__.py": "",
    "layerwise/a/catalogue.py": 'KINDS = Catalogue("KIND", {"one": "layerwise.a.one"})\n',
    "layerwise/a/one.py": "KIND = 1\n",
    "layerwise/a/tool.py": "import layerwise.deep\n\n\ndef go():\n    return layerwise.deep.VALUE\n",
    "layerwise/deep.py": 'VALUE = 1\n\n\nclass Thing:\n    """A thing."""\n\n    size = 2\n',
    "layerwise/other.py": "VALUE = 1\n",
    "layerwise/settings.py": '''\
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import BaseModel, Field


class Section(BaseModel):
    """A section."""

    size: int = 3
    """How many."""
    width: int = Field(default=4, ge=1, description="how wide", title="Width", examples=[1, 2])
    depth: Annotated[int, Field(gt=0, description="how deep")] = 5
    name: str = Field(description="what it is called")
    kind: str


@dataclass
class Plain:
    size: int = 3


class Reader(Protocol):
    size: int
''',
    "layerwise/errors.py": "class InputError(Exception): ...\n",
    "layerwise/jobs/locks.py": "def one_at_a_time(file, what): ...\n",
    "layerwise/jobs/__init__.py": "",
    "layerwise/states/__init__.py": "",
    "layerwise/states/start_checks.py": "def check_all(count): ...\n",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of run.py with one file changed."""
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)
    # What is cached here is of no use to other tests.
    monkeypatch.setattr(module, "_parsed", cache(module._parsed.__wrapped__))
    monkeypatch.setattr(module, "code_digest", cache(module.code_digest.__wrapped__))

    def write(**changes):
        for name, text in (FILES | changes.get("files", {})).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        module._parsed.cache_clear()
        module.code_digest.cache_clear()
        return module.code_digest("run.py")

    return write


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "changes"),
    [
        ("layerwise/deep.py", "VALUE = 1", "VALUE = 2", True),
        ("layerwise/deep.py", "size = 2", "size = 3", True),
        ("layerwise/a/tool.py", "return", "return 0 +", True),
        ("layerwise/a/__init__.py", "^", "X = 1\n", True),
        ("run.py", r"tool\.go\(\)", "1", True),
        ("layerwise/deep.py", "VALUE = 1", "VALUE = 1  # the value", False),
        ("layerwise/deep.py", "A thing.", "Another thing.", False),
        ("layerwise/deep.py", '    """A thing."""\n', "", False),
        ("run.py", "Program", "The program", False),
        ("layerwise/other.py", "VALUE = 1", "VALUE = 2", False),
        ("run.py", r"tool\.lock", "tool.other_lock", True),
        (
            "layerwise/a/tool.py",
            "^",
            "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import layerwise.other\n",
            False,
        ),
        # What is said.
        ("run.py", "on this cell", "on the cell", False),
        ("run.py", "there are .count. of them; give more", "too few: {len(str(count))}", False),
        ("run.py", "now %d", "at present %d", False),
        ("run.py", '    log.info."now %d", count.\n', "", False),
        ("run.py", '    log.info."now', '    log.warning("so far")\n    log.info("now', False),
        ("run.py", "how many", "of how many", False),
        ("run.py", "count: int. -> None", "count)", False),
        # What is computed on the way to saying it, and options.
        ("run.py", r"tool\.next\(\)", "tool.last()", True),
        ("run.py", '    log.info."and %s", tool.next...\n', "", True),
        ("run.py", "default=3", "default=4", True),
        # What is refused, and checks before a run.
        ("run.py", "count < 0", "count < 1", False),
        ("run.py", "    check_all.count.\n", "", False),
        ("run.py", "    check_all.count.\n", "    check_all(count)\n    check_all(-count)\n", False),
        ("run.py", "    check_all.count.", "    count = check_all(count)", True),
        ("run.py", "check_all.count.", "check_all(tool.next())", True),
        ("layerwise/states/start_checks.py", "check_all", "check_everything", False),
        ("layerwise/errors.py", "Exception", "ValueError", False),
        # Catalogues: what is listed does not count, what is done with an entry does.
        (
            "layerwise/a/catalogue.py",
            '"one": "layerwise.a.one"',
            '"two": "layerwise.a.two", "one": "layerwise.a.one"',
            False,
        ),
        ("layerwise/a/one.py", "KIND = 1", "KIND = 2", False),
        ("run.py", "    prepare_all.count.\n", "", True),
        ("run.py", '    KINDS."one"..prepare.count.\n', "", True),
        ("run.py", r'    KINDS."one"..count.\n', "", True),
        ("run.py", r'KINDS."one"..count.', 'KINDS["two"](count)', True),
        # Of a section of the config, what describes a key to readers does not count. What it is set to by default, what
        # is accepted and what that is converted to does.
        ("layerwise/settings.py", "How many.", "How many there are.", False),
        ("layerwise/settings.py", '    """How many."""\n', "", False),
        ("layerwise/settings.py", "how wide", "its width", False),
        ("layerwise/settings.py", ', description="how wide", title="Width", examples=.1, 2.', "", False),
        ("layerwise/settings.py", "how deep", "its depth", False),
        ("layerwise/settings.py", ' = Field.description="what it is called".', "", False),
        ("layerwise/settings.py", "kind: str", 'kind: Annotated[str, Field(description="which")]', False),
        ("layerwise/settings.py", "size: int = 3", "size: int = 4", True),
        ("layerwise/settings.py", "size: int = 3", "size: float = 3", True),
        ("layerwise/settings.py", "default=4", "default=5", True),
        ("layerwise/settings.py", "ge=1", "ge=2", True),
        ("layerwise/settings.py", "gt=0", "gt=1", True),
        ("layerwise/settings.py", "gt=0, ", "", True),
        # Nothing is converted by these annotations.
        ("layerwise/settings.py", r"(class Plain:\n    size:) int", r"\1 float", False),
        ("layerwise/settings.py", r"(Protocol.:\n    size:) int", r"\1 float", False),
    ],
)
def test_what_changes_the_digest(digest, file, pattern, replacement, changes):
    before = digest()
    edited = re.sub(pattern, replacement, FILES[file], count=1)
    assert edited != FILES[file]
    assert (digest(files={file: edited}) != before) is changes


def test_this_library():
    """Scripts that run no model do not depend on those that do."""
    files = {str(file.relative_to(module.SCRIPTS)) for file in module._closure([module.SCRIPTS / "fit_probes.py"])}
    assert "layerwise/probes/fits.py" in files
    # What states of a model's parts are called, and nothing that runs one.
    names = {"layerwise/models/__init__.py", "layerwise/models/site_names.py"}
    assert not any(file.startswith(("layerwise/models", "layerwise/figures")) for file in files - names)
    states = {str(file.relative_to(module.SCRIPTS)) for file in module._closure([module.SCRIPTS / "extract_states.py"])}
    assert "layerwise/states/extract.py" in states
    assert not any("adapters/" in file and not file.endswith("__init__.py") for file in states)


def programs():
    """All programs, and the library files that the digest of each covers."""
    for program in module.SCRIPTS.glob("*.py"):
        yield program, {str(file.relative_to(module.SCRIPTS)) for file in module._closure([program])}


def test_what_is_left_out_is_there_and_in_no_digest():
    covered = set().union(*(files for _, files in programs()))
    for name in module.LEFT_OUT:
        path = module.SCRIPTS / name.replace(".", "/")
        files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        names = {str(file.relative_to(module.SCRIPTS)) for file in files if file.is_file()}
        assert names, f"{name}: there is no such module"
        assert names.isdisjoint(covered), f"{name}: {names & covered}"


def test_jobs_compute_nothing():
    """No digest covers the package, so it may call nothing that could make a number."""
    own = {f"layerwise.{name}" for name in ("checksums", "errors")}
    for file in (module.SCRIPTS / "layerwise/jobs").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
                for name in names:
                    of_jobs = name.startswith("layerwise.jobs.")
                    assert of_jobs or name in own or name.split(".")[0] in sys.stdlib_module_names, f"{file}: {name}"


def test_what_makes_the_numbers_is_in_the_digest():
    """Threads and the device too, and how parts are kept and put together."""
    files = dict(programs())
    states = files[module.SCRIPTS / "extract_states.py"]
    for name in ("device", "extract", "job", "plan", "program", "running", "sharing", "work", "writing"):
        assert f"layerwise/states/{name}.py" in states
    flow = files[module.SCRIPTS / "trace_flow.py"]
    for name in ("flow/knockout", "flow/measuring", "flow/results", "models/greedy", "states/device", "states/work"):
        assert f"layerwise/{name}.py" in flow
    # A world has a table of each type of question, in their order. The module that reads questions is given by name.
    assert "layerwise/gqa_types.py" in files[module.SCRIPTS / "make_world.py"]
    readers = module._closure([module.SCRIPTS / "layerwise/datasets/gqa_sources.py"])
    assert module.SCRIPTS / "layerwise/gqa_types.py" in readers


def test_checks_are_called_for_what_they_refuse_and_never_for_what_they_return():
    """What they return would be a number that no digest covers, in a program that a rule runs."""
    rules = "".join(file.read_text() for file in (REPOSITORY / "rules").glob("*.smk"))
    programs = [file for file in module.SCRIPTS.glob("*.py") if file.name in rules]
    assert len(programs) > 10
    for file in module._closure(programs):
        text = file.read_text()
        names = {
            alias.asname or alias.name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layerwise.")
            if node.module.endswith("checks")
            for alias in node.names
        }
        counts = {
            node.id for node in ast.walk(counted(text, str(file), module._LeftOut())) if isinstance(node, ast.Name)
        }
        assert names.isdisjoint(counts), f"{file}: {', '.join(names & counts)}"
