"""Layers that numbers are read from, against each other: known differences, and null data."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.numbers import LEAST_IMAGES, NumberPair
from layerwise.errors import InputError
from layerwise.figures.catalogue import TABLES
from tests.given import given

AREA = Task("area", "images", "local", "regression", ["a", "b"], [], "r2")


def frame(y, estimate, group, label="a", text=None):
    items = [f"{label}{i:05d}" for i in range(len(y))]
    texts = np.arange(len(y)) if text is None else text
    return pd.DataFrame({"label": label, "item_id": items, "group": group, "text": texts, "y": y, "estimate": estimate})


def null_pair(rng, n_images=LEAST_IMAGES, per_image=3):
    """Two layers that are as good: their errors within an image go together, and some images are hard."""
    group = np.repeat(np.arange(n_images), per_image)
    y = rng.standard_normal(len(group))
    hard = np.exp(rng.standard_normal(n_images) / 2)[group]
    read = [y + hard * (rng.standard_normal(n_images)[group] + 0.3 * rng.standard_normal(len(y))) for _ in range(2)]
    return NumberPair.of(*(frame(y, estimate, group) for estimate in read))


def test_p_values_are_uniform_when_the_layers_are_equally_good():
    rng = np.random.default_rng(5)
    p = np.array([null_pair(rng).compared(20, 199, rng).p_value for _ in range(200)])
    # A test of items rather than images would reject 20 % at 5 %.
    assert (p <= 0.05).mean() < 0.085
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_the_difference_is_that_of_scikit_learn_and_the_sum_of_what_images_add():
    rng = np.random.default_rng(1)
    frames: list[list[pd.DataFrame]] = [[], []]
    expected = []
    for label, n in (("a", 600), ("b", 400)):
        y, group = rng.standard_normal(n) * 40, np.arange(n) % 200
        read = [y + scale * rng.standard_normal(n) for scale in (10, 30)]
        for side, estimate in zip(frames, read, strict=True):
            side.append(frame(y, estimate, group, label))
        expected.append(r2_score(y, read[0]) - r2_score(y, read[1]))
    pair = NumberPair.of(*map(pd.concat, frames))
    found = pair.compared(300, 999, rng)
    assert found.difference == pytest.approx(np.mean(expected))
    assert pair.gains.by_part.sum() == pytest.approx(np.mean(expected))
    assert found.low < found.difference < found.high
    assert found.p_value < 0.001
    with pytest.raises(InputError, match="of different items"):
        NumberPair.of(pd.concat(frames[0]), pd.concat(frames[1]).iloc[::-1])


def test_few_images_and_shared_texts():
    rng = np.random.default_rng(2)
    assert np.isnan(null_pair(rng, LEAST_IMAGES - 1).compared(20, 99, rng).p_value)
    # 160 texts, each read with 20 images, and all of a text's errors alike: Student's t by text, too.
    text = np.arange(3200) // 20
    group = np.arange(3200) % 20 * 8 + text % 8
    y = rng.standard_normal(3200)
    read = [y + rng.standard_normal(160)[text] for _ in range(2)]
    crossed = NumberPair.of(*(frame(y, estimate, group, text=text) for estimate in read))
    alone = NumberPair.of(*(frame(y, estimate, group) for estimate in read))
    assert (crossed.is_crossed, alone.is_crossed) == (True, False)
    assert crossed.compared(100, 999, rng).p_value > 0.001
    widths = [found.high - found.low for found in (pair.compared(100, 999, rng) for pair in (crossed, alone))]
    assert widths[0] > 3 * widths[1]
    few = replace(crossed, texts=[text % 140])
    assert few.is_crossed
    assert np.isnan(few.compared(100, 999, rng).p_value)


@pytest.fixture
def cell(tmp_path):
    """Three layers and a norm; layer 1 is the best on validation, and layer 0 knows nothing."""
    rng = np.random.default_rng(0)
    n, rows, estimates = 480, [], []
    group = np.repeat(np.arange(160), 3)
    for label in AREA.labels:
        for split in ("val", "test"):
            y = rng.standard_normal(n)
            for layer, noise in enumerate((30.0, 0.5, 0.8, 0.8)):
                read = np.float32(y + noise * rng.standard_normal(n))
                estimates.append(frame(y, read, group, label).assign(layer=layer, split=split))
                rows.append((label, split, layer, r2_score(y, read)))
    scores = pd.DataFrame(rows, columns=["label", "split", "layer", "value"])
    macro = scores.groupby(["split", "layer"], as_index=False)["value"].mean().assign(label="macro")
    scores = pd.concat([scores, macro]).assign(probe="ridge")
    scores = pd.concat([scores, scores[scores["layer"] == 0].assign(probe="mean", layer=-1, value=-0.01)])
    scores = scores.assign(
        model="m", task="area", prompt="p", metric="r2", n_layers=2, layer_name="", n=n, n_groups=160
    )
    folder = tmp_path / "probes/m/area"
    folder.mkdir(parents=True)
    pd.concat(estimates).to_parquet(folder / "p.estimates.parquet")
    inputs = {"number-scores": scores.assign(low=scores["value"] - 0.1, high=scores["value"] + 0.1)}
    described = tmp_path / "area.json"
    described.write_text(json.dumps(vars(AREA)))
    models = {"m": Model("m", "hub", "pretrained", n_layers=2, width=8)}
    return inputs | {"estimates": tmp_path / "probes", "number-tasks": described, "models": models}


def test_the_best_layer_is_chosen_on_validation_and_compared_on_test(tmp_path, cell):
    made = given(tmp_path, ("number-headline", "numbers"), **cell)
    (row,) = made.comparison("numbers").itertuples()
    assert (row.best_layer, row.top_layer, row.label, row.not_worse) == (1, 2, "macro", "1")
    of_test = cell["number-scores"].query("split == 'test' and label == 'macro' and probe == 'ridge'")
    of_test = of_test.set_index("layer")["value"]
    assert (row.best, row.top, row.norm) == pytest.approx(tuple(of_test[[1, 2, 3]]))
    assert row.difference == pytest.approx(of_test[1] - of_test[2], abs=1e-6)
    assert row.p_holm < 0.01
    assert row.training_mean == -0.01
    assert (row.unit, np.isnan(row.error)) == ("", True)
    (section,), as_csv = TABLES["number-layers"].write(made, "last")
    assert section.title == "area: R², mean over labels"
    assert not any(column.startswith("Error") for column in section.frame)
    assert section.frame.loc[0, ["Best layer", "As good", "Training mean"]].tolist() == ["1 / 2", "1", "−1.0"]
    assert as_csv.startswith("model,")
    headline = made.comparison("number-headline")
    assert (set(headline["label"]), set(headline["probe"])) == ({"macro"}, {"ridge", "mean"})


def test_one_label_has_its_mean_error_in_its_unit(tmp_path, cell):
    scores = cell["number-scores"].query("label == 'a'")
    of_test = scores["split"] == "test"
    errors = scores[of_test & (scores["probe"] == "ridge")].assign(metric="mae")
    errors = errors.assign(value=1 / (2 + errors["layer"]), low=0.25, high=12.5)
    cell["number-scores"] = pd.concat([scores, errors])
    file = cell["estimates"] / "m/area/p.estimates.parquet"
    pd.read_parquet(file).query("label == 'a'").to_parquet(file)
    described = vars(AREA) | {"labels": ["a"], "units": {"a": "m", "b": "s"}}
    cell["number-tasks"].write_text(json.dumps(described))
    made = given(tmp_path, ("numbers",), **cell)
    (row,) = made.comparison("numbers").itertuples()
    assert (row.best_layer, row.error, row.error_low, row.unit) == (1, pytest.approx(1 / 3), 0.25, "m")
    (section,), _ = TABLES["number-layers"].write(made, "last")
    assert section.frame.loc[0, "Error (m)"] == "0.333 [0.25, 12.5]"


def test_estimates_of_another_run_are_refused(tmp_path, cell):
    scores = cell["number-scores"]
    scores.loc[(scores["layer"] == 1), "value"] -= 0.01
    with pytest.raises(InputError, match=r"p\.estimates\.parquet: the predictions of layer 1 give r2"):
        given(tmp_path, ("numbers",), **cell)
