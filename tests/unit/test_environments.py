"""The lock files: exact, without addresses, and the same for pip and conda."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / "envs" / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if re.match(r"[a-z0-9]", line))


def names(file: str) -> set[str]:
    lines = (ROOT / "envs" / file).read_text().splitlines()
    return {re.split(r"[=<>~]", line)[0] for line in lines if re.match(r"[a-z0-9]", line)}


def test_pip_and_conda_agree():
    conda = yaml.safe_load((ROOT / "envs/layerwise.yaml").read_text())
    by_pip = conda["dependencies"][-1]["pip"]
    assert dict(line.split("==") for line in by_pip) == pins("requirements.txt")


def test_every_requirement_is_pinned():
    for name in ("requirements", "requirements-dev"):
        assert names(f"{name}.in") <= set(pins(f"{name}.txt"))


def test_pins_can_be_installed_by_anyone():
    for name in ("requirements.txt", "requirements-dev.txt", "layerwise.yaml"):
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
