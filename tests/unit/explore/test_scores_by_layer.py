"""The curves' rows are the numbers of the Parquet files, each called what it is; and what there is to choose."""

import json

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Given, Task
from layerwise.explore.columns import as_columns
from layerwise.explore.scores_by_layer import COLUMNS, KEYS, cells, scores_by_layer
from tests.given import given
from tests.known_layers import MODELS, PROMPTS, TASKS, write_cells
from tests.page_tables import as_table

NUMBERS = ["value", "low", "high"]
ROW = ["model", "task", "prompt", "label", "metric", "split", "layer"]
OPTIONS = {"resamples": 100, "permutations": 199, "seed": 0, "twins": {"own": ["twin"]}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    scores = write_cells(folder / "probes")
    # A metric besides the task's own, and probes of random labels.
    more = scores[scores["probe"] == "logistic"]
    scores = pd.concat(
        [scores, more.assign(metric="roc_auc", value=more["value"] + 0.01), more.assign(probe="control", value=0.51)]
    )
    made = {"tasks": TASKS, "models": MODELS, "prompts": PROMPTS, "predictions": folder / "probes"}
    names = ("headline", "best-layers", "which-layer", "twin-differences")
    return given(folder, names, OPTIONS, scores=scores, **made)


def same(rows, source, keys=ROW):
    """Whether each row is in the source, with its numbers to the last digit."""
    joined = rows.merge(source, on=keys, how="left", suffixes=("", "_source"), validate="1:1")
    assert len(rows) > 0
    for name in NUMBERS:
        np.testing.assert_array_equal(joined[name], joined[f"{name}_source"])


@pytest.mark.parametrize(
    ("what", "probe", "model"),
    [
        ("probe", "logistic", "own"),
        ("twin", "logistic", "twin"),
        ("control", "control", "own"),
        ("majority", "majority", "own"),
    ],
)
def test_scores_are_those_of_the_file(study, what, probe, model):
    rows = scores_by_layer(study)
    rows = rows[rows["what"] == what]
    source = study.scores[(study.scores["probe"] == probe) & (study.scores["model"] == model)]
    same(rows, source[[*ROW, *NUMBERS]])
    assert len(rows) == len(source)
    assert set(rows["kind"]) == {"logistic"}


def test_the_text_alone_is_the_prompt_without_the_image(study):
    rows = scores_by_layer(study)
    text = rows[rows["what"] == "text"]
    assert text[["prompt", "metric"]].drop_duplicates().to_numpy().tolist() == [["plain", "accuracy"]]
    probe = rows[(rows["what"] == "probe") & (rows["prompt"] == "words")].assign(prompt="plain")
    same(text[[*ROW, *NUMBERS]], probe[[*ROW, *NUMBERS]])


def test_the_difference_is_that_of_its_comparison(study):
    rows = scores_by_layer(study)
    found = rows[rows["what"] == "difference"]
    table = study.comparison("twin-differences").rename(
        columns={"difference": "value", "difference_low": "low", "difference_high": "high"}
    )
    same(found, table.assign(split="test")[[*ROW, *NUMBERS]])
    assert len(found) == len(table) == 5


def test_the_page_has_the_same_numbers(study):
    rows = scores_by_layer(study)
    back = as_table(json.loads(json.dumps(as_columns(rows))))
    for name in COLUMNS:
        expected = rows[name].astype(object).where(rows[name].notna(), None)
        assert back[name].astype(object).where(back[name].notna(), None).tolist() == expected.tolist()


def test_what_there_is_to_choose_begins_with_the_tasks_own(study):
    table = cells(study)
    assert list(table) == [*KEYS, "last_layer", "best_layer"]
    assert table.loc[0, ["metric", "split", "prompt"]].tolist() == ["accuracy", "test", "plain"]
    assert set(table["model"]) == {"own"}
    best = study.comparison("best-layers").set_index(["model", "prompt"])["best_layer"]
    for row in table.itertuples():
        assert (row.best_layer, row.last_layer) == (best[row.model, row.prompt], 4)


def test_numbers_have_rows_of_their_own(study, tmp_path):
    task = Task("count", "pairs", "global", "numbers", ["many"], [], "r2")
    row = {"model": "own", "task": "count", "prompt": "plain", "label": "many", "split": "test", "metric": "r2"}
    row |= {"n_layers": 2, "layer_name": "", "n": 40, "n_groups": 20}
    scores = [row | {"probe": "ridge", "layer": k, "value": 0.1 * k, "low": 0.0, "high": 0.3} for k in range(3)]
    scores = pd.DataFrame([*scores, row | {"probe": "mean", "layer": -1, "value": -0.01, "low": -0.1, "high": 0.0}])
    scores["penalty"] = [1.0, 10.0, 100.0, np.nan]
    files = {"models": study.paths("models"), "number-tasks": [tmp_path / "task.json"]}
    files["number-tasks"][0].write_text(json.dumps(vars(task)))
    for name, table in (("number-scores", scores), ("number-headline", scores.assign(draws="", made_from=""))):
        files[name] = [tmp_path / f"{name}.parquet"]
        table.to_parquet(files[name][0])
    rows = scores_by_layer(Given(files))
    assert rows["what"].tolist() == ["probe"] * 3 + ["majority"]
    assert rows["kind"].unique().tolist() == ["ridge"]
    assert rows["C"].tolist()[:3] == [1.0, 10.0, 100.0]
    same(rows, scores[[*ROW, *NUMBERS]])
