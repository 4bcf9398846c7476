"""What counts as a change of code."""

import re

import pytest

from layerwise import code_digest as module

FILES = {
    "run.py": '"""Program."""\nfrom layerwise.a import tool\n\nprint(tool.go())\n',
    "layerwise/__init__.py": "",
    "layerwise/a/__init__.py": "",
    "layerwise/a/tool.py": "import layerwise.deep\n\n\ndef go():\n    return layerwise.deep.VALUE\n",
    "layerwise/deep.py": 'VALUE = 1\n\n\nclass Thing:\n    """A thing."""\n\n    size = 2\n',
    "layerwise/other.py": "VALUE = 1\n",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of run.py with one file changed."""
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)

    def write(**changes):
        for name, text in (FILES | changes.get("files", {})).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        module._parsed.cache_clear()
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
    assert "layerwise/probes/engine.py" in files
    # What states of a model's parts are called, and nothing that runs one.
    names = {"layerwise/models/__init__.py", "layerwise/models/site_names.py"}
    assert not any(file.startswith(("layerwise/models", "layerwise/figures")) for file in files - names)
    states = {str(file.relative_to(module.SCRIPTS)) for file in module._closure([module.SCRIPTS / "extract_states.py"])}
    assert "layerwise/states/extract.py" in states
    assert not any("adapters/" in file and not file.endswith("__init__.py") for file in states)
