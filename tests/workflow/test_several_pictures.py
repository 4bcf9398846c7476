"""A table whose rows have two pictures, from its file to figures: places in prompts, controls, each picture's tokens."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.states.store import StatesFile
from layerwise.study import Study
from tests.workflow.conftest import Project, copy_project

pytestmark = pytest.mark.whole

ROWS = 96
TEXT = "{text} Is the first warm?"
YES_NO = {"yes": ["yes"], "no": ["no"]}
CONTROLS = {
    "without-2": {"images": [1, "none"]},
    "without-1": {"images": ["none", 2]},
    "other-2": {"images": [1, "shuffled"]},
    "swapped": {"images": [2, 1]},
    "any-order": {"image": "random-order"},
    "text-only": {"image": "none"},
}
STUDY = {
    "seed": 1,
    "prompts": {
        "table": {
            "plain": {"text": TEXT, "answers": YES_NO, "generate": 2},
            "places": {"text": "First: {image 1} Then: {image 2} {text}", "answers": YES_NO},
            **{name: {"text": TEXT, **shown} for name, shown in CONTROLS.items()},
        }
    },
    "stimuli": {
        "pairs": {
            "kind": "table",
            "file": "own/pairs.csv",
            "image_column": ["left", "right"],
            "text_column": "said",
            "labels": ["first", "same"],
            "prompts": ["plain", "places", *CONTROLS],
        }
    },
    "tasks": {
        name: {"stimuli": "pairs", "question": "global", "labels": [name], "min_per_class": 2}
        for name in ("first", "same")
    },
    "models": {
        "tiny": {"source": "tiny", "batch_size": 16},
        "routed": {
            "source": "tiny",
            "batch_size": 16,
            "prompts": ["plain"],
            "intervention": {"route": {"name": "look"}},
        },
    },
    "states": {"positions": ["last", "image-mean", "each-image-mean"]},
    "probes": {"C": [0.01, 1.0], "resamples": 100},
    "used": {
        "tasks": ["first"],
        "prompts": ["plain", "places"],
        "models": ["tiny"],
        "items": 12,
        "draws": 2,
        "strengths": [1],
        "routes": {"look": {"kind": "attention", "model": "tiny", "task": "first", "prompt": "plain", "from": 2}},
    },
}


def write_pairs(folder: Path) -> None:
    """Two noisy pictures a row, each warm or cold, in all four ways equally often; texts that say nothing of them."""
    rng = np.random.default_rng(0)
    with open(folder / "pairs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["left", "right", "said", "first", "same"])
        for i in range(ROWS):
            warm = i % 2 == 0, i // 2 % 2 == 0
            for side, is_warm in zip(("left", "right"), warm, strict=True):
                pixels = rng.integers(0, 60, (48, 64, 3))
                pixels[..., 0 if is_warm else 2] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{side}-{i}.png")
            said = ["A red circle.", "A blue square.", "A green star."][i // 4 % 3]
            agree = ["yes" if found else "no" for found in (warm[0], warm[0] == warm[1])]
            rows.writerow([f"left-{i}.png", f"right-{i}.png", said, *agree])


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    project = copy_project(tmp_path_factory.mktemp("pairs"), warm)
    shutil.copytree(tiny_llava, project.folder / "tiny")
    write_pairs(project.folder / "own")
    project.configure(STUDY)
    project.snakemake()
    return project


def test_x(project):
    shutil.copytree(project.folder / "results", "/tmp/study-pairs", dirs_exist_ok=True)
    assert project.planned() == {}
