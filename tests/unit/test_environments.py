"""The lock files: exact, without addresses, and the same for pip and conda."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from layerwise.code_digest import SCRIPTS, _closure
from layerwise.errors import InputError
from layerwise.jobs.environment import find_python, make_environment

ROOT = Path(__file__).resolve().parents[2]


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / "envs" / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if re.match(r"[a-z0-9]", line))


def names(file: str) -> set[str]:
    lines = (ROOT / "envs" / file).read_text().splitlines()
    return {re.split(r"[=<>~]", line)[0] for line in lines if re.match(r"[a-z0-9]", line)}


@pytest.mark.parametrize(("conda", "lock"), [("layerwise", "requirements"), ("legacy", "legacy")])
def test_pip_and_conda_agree(conda, lock):
    by_pip = yaml.safe_load((ROOT / f"envs/{conda}.yaml").read_text())["dependencies"][-1]["pip"]
    assert dict(line.split("==") for line in by_pip) == pins(f"{lock}.txt")


def test_the_second_environment_has_the_python_that_its_rule_asks_for():
    python = re.search(r'PYTHON_OF_LEGACY = "([0-9.]+)"', (ROOT / "rules/legacy.smk").read_text())[1]
    assert f"python={python}" in yaml.safe_load((ROOT / "envs/legacy.yaml").read_text())["dependencies"]
    assert f"with Python {python}" in (ROOT / "envs/legacy.txt").read_text()


def test_the_second_environment_has_what_extraction_imports():
    """Every library that extract_states.py and the modules that it imports ask for, save those of one adapter."""
    wanted = set()
    for file in _closure([SCRIPTS / "extract_states.py"]):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted.add(node.module.split(".")[0])
    libraries = {{"PIL": "pillow"}.get(name, name) for name in wanted - sys.stdlib_module_names - {"layerwise"}}
    assert {"torch", "pandas", "h5py"} <= libraries
    assert libraries <= names("legacy.in")


def test_an_environment_is_made_and_what_fails_is_named(tmp_path):
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lock = tmp_path / "lock.txt"
    lock.write_text("")
    make_environment(tmp_path / "made", lock, here)
    found = [str(tmp_path / "made/bin/python"), "-c", "import sys; print(sys.prefix)"]
    assert subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip() == str(tmp_path / "made")
    (tmp_path / "own").symlink_to(tmp_path / "made")
    with pytest.raises(InputError, match="is a link to an environment of your own"):
        make_environment(tmp_path / "own", lock, here)
    assert (tmp_path / "made/bin/python").exists()
    lock.write_text("./no-such-wheel-1.0-py3-none-any.whl\n")
    with pytest.raises(InputError, match=r"pip cannot install .*lock.txt into .*no-such-wheel"):
        make_environment(tmp_path / "made", lock, here)


def test_another_python_is_looked_for_and_must_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no python3\.1 on the path"):
        find_python("3.1")
    python = tmp_path / "python3.1"
    python.write_text("#!/bin/sh\nexit 127\n")
    python.chmod(0o755)
    with pytest.raises(InputError, match=r"there is no python3\.1 on the path"):
        find_python("3.1")
    python.write_text("#!/bin/sh\nexit 0\n")
    assert find_python("3.1") == str(python)


def test_every_requirement_is_pinned():
    locks = {"library": "requirements", "workflow": "requirements"}
    alike = ("requirements", "requirements-dev", "legacy", "docs")
    for name, lock in (locks | {name: name for name in alike}).items():
        assert names(f"{name}.in") <= set(pins(f"{lock}.txt"))


def test_pins_can_be_installed_by_anyone():
    for name in ("requirements.txt", "requirements-dev.txt", "legacy.txt", "docs.txt", "layerwise.yaml", "legacy.yaml"):
        text = (ROOT / "envs" / name).read_text()
        assert "://" not in text
        assert not re.search(r"==\S*\+", text), "a local version exists only in the registry that it came from"


def test_both_lock_files_fit_together():
    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert all(run[name] == dev[name] for name in run.keys() & dev.keys())


def test_environments_named_by_rules_exist():
    for rules in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        for file in re.findall(r'conda:\s+"([^"]+)"', rules.read_text()):
            assert (rules.parent / file).resolve().is_file(), f"{rules.name} names {file}"
