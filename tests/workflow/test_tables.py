"""A table that holds its pictures, from Parquet files to figures: several items of a row, choices, many labels."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.faults.reliability import fault
from tests.workflow.conftest import Project, copy_project

pytestmark = pytest.mark.whole

ROWS = 60
TABLE = {"kind": "table", "file": "own/test-*.parquet", "image_column": "picture"}
CHOICES = {"columns": ["options"], "answer": "answer"}
STUDY = {
    "seed": 1,
    "prompts": {
        "table": {
            "fits": {"text": 'Does it fit? "{text}"', "answers": {"match": ["yes"], "mismatch": ["no"]}},
            "letter": {"text": "{text}\n{choices}", "answers": {"A": ["A"], "B": ["B"]}},
            "choice": {"text": "{text} {choice}?"},
        }
    },
    "stimuli": {
        "captions": TABLE
        | {
            "labels": {"tint": {}, "place": {}, "darkness": {"column": "dark", "as": "number"}},
            "each": [
                {"text_column": "caption", "labels": {"match": "match"}},
                {"text_column": "wrong", "labels": {"match": "mismatch"}},
            ],
            "prompts": ["fits"],
        },
        "letters": TABLE | {"text_column": "question", "choices": CHOICES | {"items": "row"}, "prompts": ["letter"]},
        "single": TABLE
        | {
            "file": {"train": "own/test-0.parquet", "test": "own/*-1.parquet"},
            "text_column": "question",
            "choices": CHOICES | {"items": "choice"},
            "prompts": ["choice"],
        },
    },
    "tasks": {
        "match": {"stimuli": "captions", "question": "global", "labels": ["match"], "min_per_class": 2},
        "tint": {"stimuli": "captions", "question": "local", "labels": ["tint"], "min_per_class": 2},
        "place": {"stimuli": "captions", "question": "local", "labels": ["place"], "min_per_class": 1},
        "darkness": {"stimuli": "captions", "question": "local", "metric": "r2", "min_per_class": 2},
        "letters": {"stimuli": "letters", "question": "global", "min_per_class": 2},
        "right": {"stimuli": "single", "question": "global", "min_per_class": 2, "split": {"by": "official"}},
    },
    "models": {"tiny": {"source": "tiny", "batch_size": 16}},
    "probes": {"C": [0.01, 1.0], "resamples": 100},
}


def write_rows(folder: Path, places: list[str]) -> None:
    """Write the table into two files, with noisy pictures that are red or blue, and more or less dark."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(ROWS):
        is_red, first = i % 2 == 0, i % 3 == 0
        pixels = rng.integers(0, 60, (48, 64, 3))
        pixels[..., 0 if is_red else 2] += 100 + i
        content = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(content, "JPEG")
        colours = ["red", "blue"] if first else ["blue", "red"]
        right, wrong = ("red", "blue") if is_red else ("blue", "red")
        rows.append(
            {
                "picture": {"bytes": content.getvalue(), "path": None},
                "caption": f"A {right} picture.",
                "wrong": f"A {wrong} picture.",
                "question": "Which colour?",
                "options": colours,
                "answer": colours.index(right),
                "tint": "warm" if is_red else "cold",
                "place": places[i // 2 % len(places)],
                "dark": 1 - i / ROWS,
            }
        )
    for part, some in enumerate((rows[: ROWS // 2], rows[ROWS // 2 :])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"test-{part}.parquet")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    project = copy_project(tmp_path_factory.mktemp("tables"), warm)
    shutil.copytree(tiny_llava, project.folder / "tiny")
    write_rows(project.folder / "own", ["left", "middle", "right"])
    project.configure(STUDY)
    project.snakemake()
    return project


def test_a_table_that_holds_its_pictures_comes_to_figures(project):
    results = project.folder / "results"
    assert len(list((project.folder / "data/pictures").rglob("*.jpg"))) == ROWS
    items = pd.read_parquet(next(results.glob("stimuli/captions/*/items.parquet")))
    assert len(items) == 2 * ROWS
    assert items["image"].nunique() == ROWS
    # Four tasks read the states of one forward pass over the captions.
    assert [file.name for file in (results / "states/tiny/captions").glob("*.h5")] == ["fits.h5"]
    scores = pd.read_parquet(results / "probes/scores.parquet").query("split == 'test' and metric == 'accuracy'")
    best = scores.groupby("task")["value"].max()
    assert set(best.index) == {"match", "tint", "place", "letters", "right"}
    assert best["tint"] == 1
    # Choices have files for each split, and "right" is the positive class.
    assert json.loads((results / "tasks/right/task.json").read_text())["classes"] == ["wrong", "right"]
    labels = pd.read_parquet(results / "tasks/right/labels.parquet")
    assert (labels["split"] == "test").equals(labels["image_id"].str.startswith("test/"))
    assert set(labels["split"]) == {"train", "val", "test"}
    numbers = pd.read_parquet(results / "probes/numbers.parquet").query("split == 'test' and metric == 'r2'")
    assert numbers["value"].max() > 0.5
    assert (results / "figures/entailment-by-layer.png").stat().st_size > 10_000
    assert "tint" in (results / "tables/table-which-layer.md").read_text()
    assert project.planned() == {}


def test_another_label_in_the_table_runs_no_model(project):
    log = project.folder / "logs/states/tiny/captions/fits.log"
    write_rows(project.folder / "own", ["here", "there"])
    assert "extract_states" in project.planned("states")
    project.snakemake("states")
    assert "its content exists already" in log.read_text()


@fault(
    "`data/pictures`, with the pictures that tables hold, was cleared",
    sees="finished results stay; a model that is run again names a picture and the stimulus set's folder to delete",
    kept="all finished work; the pictures are written again",
)
def test_cleared_pictures_are_written_again(project):
    states = project.folder / "results/states/tiny/letters/letter.h5"
    shutil.rmtree(project.folder / "data/pictures")
    shutil.rmtree(project.folder / "results/kept")
    assert project.planned("states") == {}
    states.unlink()
    failed = project.snakemake("states", check=False)
    said = failed.stdout + failed.stderr
    assert "If it came out of a table, delete the folder of its stimulus set in results/stimuli" in said
    shutil.rmtree(project.folder / "results/stimuli/letters")
    project.snakemake("states")
    assert states.exists()
