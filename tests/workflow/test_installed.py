"""From an empty folder: `pip install .`, `layerwise init`, the command that it prints, and the page."""

import os
import re
import sys
from pathlib import Path

import pytest

import layerwise
from tests.time_limits import run_logged


class Installed:
    """An installed copy, and a folder in which it is used. Nothing of the clone is on the path."""

    def __init__(self, library: Path, folder: Path, python: str):
        self.library, self.folder, self.python = library, folder, python
        measured = ("COV_", "COVERAGE_")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(measured)}
        self.environment["PYTHONPATH"] = str(library)

    def layerwise(self, *words: str) -> str:
        """Run the command `layerwise`; what it prints."""
        return self._run(sys.executable, "-P", "-m", "layerwise.console", *words)

    def snakemake(self, *words: str) -> str:
        """Run the study as `layerwise init` says; what Snakemake prints."""
        snakefile = self.layerwise("where").strip()
        assert Path(snakefile) == self.library / "layerwise/workflow/Snakefile"
        given = ("--snakefile", snakefile, "--cores", "2", *words, "--configfile", "study.yaml")
        return self._run(self.python, "-m", "snakemake", *given)

    def _run(self, *command: str) -> str:
        done = run_logged(command, cwd=self.folder, env=self.environment)
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def example(installed, tmp_path, warm) -> Installed:
    """The study that `layerwise init --example` writes."""
    Installed(installed, tmp_path, warm).layerwise("init", "my-study", "--example")
    return Installed(installed, tmp_path / "my-study", warm)


@pytest.mark.slow
def test_a_study_that_init_wrote_is_planned_by_the_installed_workflow(example):
    plan = example.snakemake("-n")
    for rule in ("train_embedded_model", "extract_states", "fit_probes", "make_page"):
        assert re.search(rf"^{rule} +[0-9]+$", plan, re.M), plan
    # Folders are named as by the clone, so that results can move between both.
    study = layerwise.Study.load(example.folder / "study.yaml", directory=example.folder)
    folder = Path(study.stimuli_folder("pictures")).relative_to(example.folder)
    assert f"{folder}/items.parquet" in plan


@pytest.mark.whole
def test_a_study_that_init_wrote_runs_to_its_page(example):
    study = example.folder / "study.yaml"
    # What the model learns is not asked here.
    study.write_text(study.read_text().replace("steps_scale: 0.1", "steps_scale: 0.02"))
    assert "`layerwise open study.yaml` opens it" in example.snakemake()
    page = Path(example.layerwise("open", "--print").strip())
    assert page == example.folder / "results/explore/index.html"
    text = page.read_text(encoding="utf-8")
    assert "colour" in text
    assert "trial-untrained" in text
    (states,) = (example.folder / "results/states/trial/pictures").glob("what.h5")
    assert "160 in " in example.layerwise("describe", str(states))
