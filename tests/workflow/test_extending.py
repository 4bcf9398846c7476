"""All examples of docs/extending.md, added to the finished tiny grid at once and run."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler

from layerwise.states.store import StatesFile
from tests import extending_page
from tests.workflow.conftest import TINY, Project
from tests.workflow.test_staleness import AFTER_PROBES, FIGURES

pytestmark = pytest.mark.slow

SKIPS = "without-block-2"
NEW = {
    # Three kinds of stimuli, and a prompt of an older set.
    "make_stimuli": 3,
    "check_prompts": 4,
    "make_task": 5,
    "register_model": 2,
    # Two of each new model, one of them over new stimuli; two models each of the new prompt and of the new stimuli, one
    # of which has two prompts.
    "extract_states": 2 * 2 + 2 + 2 + 2 + 2 * 2,
    # Four of each new model; two models' of the new prompt, of two tasks with three prompts, of two more, and of the
    # two prompts about several pictures.
    "fit_probes": 2 * 4 + 2 * (1 + 2 * 3 + 2 + 2),
    # Of the new kind in the twelve old cells too, but none of the intervention.
    "fit_probe_kind": 12 + 4 + 2 * (1 + 2 * 3 + 2 + 2),
    "gather_kinds": 1,
    # Of the new twin in two stimulus sets, and of two models in three new sets. None of the intervention.
    "measure_likeness": 2 + 2 * 3,
    # Four tasks of the trained model, whose prompts read each other. Six of its twin and four of each new model,
    # whose states its probes read.
    "carry_probes": 4 + 6 + 2 * 4,
    # The intervention's own answers to two prompts, and the trained model's about the new stimuli.
    "read_head": 1,
    "read_answers": 2 + 1,
    # Three new tasks of the trained model show a picture and a text, one of them over new stimuli.
    "embed_pictures": 1,
    "fit_shortcuts": 3,
    "gather_shortcuts": 1,
}


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory) -> Project:
    """The finished project with the code of all examples. Its study names none of them yet."""
    folder = tmp_path_factory.mktemp("extended") / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    extending_page.add_code(folder)
    for part, numbers in (("train", range(60)), ("test", range(60, 80))):
        with open(folder / f"own/{part}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "kind", "value"])
            for i in numbers:
                colour = "red" if i % 2 else "blue"
                rows.writerows(
                    [(f"{i}.png", "object", colour), (f"{i}.png", "caption", f"Number {i}, a {colour} picture.")]
                )
    with open(folder / "own/pairs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["left", "right", "text", "same"])
        # Red and blue in turn: two steps lead to the same colour, and one to the other.
        for i in range(0, 80, 4):
            steps = ((i, i + 1), (i + 2, i + 3)) if i % 8 else ((i, i + 2), (i + 1, i + 3))
            rows.writerows([(f"{a}.png", f"{b}.png", "The same?", "no" if i % 8 else "yes") for a, b in steps])
    return Project(folder, finished.python)


@pytest.fixture(scope="module")
def planned(extended) -> dict[str, dict[str, int]]:
    """What dry runs plan when the code is there, and when the study names all that is new.

    Between the two, the figure of the older study is drawn.
    """
    by_code = extended.planned()
    extended.snakemake("results/figures/best-layer.html", "results/compare/prompt-spread.parquet")
    extended.configure(extending_page.added_to(TINY))
    return {"code": by_code, "study": extended.planned()}


@pytest.fixture(scope="module")
def results(extended, planned) -> Path:
    """The results root with one new thing of each kind; the rest of the grid is left out to save time."""
    extended.snakemake(
        "stimuli",
        *(
            f"results/tasks/{task}/labels.parquet"
            for task in ("entailment-again", "numbers", "my-pairs", "same-colour")
        ),
        *(
            f"results/states/{cell}.h5"
            for cell in (
                *("twin-2/captions/agree", "llava/captions/fits", f"{SKIPS}/captions/agree"),
                *("llava/pairs/same-colour", "llava/pairs/left-alone"),
            )
        ),
        "results/probes/llava/matches-found/agree.scores.parquet",
        "results/probes/llava/matches-found/agree.kind-nearest-neighbours.parquet",
    )
    return extended.folder / "results"


def test_new_code_makes_nothing_stale(planned):
    """It adds the figure and the chart, which a study need not name."""
    assert planned["code"] == {"plot_figure": 1, "show_figure": 1, "make_page": 1}


def test_only_what_the_study_names_is_planned(planned):
    # The figure, one of kinds of probes for each of three models, one of probes carried to the new twin, one of
    # pictures left out, and one of what layers are like for each of seven stimulus sets.
    figures = {rule: number + 1 + 3 + 1 + 1 + 7 for rule, number in FIGURES.items()}
    # A study with an intervention has Table 3 and what it shows; one with kinds of probes compares them, and one with
    # prompts about some of several pictures those.
    tables = {"make_table3": 1, "make_table-picture-controls": 1}
    compared = {"compare": AFTER_PROBES["compare"] + 1 + 2 + 1 + 2}
    assert planned["study"] == AFTER_PROBES | figures | compared | tables | NEW


def items_of(results: Path, stimuli: str) -> pd.DataFrame:
    """Items with their provenance."""
    (folder,) = results.glob(f"stimuli/{stimuli}/*/")
    tables = [pd.read_parquet(folder / f"{table}.parquet") for table in ("items", "provenance")]
    return tables[0].merge(tables[1], on="item_id", validate="one_to_one")


def states_of(results: Path, cell: str, layer: int) -> pd.DataFrame:
    """States of the last token by item."""
    with StatesFile(results / f"states/{cell}.h5") as states:
        return pd.DataFrame(states.layer("last", layer)[states.row_of_item], index=states.item_ids)


def test_model(results):
    """Its weights are other ones than those of the first twin."""
    models = [json.loads(next(results.glob(f"models/{name}/*/model.json")).read_text()) for name in ("twin", "twin-2")]
    assert (models[0]["seed"], models[1]["seed"]) == (1, 2)
    states = [states_of(results, f"{name}/captions/agree", 3) for name in ("twin", "twin-2")]
    assert states[0].index.equals(states[1].index)
    assert not np.isclose(states[0], states[1], atol=1e-3).all(axis=1).any()


def test_prompt(results):
    texts = {text for file in results.glob("stimuli/captions/*/prompts.json") for text in file.read_text().split("\n")}
    assert any("Does the picture fit these words?" in text and "example" in text for text in texts)
    with StatesFile(results / "states/llava/captions/fits.h5") as states:
        assert states.cell["prompt_entry"]["text"].startswith("Does the picture fit")
        assert states.item_ids == list(items_of(results, "captions")["item_id"])


def test_several_pictures(results):
    items = items_of(results, "pairs")
    paths = items["image"].str.split("\n", expand=True)
    assert paths.shape == (40, 2)
    numbers = paths.apply(lambda column: column.str.extract(r"(\d+)\.png")[0].astype(int))
    assert ((numbers[0] % 2 == numbers[1] % 2) == (items["label:same"] == "yes")).all()
    labels = pd.read_parquet(results / "tasks/same-colour/labels.parquet")
    assert labels["group"].nunique() == 40
    states = [states_of(results, f"llava/pairs/{prompt}", 3) for prompt in ("same-colour", "left-alone")]
    assert not np.isclose(*states, atol=1e-3).all(axis=1).any()


def test_task(results):
    old, new = (
        pd.read_parquet(results / f"tasks/{name}/labels.parquet") for name in ("entailment", "entailment-again")
    )
    both = old.merge(new, on=["item_id", "label"], validate="one_to_one")
    assert (both["y_x"] == both["y_y"]).all()
    assert (both["split_y"] == "test").mean() == pytest.approx(0.4, abs=0.02)
    assert (both["split_x"] != both["split_y"]).any()


def test_metric_is_scikit_learn_s(results):
    cell = results / "probes/llava/matches-found"
    scores = pd.read_parquet(cell / "agree.scores.parquet")
    scores = scores[(scores["metric"] == "sensitivity") & (scores["probe"] == "logistic")]
    predictions = pd.read_parquet(cell / "agree.predictions.parquet")
    found = {
        key: recall_score(rows["y"], np.stack(rows["scores"])[:, 0] > 0)
        for key, rows in predictions.groupby(["layer", "split"])
    }
    of_cell = scores[scores["split"].isin(["val", "test"])].set_index(["layer", "split"])["value"]
    assert len(of_cell) == len(found)
    assert of_cell.to_dict() == pytest.approx(found)
    assert len(set(found.values())) > 1


def test_probe_asks_the_nearest(results):
    cell = results / "probes/llava/matches-found/agree.kind-nearest-neighbours.parquet"
    scores = pd.read_parquet(cell).query("probe == 'task' and metric == 'accuracy' and split == 'test'")
    labels = pd.read_parquet(results / "tasks/matches-found/labels.parquet").set_index("item_id")
    train, test = (labels.index[labels["split"] == split] for split in ("train", "test"))
    compared = 0
    for layer, accuracy in scores.set_index("layer")["value"].items():
        states = states_of(results, "llava/captions/agree", layer).astype(float)
        # As the workflow does it, dimensions that do not vary count for nothing.
        states = states.loc[:, states.loc[train].std() > 1e-6 * states.loc[train].mean().abs()]
        if states.empty:
            continue
        scaled = pd.DataFrame(StandardScaler().fit(states.loc[train]).transform(states), states.index)
        away = np.square(scaled.loc[test].to_numpy()[:, None] - scaled.loc[train].to_numpy()).sum(axis=2)
        nearest = labels.loc[train, "y"].to_numpy()[np.argsort(away, axis=1)[:, :10]]
        guesses = nearest.mean(axis=1) > 0.5
        # Rounding may swap two neighbours that are as near.
        assert accuracy == pytest.approx((guesses == labels.loc[test, "y"]).mean(), abs=0.02)
        compared += 1
    assert compared > 3


def test_stimuli_ask_for_right_and_wrong_numbers(results):
    items = items_of(results, "numbers")
    counted: dict[str, int] = {}
    for part in ("train2017", "val2017"):
        content = json.loads((results / f"worlds/shapes/coco/annotations/instances_{part}.json").read_text())
        for found in content["annotations"]:
            image = f"{part}/{found['image_id']}"
            counted[image] = counted.get(image, 0) + 1
    right = items["number"].astype(int) == items["image_id"].map(counted)
    assert (right == (items["label:number"] == "right")).all()
    # Of each part, every number is right as often as it is wrong.
    assert (items.groupby(["part", "number"])["label:number"].value_counts(normalize=True) == 0.5).all()
    assert set(items["number"]) == {"1", "2", "3"}
    labels = pd.read_parquet(results / "tasks/numbers/labels.parquet")
    assert (labels.groupby("group")["split"].nunique() == 1).all()


def test_data_format_is_read_by_a_kind_that_was_there(results):
    items = items_of(results, "my-pairs")
    number = items["image"].str.extract(r"own/(\d+)\.png")[0]
    own = "Number " + number + ", a " + np.where(number.astype(int) % 2, "red", "blue") + " picture."
    assert ((items["text"] == own) == (items["label:match"] == "match")).all()
    assert (items.groupby("text")["label:match"].nunique() == 2).all()
    assert items["part"].value_counts().to_dict() == {"train": 120, "test": 40}


def test_intervention_skips_its_block(results):
    plain, skipped = (
        [states_of(results, f"{name}/captions/agree", layer) for layer in range(6)] for name in ("llava", SKIPS)
    )
    for layer in (0, 1):
        assert np.allclose(skipped[layer], plain[layer], atol=1e-5)
    assert (skipped[2] == skipped[1]).all(axis=None)
    for layer in (2, 3, 4, 5):
        assert not np.isclose(skipped[layer], plain[layer], atol=1e-3).all(axis=1).any()


def what_tests_say(project: Project, *arguments: str) -> str:
    """What pytest says of tests in the project's own folder."""
    command = [project.python, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False).stdout


def test_family(extended):
    """The tests of all families pass for the new one."""
    said = what_tests_say(extended, "tests/unit/models/test_families.py", "-k", "llava_mine")
    assert re.search(r"^\d\d passed", said, flags=re.MULTILINE), said


def test_no_list_in_tests_lacks_the_new_names(extended):
    """Tests that go through catalogues pass as they are, when the schema is written anew."""
    schema = [sys.executable, "-m", "layerwise.config.schema"]
    subprocess.run(schema, cwd=extended.folder, env=os.environ | {"PYTHONPATH": "scripts"}, check=True)
    names = ["config/test_config", "datasets/test_locations", "figures/test_captions", "figures/test_figure_catalogue"]
    names += ["models/test_interventions", "test_catalogues", "test_staleness_contract"]
    said = what_tests_say(extended, *(f"tests/unit/{name}.py" for name in names))
    assert re.search(r"^\d{3} passed", said, flags=re.MULTILINE), said


def test_figure_is_drawn_with_its_caption(results):
    pixels = np.asarray(Image.open(results / "figures/best-layer.png").convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    # Marks of the trained model in the first colour, of its twin in grey.
    for colour in ("#0072B2", "#7A7A7A"):
        assert (pixels == ImageColor.getrgb(colour)).all(axis=2).sum() > 100
    assert "the layer with the highest validation score" in (results / "figures/best-layer.html").read_text()


@pytest.mark.whole
def test_figure_and_chart_are_on_the_page(extended, results):
    extended.snakemake("explore")
    page = (results / "explore/index.html").read_text()
    assert "the layer with the highest validation score" in page
    assert "Where is the best layer?" in page


def test_comparison_is_over_prompts(results):
    spread = pd.read_parquet(results / "compare/prompt-spread.parquet").set_index(["model", "task"])
    cells = pd.read_parquet(results / "compare/best-layers.parquet")
    assert len(spread) == len(cells[["model", "task"]].drop_duplicates())
    for cell, row in spread.iterrows():
        best = cells.loc[(cells["model"] == cell[0]) & (cells["task"] == cell[1]), "best"]
        assert (row["prompts"], row["lowest"], row["highest"]) == (len(best), min(best), max(best))
    assert (spread["lowest"] < spread["highest"]).any()


@pytest.mark.whole
def test_all_of_it_runs_to_the_end(extended, results):
    extended.snakemake()
    assert extended.planned() == {}
    assert "skip-block: block 2" in (results / "tables/table3.md").read_text()
    scores = pd.read_parquet(results / "probes/scores.parquet")
    assert {"entailment-again", "matches-found", "numbers", "my-pairs", "same-colour"} < set(scores["task"])
    assert {"twin-2", SKIPS} < set(scores["model"])
