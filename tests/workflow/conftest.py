"""The real workflow on a tiny grid, run once for all tests of this folder."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.conftest import REPOSITORY
from tests.time_limits import run_logged

TINY = {
    "seed": 1,
    "worlds": {"shapes": {"train_images": 80, "val_images": 60, "flickr_images": 100}},
    "embedded_models": {"shapes": {"steps_scale": 0.02}},
    "datasets": {
        "shapes-coco": {"format": "coco", "world": "shapes"},
        "shapes-snli-ve": {"format": "snli-ve", "world": "shapes"},
    },
    "stimuli": {
        "captions": {
            "kind": "coco-entailment",
            "dataset": "shapes-coco",
            "images": {"train2017": "all", "val2017": "all"},
            "prompts": ["agree", "caption"],
        },
        "hypotheses": {
            "kind": "snli-ve",
            "dataset": "shapes-snli-ve",
            "images": {"train": 30, "dev": "all", "test": "all"},
            "prompts": ["statement"],
        },
        "objects": {
            "kind": "coco-objects",
            "dataset": "shapes-coco",
            "images": {"train2017": "all", "val2017": "all"},
            "pairs_per_category": 60,
            "prompts": ["no-cue", "category"],
        },
        "own": {"kind": "table", "file": "own/colours.csv", "labels": ["warm"], "prompts": ["describe"]},
    },
    "tasks": {
        "entailment": {"stimuli": "captions", "question": "global", "split": {"by": "official"}},
        "snli-ve": {"stimuli": "hypotheses", "question": "global", "split": {"by": "official"}, "min_per_class": 2},
        "objects": {"stimuli": "objects", "question": "local", "min_per_class": 2},
        "warm": {"stimuli": "own", "question": "local", "min_per_class": 2, "split": {"seeds": [2, 3]}},
    },
    "models": {
        "llava": {"source": "embedded", "batch_size": 32},
        "twin": {"source": "embedded", "weights": "random", "batch_size": 32},
    },
    "states": {"positions": ["last", "image-mean"]},
    "probes": {"C": [0.01, 1.0], "resamples": 100},
}


class Project:
    """A copy of the project in which the tiny grid is run and files may be edited."""

    def __init__(self, folder: Path, python: str):
        self.folder, self.python = folder, python

    def configure(self, config: dict) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(
        self, *arguments: str, check: bool = True, configfile: str = "tiny.yaml"
    ) -> subprocess.CompletedProcess:
        """Run Snakemake as a user without an activated environment would."""
        # Targets first: --configfile takes all that follows for its files.
        cores = [] if "--cores" in arguments else ["--cores", "2"]
        command = [self.python, "-m", "snakemake", *arguments, *cores, "--configfile", configfile]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
        environment["PATH"] = os.defpath
        result = run_logged(command, cwd=self.folder, env=environment)
        if check and result.returncode:
            raise AssertionError(f"snakemake {' '.join(arguments)} failed:\n{result.stdout}\n{result.stderr}")
        return result

    def planned(self, *targets: str) -> dict[str, int]:
        """How many jobs of each rule a dry run plans."""
        output = self.snakemake(*targets, "--dry-run", "--quiet", "rules").stdout
        if "Nothing to be done" in output or not output.strip():
            return {}
        jobs = dict(re.findall(r"^([\w-]+) +(\d+)$", output, flags=re.MULTILINE))
        return {rule: int(count) for rule, count in jobs.items() if rule not in ("total", "all", *targets)}


def copy_project(folder: Path, python: str = sys.executable) -> Project:
    """Everything that git tracks or would track, and the tiny grid's own table; to be run by a Python (see `warm`)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.splitlines()
    for name in listed:
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / "own").mkdir()
    with open(folder / "own/colours.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "warm", "even", "fifth", "shade"])
        for i in range(80):
            warm = i % 2
            Image.new("RGB", (80, 60), (150 + i, 60, 40) if warm else (40, 60, 150 + i)).save(folder / f"own/{i}.png")
            even = "yes" if i % 4 < 2 else "no"
            rows.writerow([f"{i}.png", "yes" if warm else "no", even, "abcde"[i % 5], 150 + i])
    project = Project(folder, python)
    project.configure(TINY)
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory, warm) -> Project:
    """The tiny grid, run from nothing to the end. Tests must leave it as they find it."""
    project = copy_project(tmp_path_factory.mktemp("project"), warm)
    project.snakemake()
    return project
