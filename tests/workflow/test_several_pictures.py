"""A table with two pictures in a row, from its file to figures: places in prompts, controls, each picture's tokens."""

import copy
import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.cost.estimate import estimate_states
from layerwise.states.images import read_images
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


def best(scores: pd.DataFrame, task: str, prompt: str) -> float:
    """The highest test accuracy of all layers."""
    of_cell = scores[(scores["task"] == task) & (scores["prompt"] == prompt) & (scores["model"] == "tiny")]
    return of_cell.query("probe == 'logistic' and split == 'test' and metric == 'accuracy'")["value"].max()


def test_controls_say_which_pictures_a_task_needs(project):
    scores = pd.read_parquet(project.folder / "results/probes/scores.parquet")
    # The tiny model is not trained, but the colours of its pictures show in any state that has read them.
    for prompt in ("plain", "places", "swapped", "without-2", "other-2"):
        assert best(scores, "first", prompt) > 0.95
    for prompt in ("plain", "places", "swapped", "any-order"):
        assert best(scores, "same", prompt) > 0.9
    # The first picture is warm or not, whatever the second is; drawn orders are right in all pairs of one colour, and
    # in half of the others. Whether two are the same takes both.
    assert 0.6 < best(scores, "first", "any-order") < 0.95
    for task, prompt in (("first", "without-1"), ("first", "text-only"), ("same", "without-2"), ("same", "other-2")):
        assert best(scores, task, prompt) < 0.8
    table = pd.read_parquet(project.folder / "results/compare/picture-controls.parquet")
    assert set(table["prompt"]) == {"plain"}
    lost = table[table["is_best"]].set_index(["task", "control"])["difference"]
    assert lost["first", "without-2"] < 0.1 < 0.25 < lost["first", "without-1"]
    assert lost["same", "without-2"] > 0.25
    written = (project.folder / "results/tables/table-picture-controls.md").read_text()
    assert "| tiny | plain | picture 2 of another item |" in written
    assert (project.folder / "results/figures/picture-controls.svg").read_text().count("pictures in random order") >= 2


def test_the_tokens_of_the_second_picture_know_both(project):
    scores = pd.read_parquet(project.folder / "results/probes/positions.parquet").query("split == 'test'")
    assert set(scores["prompt"]) == {"plain", "places"}
    found = scores[scores["prompt"] == "places"].set_index(["task", "position", "layer"])["value"]
    # A colour is there before the first block, and what another picture was is there behind it.
    assert found["first", "image-1-mean", 0] > 0.95
    assert found["first", "image-2-mean", 0] < 0.8
    assert found["first", "image-2-mean", 6] > 0.95
    assert found["same", "image-2-mean", 6] > 0.9
    assert found["same", "image-1-mean"].max() < 0.8
    assert (project.folder / "results/figures/pictures-by-layer.png").stat().st_size > 10_000


def test_everything_else_takes_several_pictures_too(project):
    results = project.folder / "results"
    with StatesFile(results / "states/tiny/pairs/text-only.h5") as states:
        assert states.positions == ["last"]
    with StatesFile(results / "states/tiny/pairs/without-1.h5") as states:
        assert states.positions == ["image-1-mean", "image-mean", "last"]
    shortcuts = pd.read_parquet(results / "probes/shortcuts.parquet").query("split == 'test' and metric == 'accuracy'")
    by_picture = shortcuts[shortcuts["features"] == "picture"].groupby("task")["value"].max()
    # A sum of what each picture says cannot tell whether two are the same.
    assert by_picture["first"] > 0.95
    assert by_picture["same"] < 0.8
    for file in ("answers/tiny/pairs/plain", "generated/tiny/pairs/plain", "used/tiny/first/places"):
        assert len(pd.read_parquet(results / f"{file}.parquet")) > 0
    with (
        StatesFile(results / "states/tiny/pairs/plain.h5") as plain,
        StatesFile(results / "states/routed/pairs/plain.h5") as routed,
    ):
        same = [bool((plain.layer("last", layer) == routed.layer("last", layer)).all()) for layer in range(8)]
    assert same == [True] * 6 + [False] * 2
    assert "2: picture 1 left out" in (results / "tables/table1.md").read_text()


def test_a_finished_study_is_read_by_picture_and_runs_nothing_again(project, monkeypatch):
    assert project.planned() == {}
    monkeypatch.chdir(project.folder)
    study = Study.load("tiny.yaml")
    items = study.items("pairs")
    left, right = (read_images(cell) for cell in (items["image"].iat[1], items["image"].iat[2]))
    assert len(left) == len(right) == 2
    assert items["prompt:places"].iat[0].startswith("First: {image 1} Then: {image 2} A")
    both = [study.states("tiny", "pairs", "plain", f"image-{k}-mean", layer=3).values for k in (1, 2)]
    assert both[0].shape == both[1].shape == (ROWS, 128)
    assert not np.allclose(*both)
    assert set(study.positions()["position"]) == {"image-1-mean", "image-2-mean"}
    assert set(study.comparison("picture-positions")["position"]) == {"last", "image-1-mean", "image-2-mean"}
    costs = estimate_states(study, "cpu").set_index("prompt")
    assert costs["exact"].all()
    # One picture less is a third of the text less, and a text alone is shown once for each of three wordings.
    assert costs.loc["places", "tokens"] > costs.loc["without-2", "tokens"] * 1.3
    assert costs.loc["text-only", "inputs"] == 3


def test_another_control_runs_its_own_cells_alone(project):
    config = copy.deepcopy(STUDY)
    config["prompts"]["table"]["grey-1"] = {"text": TEXT, "images": ["blank", 2]}
    config["stimuli"]["pairs"]["prompts"].append("grey-1")
    project.configure(config)
    try:
        planned = project.planned()
    finally:
        project.configure(STUDY)
    assert (planned["extract_states"], planned["fit_probes"]) == (1, 2)
    assert planned.keys().isdisjoint({"fit_position_probes", "embed_pictures", "sweep_used", "train_route"})
