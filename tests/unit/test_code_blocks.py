"""Every code block of README and the documentation is run, or says that it is not."""

import argparse
import copy
import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from layerwise.config.including import included
from layerwise.config.reading import merge, read_config, validate
from layerwise.console.commands import COMMANDS as OF_LAYERWISE
from layerwise.errors import InputError
from tests.code_blocks import RUN_TOGETHER, SHOWN, CodeBlock, blocks, blocks_of
from tests.conftest import REPOSITORY

RUN_HERE = ("yaml", "console", "json")
ALL = blocks()
TO_RUN = [block for block in ALL if not block.not_run and block.language not in SHOWN]


def of(language: str) -> list:
    here = [block for block in TO_RUN if block.language == language and block.page != "docs/extending.md"]
    return [pytest.param(block, id=str(block)) for block in here]


@pytest.fixture(scope="module")
def defaults() -> dict:
    """What every study is merged over, with a model, because a study must have one."""
    config: dict = {"models": {"a-model": {"source": "lab/a-model"}}}
    for name in ("adapters", "prompts", "sources"):
        merge(config, read_config(REPOSITORY / f"config/{name}.yaml"))
    return config


def unaccounted(found: list[CodeBlock]) -> list[str]:
    """The blocks that nothing runs and that do not say so."""
    return [
        f"{block}: a block of {block.language}"
        for block in found
        if not block.not_run
        and block.language not in {*SHOWN, *RUN_HERE}
        and not (block.language in ("python", "rst") and block.page in RUN_TOGETHER)
    ]


def test_every_block_is_run_or_says_that_it_is_not():
    wrong = unaccounted(ALL)
    assert not wrong, "run it in a test, or write <!-- not run: why --> in the line before it: " + "; ".join(wrong)


def test_pages_that_other_tests_run_are_read_by_them():
    for page, test in RUN_TOGETHER.items():
        read = (REPOSITORY / test).read_text() + (REPOSITORY / "tests/extending_page.py").read_text()
        assert page in read, f"{test} does not read {page}"


def test_a_block_without_a_word_is_found():
    page = "```python\nprint(1)\n```\n\n<!-- not run: needs a GPU -->\n```python\nprint(2)\n```\n\n```julia\n1\n```\n"
    assert unaccounted(blocks_of("docs/new.md", page)) == [
        "docs/new.md:1: a block of python",
        "docs/new.md:10: a block of julia",
    ]


def study_of(block: CodeBlock, defaults: dict) -> dict:
    """A study with the keys of a block."""
    code = yaml.safe_load(block.code)
    for key in reversed(block.under.split(".") if block.under else []):
        code = {key: code}
    config = copy.deepcopy(defaults)
    for name in code.get("include", []):
        for file in included([REPOSITORY / "config" / name], REPOSITORY / "config"):
            merge(config, read_config(file))
    merge(config, code)
    return config


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_part_of_a_study(block, defaults):
    """Every key exists, and every value is of its type. What names go with which data only a whole study shows."""
    validate(study_of(block, defaults))


def test_a_wrong_key_is_refused(defaults):
    with pytest.raises(InputError, match="dtyp"):
        validate(study_of(CodeBlock("page", 1, "yaml", "m: {source: a/b, dtyp: float16}", under="models"), defaults))


@pytest.mark.parametrize("block", of("json"))
def test_json_can_be_read(block):
    json.loads(block.code)


COMMANDS = [
    pytest.param(command, id=f"{block}: {command}")
    for block in TO_RUN
    if block.language == "console"
    for command in block.commands
]


@pytest.fixture(scope="module")
def made() -> set[str]:
    """The targets of make."""
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """The rules that can be asked for."""
    rules = [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]
    return {name for path in rules for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}


@pytest.fixture(scope="module")
def snakemake_parser() -> argparse.ArgumentParser:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def test_every_block_of_commands_has_some():
    assert [str(block) for block in TO_RUN if block.language == "console" and not block.commands] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_name_what_there_is(command, made, targets, snakemake_parser):
    """Targets of make, rules and options of Snakemake, programs, subcommands, files of pytest."""
    program, *arguments = shlex.split(command)
    if program == "make":
        assert {each for each in arguments if "=" not in each} <= made
    elif program == "snakemake":
        asked = snakemake_parser.parse_args(arguments)
        assert set(asked.targets) <= targets
        assert not asked.workflow_profile or (REPOSITORY / asked.workflow_profile / "config.yaml").is_file()
    elif program in ("python", "pytest"):
        files = [each.partition("::")[0] for each in arguments if each.endswith(".py") or "::" in each]
        assert files
        assert all((REPOSITORY / file).is_file() for file in files)
    elif program == "layerwise":
        assert arguments[0] in OF_LAYERWISE
    else:
        pytest.fail(f"nothing checks {program}; write <!-- not run: why --> in the line before the block")


STUDY_FILES = {"my-study.yaml": "config/config.yaml", "study.yaml": "config/config.yaml"}


def runnable() -> list:
    """Each distinct command of Snakemake and of a program, about the demo's study where it names one's own."""
    found: dict[str, str] = {}
    for param in COMMANDS:
        words = shlex.split(param.values[0])
        words = [STUDY_FILES.get(word, word) for word in words]
        if words[0] == "snakemake":
            words = [word for word in words if word != "-n"] + ["-n", "--quiet"]
            words = [sys.executable, "-m", *words]
        elif words[0] == "python":
            words[0] = sys.executable
        else:
            continue
        found.setdefault(shlex.join(words), param.id)
    # A plan takes seconds. Two commands of README are run in `make test-slow`, the others before releases.
    often = ("estimate_cost.py --configfile my-study.yaml", "my-study.yaml -n")
    marks = [
        pytest.mark.slow if name.startswith("README.md") and name.endswith(often) else pytest.mark.whole
        for name in found.values()
    ]
    return [
        pytest.param(shlex.split(command), id=name, marks=mark)
        for mark, (command, name) in zip(marks, found.items(), strict=True)
    ]


@pytest.mark.parametrize("command", runnable())
def test_commands_run(command, tmp_path):
    """Snakemake as a dry run; no network, no cluster."""
    if "snakemake" in command:
        command = [*command, "--directory", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
