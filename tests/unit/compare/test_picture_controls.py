"""What prompts show of several pictures, in words; controls beside the prompt with all; each picture's tokens."""

import re

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.compare.shown_pictures import OWN, in_words, is_own, rank
from layerwise.compare.statistics.picture_controls import compare_controls
from layerwise.compare.statistics.picture_positions import of_each_picture
from layerwise.errors import InputError
from layerwise.figures.drawing.picture_controls import draw_controls
from layerwise.figures.drawing.pictures_by_layer import draw_pictures
from layerwise.figures.drawing.style import figure_style
from layerwise.figures.writing.overview import overview_sections
from layerwise.figures.writing.picture_controls import best_rows, sections
from layerwise.figures.writing.sections import to_markdown

L, N = 2, 60
TASKS = {"order": Task("order", "frames", "global", "binary", ["first"], ["no", "yes"], "accuracy")}


def prompt(name, text="What?", pictures=2, **shown):
    image = {"image": "chosen" if "images" in shown else shown.pop("image", "shown")}
    return {"stimuli": "frames", "prompt": name, "pictures": pictures, "text": text} | image | shown


PROMPTS = [
    # In the order of their names, as in prompts.json.
    prompt("a-other", images=[1, "shuffled"]),
    prompt("b-text", image="none"),
    prompt("c-plain"),
    prompt("d-drawn", image="random-order"),
    prompt("e-other-words", text="Which?", image="none"),
    prompt("f-one", images=[1, "none"]),
    prompt("g-lonely", text="Where?"),
]
# Right answers by prompt and layer; the best layer on validation is the second of the two best for c-plain.
RIGHT = {
    "a-other": [30, 40, 30],
    "b-text": [30, 30, 30],
    "c-plain": [30, 50, 54],
    "d-drawn": [30, 45, 44],
    "e-other-words": [31, 31, 31],
    "f-one": [30, 38, 48],
    "g-lonely": [30, 30, 30],
}


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({}, "all pictures in order"),
        ({"image": "none"}, "text alone"),
        ({"image": "blank"}, "all pictures blank"),
        ({"image": "shuffled"}, "another item's pictures"),
        ({"image": "random-order"}, "pictures in random order"),
        ({"images": [2, 1]}, "pictures swapped"),
        ({"images": [3, 2, 1]}, "pictures in reverse order"),
        ({"images": [3, 1, 2]}, "pictures in the order 3, 1 and 2"),
        ({"images": [1, "none"]}, "picture 2 left out"),
        ({"images": ["blank", 2, 3]}, "picture 1 blank"),
        ({"images": [1, "shuffled", 3]}, "picture 2 of another item"),
        ({"images": ["none", 2, "none"]}, "picture 2 alone"),
        ({"images": ["none", "none", 2]}, "picture 2 in place of 3, places 1 and 2 left out"),
        ({"images": [2, "none"]}, "picture 2 in place of 1, place 2 left out"),
        ({"images": [2, "blank"]}, "picture 2 in place of 1, place 2 blank"),
        ({"images": [1, 1]}, "picture 1 in place of 2"),
        ({"images": ["none", 2, "blank"]}, "picture 1 left out, picture 3 blank"),
    ],
)
def test_what_a_prompt_shows_in_words(shown, words):
    assert in_words(prompt("p", **shown)) == words
    assert is_own(prompt("p", **shown)) is (words == OWN)


def test_controls_stand_from_other_orders_to_the_text_alone():
    shown = [
        *({}, {"images": [2, 1]}, {"image": "random-order"}, {"images": ["none", 2]}, {"images": [1, "blank"]}),
        *({"images": [1, "shuffled"]}, {"image": "blank"}, {"image": "shuffled"}, {"image": "none"}),
    ]
    ranks = [rank(prompt("p", **entry)) for entry in shown]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


def write_predictions(folder, model, name, right):
    items = [f"i{i:02}" for i in range(N)]
    y = np.arange(N) % 2
    tables = [
        pd.DataFrame(
            {"layer": layer, "label": "first", "split": "test", "item_id": items, "group": items, "y": y}
        ).assign(scores=[[1.0 if (i < hits) == (y[i] == 1) else -1.0] for i in range(N)])
        for layer, hits in enumerate(right)
    ]
    path = folder / model / "order" / f"{name}.predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).to_parquet(path)


def scores_of(folder, models=("own",)):
    rows = []
    for model in models:
        for name, right in RIGHT.items():
            write_predictions(folder, model, name, right)
            for layer, hits in enumerate(right):
                row = {"model": model, "task": "order", "prompt": name, "layer": layer, "n_layers": L, "label": "first"}
                row |= {"metric": "accuracy", "layer_name": str(layer), "value": hits / N, "n": N, "n_groups": N}
                row |= {"low": hits / N - 0.1, "high": hits / N + 0.1, "probe": "logistic"}
                rows += [row | {"split": split} for split in ("val", "test")]
            rows.append(row | {"split": "test", "probe": "majority", "layer": -1, "value": 0.5})
    return pd.DataFrame(rows)


@pytest.fixture
def table(tmp_path):
    return compare_controls(scores_of(tmp_path), TASKS, ["own"], PROMPTS, tmp_path, 200, 999, 0)


def test_each_control_is_compared_with_the_same_words_and_all_pictures_in_order(table):
    assert list(table["control"].unique()) == ["", "d-drawn", "f-one", "a-other", "b-text"]
    assert set(table["prompt"]) == {"c-plain"}
    best = table[table["is_best"]].set_index("control")
    assert best["layer"].to_dict() == {"": 2, "d-drawn": 1, "f-one": 2, "a-other": 1, "b-text": 0}
    assert np.isnan(best.loc["", "difference"])
    for control, lost in {"d-drawn": 9, "f-one": 6, "a-other": 14, "b-text": 24}.items():
        row = best.loc[control]
        assert row["difference"] == pytest.approx(lost / N)
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        assert row["p_value"] <= row["p_holm"] < 0.2
    assert best.loc["b-text", "p_holm"] < 0.01
    # Elsewhere nothing is compared.
    assert table.loc[~table["is_best"], ["difference", "p_value", "p_holm"]].isna().all(axis=None)
    assert set(table["majority"]) == {0.5}


def test_predictions_of_another_run_are_refused(tmp_path):
    scores = scores_of(tmp_path)
    write_predictions(tmp_path, "own", "f-one", [30, 38, 47])
    with pytest.raises(InputError, match=re.escape("f-one.predictions.parquet")):
        compare_controls(scores, TASKS, ["own"], PROMPTS, tmp_path, 200, 999, 0)


def test_without_a_control_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(InputError, match="add prompts of the same text with `image` or `images`"):
        compare_controls(scores_of(tmp_path), TASKS, ["own"], [PROMPTS[2], PROMPTS[4]], tmp_path, 200, 999, 0)
    # Of single pictures it is the figure of hidden images that shows them.
    single = [{**one, "pictures": 1} for one in PROMPTS if "images" not in one]
    with pytest.raises(InputError, match="add prompts"):
        compare_controls(scores_of(tmp_path), TASKS, ["own"], single, tmp_path, 200, 999, 0)


def test_the_figure_draws_each_control_by_layer_and_in_its_best_layer(table):
    with figure_style():
        drawing = draw_controls(table, TASKS)
    by_layer, best = drawing.subfigs[0].axes
    assert by_layer.get_title() == "order: c-plain"
    lines = {line.get_label(): line for line in by_layer.get_lines() if not line.get_label().startswith("_")}
    words = ["all pictures in order", "pictures in random order", "picture 2 left out", "picture 2 of another item"]
    assert list(lines) == [*words, "text alone"]
    np.testing.assert_allclose(lines["picture 2 left out"].get_ydata(), np.array(RIGHT["f-one"]) / N)
    assert lines["all pictures in order"].get_linewidth() > lines["picture 2 left out"].get_linewidth()
    rows = [text.get_text().replace("\n", " ") for text in best.get_yticklabels()]
    assert rows == [*words, "text alone"]
    marks = [container.lines[0].get_xdata()[0] for container in best.containers]
    np.testing.assert_allclose(marks, np.array([54, 45, 48, 40, 30]) / N)
    assert [text.get_text() for text in drawing.legends[0].get_texts()][:5] == [*words, "text alone"]


def test_the_table_has_a_row_for_each_control(table):
    written = to_markdown("Controls", sections(best_rows(table)))
    assert "| own | c-plain | all pictures in order | 2 | 90.0 [80.0, 100.0] | 50.0 | – | – |" in written
    assert re.search(
        r"\| own \| c-plain \| picture 2 left out \| 2 \| 80.0 \[70.0, 90.0\] \| 50.0 \| \+10.0 \[", written
    )


def test_each_picture_stands_beside_the_position_that_probes_read(tmp_path):
    scores = scores_of(tmp_path, ["own", "untrained"])
    cell = {"task": "order", "prompt": "c-plain", "label": "first", "metric": "accuracy", "n_layers": L, "chance": 0.5}
    positions = pd.DataFrame(
        {**cell, "model": model, "position": f"image-{k}-mean", "layer": layer, "split": split}
        | {"value": v, "low": v - 0.1, "high": v + 0.1}
        for model in ("untrained", "own")
        for k in (10, 2, 1)
        for layer in range(L + 2)
        for split, v in (("val", 0.1), ("test", 0.5 + 0.01 * k + 0.1 * layer))
    )
    table = of_each_picture(positions, scores, TASKS, "last")
    assert set(table["prompt"]) == {"c-plain"}
    assert set(table["position"]) == {"last", "image-1-mean", "image-2-mean", "image-10-mean"}
    assert table["value"].min() >= 0.5
    assert set(table["majority"]) == {0.5}
    models = {
        name: Model(name, "hub", weights, L, 8) for name, weights in (("own", "pretrained"), ("untrained", "random"))
    }
    with figure_style():
        drawing = draw_pictures(table, TASKS, models)
    names = [text.get_text() for text in drawing.legends[0].get_texts()][:4]
    assert names == ["last token", *(f"picture {k}'s tokens, mean" for k in (1, 2, 10))]
    own, untrained = drawing.subfigs[0].axes
    assert [axes.get_title() for axes in (own, untrained)] == ["order: c-plain, own", "order: c-plain, untrained"]
    lines = {line.get_label(): line.get_ydata() for line in own.get_lines()}
    # The final norm is left out, as in all figures within blocks.
    np.testing.assert_allclose(lines["picture 2's tokens, mean"], [0.52, 0.62, 0.72])
    np.testing.assert_allclose(lines["last token"], np.array(RIGHT["c-plain"]) / N)


def test_table_1_says_what_prompts_show_of_several_pictures(tmp_path):
    models = {"own": Model("own", "hub", "pretrained", L, 8)}
    single = {"stimuli": "photos", "prompt": "plain", "text": "What is it?", "image": "shown"}
    written = to_markdown("Table 1", overview_sections(scores_of(tmp_path), TASKS, models, [*PROMPTS, single], "last"))
    assert "| frames | f-one | 2: picture 2 left out | What? |" in written
    assert "| photos | plain | 1 | What is it? |" in written
    alone = to_markdown("Table 1", overview_sections(scores_of(tmp_path), TASKS, models, [single], "last"))
    assert "| photos | plain | What is it? |" in alone
