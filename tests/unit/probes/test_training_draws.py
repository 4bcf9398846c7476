"""Probes fitted again to draws of the training images: against scikit-learn, a naive loop, and simulated truth."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

import fit_probes
from layerwise.errors import InputError
from layerwise.probes.bootstrap import Redrawn, difference_interval, resample_weights, score_interval
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import Problem, Standardisation
from tests.golden.computed import drawn_cell

SPLITS = {"train": np.arange(60), "val": np.arange(60, 90), "test": np.arange(90, 150)}
COUNTS = np.random.default_rng(3).integers(0, 4, 60)


def problem(n_classes: int, seed: int = 0) -> Problem:
    """A label of 150 items, two to an image."""
    y = np.random.default_rng(seed).integers(0, n_classes, 150)
    groups = np.array([f"g{k // 2:02}" for k in range(150)])

    def parts(column: np.ndarray) -> dict[str, np.ndarray]:
        return {split: column[rows] for split, rows in SPLITS.items()}

    return Problem(f"l{seed}", n_classes, parts(np.arange(150).astype(str)), parts(groups), SPLITS, parts(y))


def states_of(problems: list[Problem], seed: int = 0) -> np.ndarray:
    states = np.random.default_rng([9, seed]).standard_normal((150, 8)).astype(np.float32)
    for column, each in enumerate(problems):
        states[:, column] += np.concatenate([each.y[split] for split in SPLITS])
    return states


def without_validation(each: Problem, counts: np.ndarray | None = None) -> Problem:
    train = ({"train": parts["train"]} for parts in (each.rows, each.y))
    return replace(each, **dict(zip(("rows", "y"), train, strict=True)), counts=counts)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shared", [True, False], ids=["rows shared", "own rows"])
def test_items_that_count_more_often_are_as_if_they_were_there_more_often(n_classes, shared):
    each = problem(n_classes)
    states = states_of([each])
    # Many labels with few rows each are solved in coordinates of their own.
    rows = [np.arange(60)] if shared else [np.arange(k, k + 6) for k in range(0, 54, 6)]
    tasks = []
    for own in rows:
        y = np.arange(len(own)) % n_classes if not shared else each.y["train"]
        counts = COUNTS if shared else 1 + COUNTS[own]
        alike = {"train": own}
        tasks.append(replace(each, items=alike, groups=alike, rows=alike, y={"train": y}, counts=counts))
    reference = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000)
    exact = SklearnEngine()
    exact.tolerance = 1e-10
    for engine in (TorchEngine(1, tolerance=1e-9), exact):
        for task, (fit,) in zip(tasks, engine.fit(states, tasks, [0.5]), strict=True):
            index = np.repeat(np.arange(len(task.rows["train"])), task.counts)
            reference.fit(states[task.rows["train"]][index].astype(float), task.y["train"][index])
            expected = reference.decision_function(states).reshape(150, -1)
            # The margins of several classes may all be shifted alike.
            found, expected = (
                margins - (margins.mean(axis=1, keepdims=True) if n_classes > 2 else 0)
                for margins in (fit.scores(states), expected)
            )
            assert found == pytest.approx(expected, abs=0.02)


def test_an_engine_refuses_counts_that_leave_no_item_of_a_class():
    each = problem(2)
    only = replace(each, counts=(each.y["train"] == 1).astype(int))
    for engine in (TorchEngine(1), SklearnEngine()):
        with pytest.raises(InputError, match="no training item of class 0"):
            engine.fit(states_of([each]), [only], [1.0])


def test_rows_are_those_of_a_naive_loop():
    """Each draw is fitted by scikit-learn, and variances are computed as they are defined."""
    problems = [problem(2, 0), problem(2, 1)]
    layers = [states_of(problems, seed) for seed in (0, 1)]
    layers[1][:, :2] *= 0.3
    engine = SklearnEngine()
    engine.tolerance = 1e-9
    probes = LayerProbes(problems, engine, [0.1], "accuracy", 300, 0, training_draws=12)
    found = [probes.layer(states.copy(), "x").scores for states in layers]
    above = probes.above_top(1)

    groups = np.unique(problems[0].groups["train"])
    drawn = resample_weights(groups, 12, np.random.default_rng([0, len(groups), 1]))
    weights = resample_weights(problems[0].groups["test"][:60], 300, np.random.default_rng([0, 1])).astype(float)
    # By layer and label, whether test items are right: by the ordinary probe (0), and by those of all draws.
    hits = np.zeros((2, 2, 13, 60))
    for layer, states in enumerate(layers):
        states = Standardisation.of(states, SPLITS["train"]).apply(states.copy())
        for label, each in enumerate(problems):
            for draw, of_group in enumerate([np.ones(len(groups), int), *drawn]):
                index = np.repeat(np.arange(60), of_group[np.searchsorted(groups, each.groups["train"])])
                model = LogisticRegression(C=0.1, tol=1e-9, max_iter=5000)
                model.fit(states[SPLITS["train"]][index].astype(float), each.y["train"][index])
                hits[layer, label, draw] = model.predict(states[SPLITS["test"]]) == each.y["test"]
    values = np.concatenate([hits.mean(axis=-1, keepdims=True), hits @ weights.T / weights.sum(axis=1)], axis=-1)

    def sources(values: np.ndarray) -> Redrawn:
        """Of values of shape (13, 1 + R)."""
        draws, n, train = values[1:], 30, len(groups)
        noise = (draws - draws.mean(axis=0))[:, 1:]
        by_items = noise.var(axis=1, ddof=1).sum() / 11 * n / (n - 1)
        return Redrawn(n, draws[:, 0].var(ddof=1) * train / (train - 1), by_items, 12)

    longer = 0
    for layer, scores in enumerate(found):
        rows = scores[scores["probe"] == "redrawn"].set_index("label")
        ordinary = scores.query("probe == 'logistic' and split == 'test' and metric == 'accuracy'").set_index("label")
        assert rows["value"].equals(ordinary["value"])
        for label, of_label in (("l0", values[layer, 0]), ("l1", values[layer, 1]), ("macro", values[layer].mean(0))):
            assert of_label[0, 0] == pytest.approx(rows.loc[label, "value"])
            expected = score_interval(of_label[0, 0], of_label[0, 1:], sources(of_label))
            assert rows.loc[label, ["low", "high"]].tolist() == pytest.approx(expected, abs=1e-6)
            lengths = [table.loc[label, "high"] - table.loc[label, "low"] for table in (rows, ordinary)]
            assert lengths[0] >= lengths[1]
            longer += lengths[0] > 1.02 * lengths[1]
    assert longer >= 2
    difference = (values[0] - values[1]).mean(axis=0)
    expected = difference_interval(difference[0, 0], difference[0, 1:], sources(difference))
    assert above.loc[0, ["label", "layer", "probe"]].tolist() == ["macro", 0, "redrawn_above_top"]
    assert above.loc[0, ["value", "low", "high"]].tolist() == pytest.approx([difference[0, 0], *expected], abs=1e-6)
    assert above.loc[1, ["value", "low", "high"]].tolist() == [0, 0, 0]


def test_both_sources_of_variance_are_covered():
    """Scores that are the sum of an effect of the training set, of effects of items, and of noise of both together."""
    rng, covered, items, draws = np.random.default_rng(0), {"both": 0, "test alone": 0, "counted twice": 0}, 40, 20
    for _ in range(500):
        of_training = 0.03 * rng.standard_normal(draws + 1)
        table = of_training[:, None] + 0.1 * rng.standard_normal(items) + 0.3 * rng.standard_normal((draws + 1, items))
        weights = resample_weights(np.arange(items), 200, rng)
        values = np.concatenate([table.mean(axis=1, keepdims=True), table @ weights.T / items], axis=1)
        apart = (values[1:] - values[1:].mean(axis=0))[:, 1:]
        by_items = apart.var(axis=1, ddof=1).sum() / (draws - 1) * items / (items - 1)
        over = values[1:, 0].var(ddof=1)
        given = {"both": Redrawn(items, over, by_items, draws), "test alone": items}
        given["counted twice"] = Redrawn(items, over, 0.0, draws)
        for name, sources in given.items():
            low, high = difference_interval(values[0, 0], values[0, 1:], sources)
            covered[name] += low <= 0 <= high
    # Two standard errors of 500 samples are 2 %.
    assert covered["both"] / 500 == pytest.approx(0.95, abs=0.025)
    assert covered["test alone"] / 500 < 0.91
    assert covered["counted twice"] / 500 > 0.965


def test_intervals_hold_where_one_source_is_missing():
    resampled = 0.8 + 0.04 * stats.norm.ppf(np.linspace(0.01, 0.99, 99))
    alone = score_interval(0.8, resampled, 50)
    assert score_interval(0.8, resampled, Redrawn(50, 0.0, 0.0, 20)) == pytest.approx(alone)
    assert score_interval(0.8, resampled, Redrawn(50, 0.001, 0.002, 20)) == pytest.approx(alone)
    # Every test item is right, but other training images would have taught less.
    assert (
        score_interval(1.0, np.ones(99), Redrawn(50, 0.01, 0.0, 20))[0] < score_interval(1.0, np.ones(99), 50)[0] - 0.1
    )
    assert np.isnan(score_interval(0.8, resampled, Redrawn(50, np.nan, np.nan, 1))).all()
    assert np.isnan(score_interval(0.8, resampled, Redrawn(1, 0.01, 0.0, 20))).all()


def test_draws_without_a_class_are_left_out():
    """Of two images with the first class, a draw has none in about one of seven cases."""
    each = problem(2)
    y = each.y | {"train": (np.arange(60) >= 4).astype(int)}
    rare = [replace(each, y=y), problem(2, 1)]
    probes = LayerProbes(rare, TorchEngine(1), [0.1], "accuracy", 100, 0, training_draws=20)
    rows = probes.layer(states_of(rare), "x").scores.query("probe == 'redrawn'").set_index("label")
    assert set(rows.index) == {"l0", "l1", "macro"}
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()


def test_the_program_adds_rows_and_changes_none(tmp_path, monkeypatch):
    options = drawn_cell(tmp_path, 2, np.random.default_rng(0))
    for draws in ("0", "10"):
        monkeypatch.setattr(sys, "argv", ["fit_probes.py", *options, "--engine", "torch", "--training-draws", draws])
        fit_probes.main()
        (tmp_path / "of-2/scores.parquet").rename(tmp_path / f"{draws}.parquet")
    plain, more = (pd.read_parquet(tmp_path / f"{draws}.parquet") for draws in ("0", "10"))
    added = more["probe"].str.startswith("redrawn")
    pd.testing.assert_frame_equal(more[~added].reset_index(drop=True), plain)
    assert more[added].groupby("probe").size().to_dict() == {"redrawn": 4, "redrawn_above_top": 4}
    assert (more[added]["split"] == "test").all()
    assert (more[added]["metric"] == "accuracy").all()
    above = more[more["probe"] == "redrawn_above_top"].set_index("layer_name")
    # The final norm's output is compared with the topmost block, too.
    assert above.index.tolist() == ["embeddings", "block 1", "block 2", "final norm"]
    assert above.loc["block 2", "value"] == 0
    assert above.loc["final norm", "value"] > 0
