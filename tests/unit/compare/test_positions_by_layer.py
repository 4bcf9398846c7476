"""Scores at further positions beside those of the position that all other scores are of."""

from itertools import product

import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.positions_by_layer import at_each_position
from layerwise.errors import InputError
from layerwise.figures.drawing.positions import draw_positions
from layerwise.models.token_names import in_text_order

L = 3
TASKS = {
    "agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy"),
    "objects": Task("objects", "pictures", "local", "multilabel", ["cat", "dog"], ["no", "yes"], "accuracy"),
}
MODELS = {"llava": Model("llava", "hub", "pretrained", L, 8)}


def row(probe, layer, split, value, label="agrees", **more):
    found = {"model": "llava", "task": "agree", "prompt": "plain", "probe": probe, "layer": layer, "n_layers": L}
    found |= {"label": label, "split": split, "metric": "accuracy", "value": value, "low": value - 0.1}
    return found | {"high": value + 0.1, "n": 100, "n_groups": 50, "layer_name": "", "p_value": 0.1} | more


@pytest.fixture
def scores():
    rows = [row("logistic", layer, split, 0.6) for layer, split in product(range(L + 2), ("val", "test"))]
    return pd.DataFrame([*rows, *(row("majority", -1, split, 0.5) for split in ("val", "test"))])


@pytest.fixture
def positions():
    """Best on validation in the final norm, then at the word in block 2; on test elsewhere."""
    rows = []
    for position, layer, split in product(("word-red", "image-mean"), range(L + 2), ("val", "test")):
        value = {("word-red", 2, "val"): 0.8, ("word-red", L + 1, "val"): 0.95, ("image-mean", 1, "test"): 0.9}
        of = {"position": position, "chance": 0.55, "lacking": 0, "n": 100}
        if position == "word-red":
            of |= {"lacking": 20, "n": 80, "chance": 0.4}
        rows.append(row("logistic", layer, split, value.get((position, layer, split), 0.5), **of))
    return pd.DataFrame(rows).drop(columns="probe")


def test_each_position_stands_beside_the_first_and_validation_chooses(scores, positions):
    table = at_each_position(positions, scores, TASKS, "last")
    assert list(table["position"].unique()) == ["image-mean", "word-red", "last"]
    assert table["task"].unique() == ["agree"]
    assert [(r.position, r.layer) for r in table[table["best"]].itertuples()] == [("word-red", 2)]
    of_position = table.groupby("position")[["majority", "n", "lacking"]].first()
    assert of_position.loc["word-red"].tolist() == [0.4, 80, 20]
    assert of_position.loc["last"].tolist() == [0.5, 100, 0]
    assert (table.groupby("position")["layer"].nunique() == L + 2).all()


def test_the_map_shows_each_score_in_its_place_and_frames_the_best(scores, positions):
    table = at_each_position(positions, scores, TASKS, "last")
    (axes, _bar) = draw_positions(table, TASKS, MODELS).subfigs[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "image tokens, mean", "the word “red”", "last token",
    ]  # fmt: skip
    numbers = {text.xy: text.get_text() for text in axes.texts}
    assert len(numbers) == 3 * (L + 1)
    assert numbers[1, 0] == "90"
    assert numbers[2, 2] == "60"
    (frame,) = axes.patches
    assert (frame.get_x(), frame.get_y()) == (1.5, 0.5)
    # Above the majority of its own items: 0.5 is above 0.4 for the word, below 0.55 for the image.
    shades = axes.images[0].get_array()
    assert shades[1, 0] == pytest.approx(0.1 / 0.6)
    assert shades[0, 0] == pytest.approx(-0.05 / 0.45)


def test_a_study_without_further_positions_has_no_map(scores, positions):
    table = at_each_position(positions, scores, TASKS, "last")
    with pytest.raises(InputError, match=r"name some in tasks.NAME.positions"):
        draw_positions(table.iloc[:0], TASKS, MODELS)


def test_positions_are_in_the_order_of_most_texts():
    mixed = ["last", "word-red", "text-mean", "object-mean", "image-last", "question-last", "image-mean", "word-a"]
    assert in_text_order(mixed) == [
        "image-mean", "image-last", "object-mean", "word-a", "word-red", "text-mean", "question-last", "last",
    ]  # fmt: skip
