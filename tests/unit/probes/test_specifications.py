"""Specifications: which are made, and what their probes find, against scikit-learn and a naive loop."""

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from layerwise.errors import InputError
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.problems import Problem
from layerwise.probes.specifications import (
    SpecificationProbes,
    check_shares,
    every_specification,
    is_own,
    within_budget,
)

CHOICES = (["accuracy", "roc_auc"], [0.01], True, [1], ["a", "b"], {"mean-difference": False}, [0.5])


def test_the_own_specifications_are_always_made():
    every = every_specification(*CHOICES)
    # Two metrics, three penalties (one of them none), raw or not, two splits, two prompts, two shares.
    assert len(set(every)) == len(every) == 2 * 3 * 2 * 2 * 2 * 2
    for seed in range(5):
        chosen = within_budget(every, "accuracy", 10, [seed])
        assert len(set(chosen)) == 10
        own = [each for each in chosen if is_own(each, "accuracy")]
        assert [(each.prompt, each.C, each.states, each.split, each.train_share) for each in own] == [
            (prompt, "by validation", "standardised", "own", 1.0) for prompt in ("a", "b")
        ]
    assert within_budget(every, "accuracy", 10, [0]) != within_budget(every, "accuracy", 10, [1])
    assert within_budget(every, "accuracy", 1000, [0]) == every


def layers_and_problems():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 240)
    # Dimensions of very different scale, so that standardising counts.
    scale = np.array([1, 30, 0.1, 5])
    layers = [((rng.normal(size=(240, 4)) + y[:, None] * k) * scale).astype(np.float32) for k in (0.1, 0.5, 0.3, 0.4)]
    problems = {}
    for split, share in product(("own", "1"), (1.0, 0.5)):
        order = np.arange(240) if split == "own" else rng.permutation(240)
        rows = {"train": order[: round(120 * share)], "val": order[120:180], "test": order[180:]}
        problems[split, share] = [Problem("l", 2, rows, rows, rows, {part: y[index] for part, index in rows.items()})]
    return layers, y, problems


def naive(specification, layers, y, problems):
    """The best layer below the top, and the test margins of both, one specification at a time."""
    (problem,) = problems[specification.split, specification.train_share]
    (whole,) = problems[specification.split, 1.0]
    train, val, test = (problem.rows[part] for part in ("train", "val", "test"))
    score = {"accuracy": lambda y, m: accuracy_score(y, m > 0), "roc_auc": roc_auc_score}[specification.metric]
    values, margins = [], []
    for layer in layers:
        x = layer.astype(float)
        if specification.states == "standardised":
            x = StandardScaler().fit(x[whole.rows["train"]]).transform(x)
        if specification.probe == "mean-difference":
            means = [x[train][y[train] == k].mean(axis=0) for k in (0, 1)]
            margin = np.square(x - means[0]).sum(axis=1) - np.square(x - means[1]).sum(axis=1)
        else:
            grid = [0.001, 0.1] if specification.C == "by validation" else [float(specification.C)]
            probes = [LogisticRegression(C=C, max_iter=2000).fit(x[train], y[train]) for C in grid]
            losses = [np.logaddexp(0, -(2 * y[val] - 1) * p.decision_function(x[val])).mean() for p in probes]
            margin = probes[int(np.argmin(losses))].decision_function(x)
        values.append(score(y[val], margin[val]))
        margins.append(margin[test])
    best = int(np.argmax(np.round(values[:-1], 9)))
    return best, margins[best], margins[-1]


def test_specifications_find_what_a_naive_loop_finds():
    layers, y, problems = layers_and_problems()
    every = every_specification(["accuracy", "roc_auc"], [0.01], True, [1], ["p"], {"mean-difference": False}, [0.5])[
        ::5
    ]
    kinds = {"mean-difference": (PROBE_KINDS["mean-difference"].start(1, 2**30, 0), [1.0])}
    probes = SpecificationProbes(every, problems, SklearnEngine(), [0.1, 0.001], top=3, kinds=kinds)
    for layer, states in enumerate(layers):
        probes.layer(states.copy(), layer)
    assert len({found.best_layer for found in probes.found}) > 1
    for specification, found in zip(every, probes.found, strict=True):
        best_layer, best, top = naive(specification, layers, y, problems)
        assert found.best_layer == best_layer, specification
        for mine, expected in ((found.best, best), (found.top, top)):
            margin = mine[0][:, 0]
            if specification.probe == "mean-difference":
                # The scale of its margins is one of probabilities.
                margin *= np.linalg.norm(expected) / np.linalg.norm(margin)
            assert np.allclose(margin, expected, atol=2e-2 * np.abs(expected).max()), specification


def test_a_share_without_a_class_is_refused():
    rows = {"train": np.arange(2), "val": np.arange(2), "test": np.arange(2)}
    y = {"train": np.zeros(2, int), "val": np.arange(2), "test": np.arange(2)}
    with pytest.raises(
        InputError, match=r"with the seed 1 and 0\.5 of the training images, the label 'dog' lacks a class"
    ):
        check_shares({("1", 0.5): [Problem("dog", 2, rows, rows, rows, y)]})
