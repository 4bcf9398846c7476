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

    def __init__(self, library: Path, folder: Path):
        self.folder = folder
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))
        }
        self.environment |= {"PYTHONPATH": str(library)}

    def run(self, *words: str) -> str:
        """Run a module in the study's folder; what it prints."""
        done = run_logged([sys.executable, "-P", "-m", *words], cwd=self.folder, env=self.environment)
        assert done.returncode == 0, f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def example(installed, tmp_path) -> Installed:
    """The study that `layerwise init --example` writes."""
    Installed(installed, tmp_path).run("layerwise.console", "init", "my-study", "--example")
    return Installed(installed, tmp_path / "my-study")


@pytest.mark.slow
def test_a_study_that_init_wrote_is_planned_by_the_installed_workflow(example):
    snakefile = example.run("layerwise.console", "where").strip()
    assert snakefile.endswith("layerwise/workflow/Snakefile")
    plan = example.run("snakemake", "--snakefile", snakefile, "-n", "--cores", "2", "--configfile", "study.yaml")
    for rule in ("train_embedded_model", "extract_states", "fit_probes", "make_page"):
        assert re.search(rf"^{rule} +[0-9]+$", plan, re.M), plan
    # Folders are named as by the clone, so that results can move between both.
    study = layerwise.Study.load(example.folder / "study.yaml", directory=example.folder)
    folder = Path(study.stimuli_folder("pictures")).relative_to(example.folder)
    assert f"{folder}/items.parquet" in plan


@pytest.mark.whole
def test_a_study_that_init_wrote_runs_to_its_page(example):
    snakefile = example.run("layerwise.console", "where").strip()
    printed = example.run("snakemake", "--snakefile", snakefile, "--cores", "2", "--configfile", "study.yaml")
    assert "`layerwise open study.yaml` opens it" in printed
    page = Path(example.run("layerwise.console", "open", "--print").strip())
    assert page.is_relative_to(example.folder)
    text = page.read_text(encoding="utf-8")
    assert "answer" in text
    assert "trial-untrained" in text
