"""Vision tower, projector and decoder on one axis and in pairs, from real probes of planted states."""

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.drawing.style import figure_style
from layerwise.figures.drawing.tower import PICTURE, part_ticks
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.problems import make_problems
from tests.given import OPTIONS, given

TASKS = {"objects": Task("objects", "pictures", "local", "binary", ["dog"], ["no", "yes"], "accuracy")}
MODELS = {"m": Model("m", "hub", "pretrained", n_layers=3, width=6)}
PROMPTS = {"m": {"objects": ["cued", "plain"]}}
# By part, pooling and depth how far a layer tells the classes apart.
APART = {("tower", "patch-mean", depth): apart for depth, apart in enumerate((0.2, 1.0, 3.0))}
APART |= {("tower", "class-token", 1): 4.0, ("projector", "image-mean", 3): 3.0}
APART |= {("decoder", "image-mean", depth): apart for depth, apart in ((1, 1.0), (2, 0.6), (3, 0.4))}
LAST = {"cued": (0.0, 0.3, 2.0, 1.5, 1.5), "plain": (0.0, 0.1, 0.2, 0.1, 0.1)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scores and predictions of 60 test images."""
    root = tmp_path_factory.mktemp("probes")
    rng, n = np.random.default_rng(0), 160
    y = rng.integers(0, 2, n)
    items = [f"i{number:03d}" for number in range(n)]
    labels = pd.DataFrame({"item_id": items, "group": items, "label": "dog", "y": y})
    labels["split"] = np.repeat(["train", "val", "test"], [60, 40, 60])
    probes = LayerProbes(
        make_problems(labels, ["dog"], 2, items, np.arange(n)), SklearnEngine(), [0.1], "accuracy", 100, 0, repeats=1
    )
    folder = root / "m" / "objects"
    folder.mkdir(parents=True)

    def fitted(apart):
        states = rng.normal(size=(n, 6))
        states[:, 0] += apart * y
        return probes.layer(states.astype(np.float32), "")

    tower = [probes.majority().assign(part="", pooling="", depth=-1, layer=-1, layer_name="majority")]
    predictions = []
    for place, ((part, pooling, depth), apart) in enumerate(APART.items()):
        found = fitted(apart)
        named = {"part": part, "pooling": pooling, "depth": depth, "layer_name": f"{part} {depth}"}
        tower.append(found.scores.assign(**named, layer=place))
        predictions.append(found.predictions.assign(layer=place))
    pd.concat(predictions).to_parquet(folder / "tower-predictions.parquet")
    scores = []
    for prompt, of_layers in LAST.items():
        cell = {"model": "m", "task": "objects", "prompt": prompt, "n_layers": 3}
        scores.append(probes.majority().assign(layer=-1, layer_name="majority", **cell))
        predictions = []
        for layer, apart in enumerate(of_layers):
            found = fitted(apart)
            scores.append(found.scores.assign(layer=layer, layer_name=f"block {layer}", **cell))
            predictions.append(found.predictions.assign(layer=layer))
        pd.concat(predictions).to_parquet(folder / f"{prompt}.predictions.parquet")
    return root, pd.concat(tower, ignore_index=True).assign(model="m", task="objects"), pd.concat(scores)


def compared(made, tmp_path, tower=None, position="last", prompts=PROMPTS):
    root, own, scores = made
    options = OPTIONS | {"position": position, "tower": prompts}
    more = {"tower-scores": own if tower is None else tower, "tower-predictions": root}
    more |= {"scores": scores.reset_index(drop=True), "predictions": root}
    return given(tmp_path, ("tower", "tower-differences"), options, tasks=TASKS, models=MODELS, **more)


def test_all_parts_are_on_one_axis(made, tmp_path):
    _, tower, scores = made
    table = compared(made, tmp_path).comparison("tower")
    assert table["n_tower"].unique() == [2]
    assert table["n_layers"].unique() == [3]
    places = table[table["pooling"] == "image-mean"].set_index("part")["place"]
    assert places["projector"] == 3
    assert list(places["decoder"]) == [4, 5, 6]
    last = table[table["pooling"] == "last"]
    # Neither the embedding of the last token, which has not seen the picture, nor the final norm.
    assert list(last[last["prompt"] == "cued"]["place"]) == [4, 5, 6]
    test = tower.query("split == 'test' and metric == 'accuracy' and probe == 'logistic'").set_index(
        ["part", "pooling", "depth"]
    )
    ours = table[table["prompt"] == ""].set_index(["part", "pooling", "depth"])
    for key, row in ours.iterrows():
        assert (row["value"], row["low"]) == (test.loc[key, "value"], test.loc[key, "low"])
    selectivity = scores.query(
        "probe == 'selectivity' and metric == 'accuracy' and split == 'test' and prompt == 'cued'"
    )
    wanted = selectivity.set_index("layer")["value"]
    assert list(last[last["prompt"] == "cued"]["selectivity"]) == list(wanted[[1, 2, 3]])
    assert (table["majority"] == table["majority"].iloc[0]).all()
    assert 0.4 < table["majority"].iloc[0] < 0.7


def test_best_layers_are_compared_in_pairs(made, tmp_path):
    table = compared(made, tmp_path).comparison("tower-differences")
    pairs = list(zip(table["first"], table["second"], table["pooling"], table["prompt"], strict=True))
    assert pairs == [
        ("tower", "projector", "image-mean", ""),
        ("tower", "decoder", "image-mean", ""),
        ("projector", "decoder", "image-mean", ""),
        ("tower", "decoder", "last", "cued"),
        ("projector", "decoder", "last", "cued"),
        ("tower", "decoder", "last", "plain"),
        ("projector", "decoder", "last", "plain"),
    ]
    # The class token, which is best of all, is of another pooling.
    assert (table.loc[table["first"] == "tower", "first_layer"] == "tower 2").all()
    assert list(table["same_pooling"]) == [True] * 3 + [False] * 4
    np.testing.assert_allclose(table["difference"], table["second_value"] - table["first_value"], atol=1e-9)
    assert (table["difference_low"] <= table["difference"]).all()
    assert (table["p_holm"] >= table["p_value"]).all()
    lost = table.set_index(["first", "second", "pooling", "prompt"])
    assert lost.loc[("tower", "decoder", "image-mean", ""), "difference_high"] < 0
    assert lost.loc[("projector", "decoder", "last", "plain"), "p_holm"] < 0.05
    assert lost.loc[("tower", "projector", "image-mean", ""), "p_holm"] > 0.05


def test_a_study_that_probes_the_images_tokens_has_one_line_of_them(made, tmp_path):
    table = compared(made, tmp_path, position="image-mean").comparison("tower")
    decoder = table[table["part"] == "decoder"]
    assert set(decoder["prompt"]) == {"cued", "plain"}
    assert set(decoder["pooling"]) == {"image-mean"}


def test_predictions_of_another_run_are_refused(made, tmp_path):
    _, tower, _ = made
    other = tower.copy()
    logistic = (other["probe"] == "logistic") & (other["part"] == "projector") & (other["split"] == "test")
    other.loc[logistic, "value"] -= 0.1
    with pytest.raises(InputError, match=r"tower-predictions\.parquet: the predictions of layer 4 give accuracy"):
        compared(made, tmp_path, other)


def test_the_figure_marks_the_borders(made, tmp_path):
    found = compared(made, tmp_path)
    with figure_style():
        drawing = FIGURES["tower"].draw(found, "")
    (axes,) = drawing.get_axes()
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines[PICTURE].get_xdata()) == [0, 1, 2, 3, 4, 5, 6]
    assert list(lines["class token"].get_xdata()) == [1]
    assert list(lines["last token, cued"].get_xdata()) == [4, 5, 6]
    upright = [
        line.get_xdata()[0] for line in axes.get_lines() if len(set(line.get_xdata())) == 1 < len(line.get_xdata())
    ]
    assert upright == [2.5, 3.5]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2", "P", "1", "2", "3"]
    assert {"vision tower", "decoder"} <= {text.get_text() for text in axes.texts}


def test_deep_models_have_few_ticks():
    ticks = part_ticks(24, 32)
    assert list(ticks.values()) == ["0", "6", "12", "18", "24", "P", "8", "16", "24", "32"]
    assert list(ticks)[5:7] == [25, 33]
    # Without a decoder's layer the axis ends at the projector.
    assert list(part_ticks(2, -1).values()) == ["0", "1", "2", "P"]


def test_the_table_says_what_is_read(made, tmp_path):
    ((section,), csv) = TABLES["table-tower"].write(compared(made, tmp_path), "last")
    assert list(section.frame["Read at"])[2:4] == ["image tokens, mean", "last token (cued)"]
    assert section.frame["Later - earlier"].str.match(r"^[+−-]").all()
    assert csv.startswith("model,task,metric,label,first,")
