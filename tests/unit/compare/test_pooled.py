"""Probes of image tokens from kept tokens to the figure, by the programs: one object's token tells its label."""

import json

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing.pooled import PLACES, POOLINGS
from layerwise.figures.drawing.style import figure_style
from layerwise.tokens.sampling import Drawn
from layerwise.tokens.writing import write_tokens
from tests.cells import run_here
from tests.conftest import REPOSITORY
from tests.given import OPTIONS, given

ACROSS, DOWN, WIDTH = 4, 3, 8
SIZES = {"train": 70, "val": 25, "test": 30}
LABELS = ["cat", "dog"]
TASKS = {"objects": Task("objects", "s", "local", "multilabel", LABELS, ["absent", "present"], "accuracy")}
MODELS = {"m": Model("m", "hub", "pretrained", 3, WIDTH), "twin": Model("twin", "hub", "random", 3, WIDTH)}
# Not all layers are kept.
LAYERS = {0: "embeddings", 2: "block 2"}


def pictures(rng, n):
    """Where each object is, -1 if it is absent: tokens of a grid."""
    at = np.stack([rng.permutation(ACROSS * DOWN)[: len(LABELS)] for _ in range(n)])
    return np.where(rng.random((n, len(LABELS))) < 0.5, at, -1)


def tokens_of(rng, at, strength):
    """Tokens of a layer: an object's token is far out in a dimension. Pictures differ in it too, which hides the object
    from the mean, but not from what compares a picture's tokens."""
    tokens = rng.normal(size=(len(at), ACROSS * DOWN, WIDTH)).astype(np.float32)
    tokens += 2 * rng.normal(size=(len(at), 1, WIDTH))
    for label in range(len(LABELS)):
        there = np.flatnonzero(at[:, label] >= 0)
        tokens[there, at[there, label], label] += strength
    return tokens


def write_cell(folder, model, strengths, rng, at, boxed=True, placed=True):
    n, most = len(at), ACROSS * DOWN
    ids = [f"p{picture:03d}" for picture in range(n)]
    items = [f"{picture}/{label}" for picture in ids for label in LABELS]
    corners = np.array(
        [[x / ACROSS, y / DOWN, (x + 1) / ACROSS, (y + 1) / DOWN] for y in range(DOWN) for x in range(ACROSS)]
    )
    boxes = [
        (picture, LABELS[label], *corners[token])
        for picture, of_picture in enumerate(at)
        for label, token in enumerate(of_picture)
        if token >= 0 and boxed
    ]
    drawn = Drawn(
        pd.DataFrame({"image": [f"{picture}.png" for picture in ids]}),
        ids,
        items,
        np.repeat(np.arange(n), len(LABELS)),
        pd.DataFrame(boxes, columns=["picture", "category", "left", "top", "right", "bottom"]),
    )
    layers = np.stack([tokens_of(rng, at, strength) for strength in strengths], axis=2)
    places = np.tile(corners.astype(np.float32), (n, 1, 1)) if placed else np.full((n, most, 4), np.nan, np.float32)
    part = {"tokens": layers, "places": places, "counts": np.full(n, most)}
    made = {"model_digest": "a", "stimuli_digest": "b", "layers": None}
    how = {"most": most, "width": WIDTH, "layers": LAYERS, "n_layers": 3, "dtype": "float32", "cell": made}
    write_tokens(folder / f"{model}.h5", drawn, [(0, part)], **how)
    for file, digest in ((f"{model}.json", "a"), ("stimuli.json", "b")):
        (folder / file).write_text(json.dumps({"digest": digest}))
    split = np.repeat(list(SIZES), list(SIZES.values()))
    labels = pd.DataFrame(
        {
            "item_id": items,
            "image_id": np.repeat(ids, len(LABELS)),
            "group": np.repeat(ids, len(LABELS)),
            "label": LABELS * n,
            "y": (at >= 0).astype(int).ravel(),
            "split": np.repeat(split[:n], len(LABELS)),
        }
    )
    # Other items show pictures whose tokens are not kept.
    left_out = labels[:6].assign(item_id=[f"other/{place}" for place in range(6)])
    (folder / "objects").mkdir(exist_ok=True)
    pd.concat([left_out, labels]).to_parquet(folder / "objects/labels.parquet")
    (folder / "objects/task.json").write_text(json.dumps(vars(TASKS["objects"])))


def fit(folder, model, monkeypatch, **changed):
    out = folder / "probes" / model / "objects"
    out.mkdir(parents=True, exist_ok=True)
    options = {
        "states": folder / f"{model}.h5",
        "cell": json.dumps({"layers": None}),
        "model": folder / f"{model}.json",
    }
    options |= {"stimuli": folder, "task": folder / "objects", "engine": "torch", "resamples": 50, "seed": 0}
    options |= {"threads": 1, "memory-mb": 512}
    options |= {"scores": out / "pooled.parquet", "predictions": out / "pooled-predictions.parquet"}
    options |= {"places": out / "pooled-places.parquet"} | changed
    listed = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    run_here(["python", str(REPOSITORY / "scripts/fit_pooled_probes.py"), *listed, "--C", "0.01", "1"], monkeypatch)
    return out


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """Both programs' files, of a model whose block 2 knows the objects and of one that knows nothing."""
    folder = tmp_path_factory.mktemp("pooled")
    with pytest.MonkeyPatch.context() as monkeypatch:
        rng = np.random.default_rng(1)
        at = pictures(rng, sum(SIZES.values()))
        for model, strengths in (("m", (0, 8)), ("twin", (0, 0))):
            write_cell(folder, model, strengths, rng, at)
            fit(folder, model, monkeypatch)
        cells = ["m/objects", "twin/objects"]
        gathering = ["--root", str(folder / "probes"), "--cells", *cells, "--out", str(folder / "pooled.parquet")]
        run_here(["python", str(REPOSITORY / "scripts/gather_pooled.py"), *gathering], monkeypatch)
    return folder


@pytest.fixture(scope="module")
def compared(probed):
    more = {"pooled-scores": pd.read_parquet(probed / "pooled.parquet"), "pooled-predictions": probed / "probes"}
    more |= {"pooled-place-scores": probed / "probes"}
    return given(probed, ("pooled-differences", "pooled-places"), OPTIONS, tasks=TASKS, models=MODELS, **more)


def test_a_query_finds_what_the_mean_loses(probed, compared):
    table = compared.comparison("pooled-differences")
    assert list(zip(table["model"], table["layer"], strict=True)) == [("m", 0), ("m", 2), ("twin", 0), ("twin", 2)]
    assert (table["n_layers"] == 3).all()
    known = table.set_index(["model", "layer"])
    there = known.loc["m", 2]
    assert there["attention"] > 0.9
    assert there["mean"] < 0.75
    assert there["difference_low"] > 0.1
    assert there["p_holm"] < 0.05
    np.testing.assert_allclose(table["difference"], table["attention"] - table["mean"], atol=1e-9)
    # Where there is nothing to know, neither knows it.
    nothing = known.drop(index=("m", 2))
    assert (nothing["difference_low"] < 0.05).all()
    assert (nothing["p_holm"] > 0.05).all()
    scores = pd.read_parquet(probed / "pooled.parquet")
    shown = scores.query(
        "model == 'm' and depth == 2 and split == 'test' and label == 'macro' and metric == 'accuracy'"
    )
    of = shown.set_index(["probe", "pooling"])
    assert there["attention"] == of.loc[("logistic", "attention"), "value"]
    assert (there["mean_low"], there["mean_high"]) == tuple(of.loc[("logistic", "mean"), ["low", "high"]])
    assert there["n"] == 2 * SIZES["test"]


def test_a_query_looks_at_its_object(probed, compared):
    places = compared.comparison("pooled-places")
    table = places[places["measure"] == "pointing"].set_index(["model", "layer"])
    there = table.loc["m", 2]
    assert there["value"] > 0.8
    # Of two words the intervals are wide.
    assert there["value"] - there["shuffled"] > 0.3
    assert there["value"] - there["other_object"] > 0.3
    # A token in twelve.
    assert (table.drop(index=("m", 2))["value"] < 0.35).all()
    assert set(table["n_layers"]) == {3}
    looks = pd.read_parquet(probed / "probes/m/objects/pooled-places.parquet")
    labels = pd.read_parquet(probed / "objects/labels.parquet").set_index("image_id")
    assert (labels.loc[looks["image_id"].unique(), "split"] == "test").all()
    assert set(looks["layer"]) == {0, 2}
    assert set(looks["word"]) == set(LABELS)


def test_the_figure_has_scores_above_places(compared):
    with figure_style():
        drawing = FIGURES["pooled"].draw(compared, "")
    scores, of_twin, places, _ = drawing.get_axes()
    assert scores.get_ylim() == of_twin.get_ylim()
    above, below = (axes.get_subplotspec().rowspan.start for axes in (scores, places))
    assert (above, below) == (0, 1)
    lines = {line.get_label(): line for line in scores.get_lines()}
    assert list(lines[POOLINGS["attention"]].get_xdata()) == [0, 2]
    assert list(lines["_above"].get_xdata()) == [2]
    assert not len({line.get_label(): line for line in of_twin.get_lines()}["_above"].get_xdata())
    assert "in a box" in places.get_ylabel()
    lines = {line.get_label(): line for line in places.get_lines()}
    assert list(lines[PLACES["value"]].get_xdata()) == [0, 2]
    assert {PLACES["shuffled"], PLACES["other_object"]} < set(lines)


def test_predictions_of_another_run_are_refused(probed, tmp_path):
    scores = pd.read_parquet(probed / "pooled.parquet")
    scores.loc[(scores["probe"] == "logistic") & (scores["pooling"] == "attention"), "value"] -= 0.1
    more = {"pooled-scores": scores, "pooled-predictions": probed / "probes"}
    with pytest.raises(InputError, match=r"pooled-predictions\.parquet: the predictions of layer 1 give accuracy"):
        given(tmp_path, ("pooled-differences",), OPTIONS, tasks=TASKS, models=MODELS, **more)


@pytest.mark.parametrize(("boxed", "placed"), [(False, True), (True, False)])
def test_without_boxes_or_places_there_are_scores_alone(probed, tmp_path, monkeypatch, boxed, placed):
    rng = np.random.default_rng(2)
    write_cell(tmp_path, "m", (0, 8), rng, pictures(rng, sum(SIZES.values())), boxed, placed)
    out = fit(tmp_path, "m", monkeypatch)
    assert pd.read_parquet(out / "pooled-places.parquet").empty
    scores = pd.read_parquet(out / "pooled.parquet").assign(model="m", task="objects")
    more = {
        "pooled-scores": scores,
        "pooled-predictions": tmp_path / "probes",
        "pooled-place-scores": tmp_path / "probes",
    }
    made = given(tmp_path, ("pooled-differences", "pooled-places"), OPTIONS, tasks=TASKS, models=MODELS, **more)
    assert made.comparison("pooled-places").empty
    assert len(made.comparison("pooled-differences")) == 2
    with figure_style():
        assert len(FIGURES["pooled"].draw(made, "").get_axes()) == 1


def test_a_label_that_the_sample_lacks_is_left_out(tmp_path, monkeypatch, caplog):
    rng = np.random.default_rng(3)
    at = pictures(rng, sum(SIZES.values()))
    # No picture with a cat is kept for validation.
    at[SIZES["train"] : SIZES["train"] + SIZES["val"], 0] = -1
    write_cell(tmp_path, "m", (0, 8), rng, at)
    out = fit(tmp_path, "m", monkeypatch)
    assert "objects: cat left out" in caplog.text
    scores = pd.read_parquet(out / "pooled.parquet").assign(model="m", task="objects")
    assert set(scores["label"]) == {"dog"}
    more = {"pooled-scores": scores, "pooled-predictions": tmp_path / "probes"}
    made = given(tmp_path, ("pooled-differences",), OPTIONS, tasks=TASKS, models=MODELS, **more)
    assert set(made.comparison("pooled-differences")["label"]) == {"dog"}
    at[-SIZES["test"] :] = -1
    write_cell(tmp_path, "m", (0, 8), rng, at)
    with pytest.raises(InputError, match=r"'cat' lacks a class in val; raise pooled\.share"):
        fit(tmp_path, "m", monkeypatch)


def test_tokens_of_another_cell_are_refused(probed, monkeypatch):
    with pytest.raises(InputError, match=r"m\.h5: these tokens are of another cell \(layers changed since\)"):
        fit(probed, "m", monkeypatch, cell=json.dumps({"layers": [1]}))
