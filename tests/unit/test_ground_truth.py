"""A small run of the planted-signal benchmark: real states files, the real program, the code of Table 2."""

import numpy as np
import pytest
from benchmarks.ground_truth import NOTHING, READABLE, Shape, coverage, found_layers, true_scores
from scipy.stats import norm
from sklearn import metrics as reference

from layerwise.probes.metrics.catalogue import METRICS


@pytest.fixture(scope="module")
def study():
    return found_layers(Shape(240, 120, 400, 2, 0.3, labels=1), studies=1).iloc[0]


def test_table_2_finds_the_planted_layers(study):
    assert study["best_layer"] in (3, 5)
    assert {3, 5} <= set(map(int, study["not_worse"].split()))
    # Neither nothing, nor a weak signal, nor a decoy.
    assert not {0, 1, 2, 4} & set(map(int, study["not_worse"].split()))
    assert study["difference_low"] > 0
    assert study["p_holm"] <= 0.05
    assert study["selectivity_low"] > 0.35
    assert study["shortest code"] in (3, 5)


@pytest.fixture(scope="module")
def rows():
    return {row["layer"]: row for row in coverage(Shape(160, 60, 120, 1, 0.0, labels=40), resamples=200, seed=0)}


def test_intervals_cover_the_true_accuracy(rows):
    """Of 40 probes each; the benchmark takes more of them, and says how close to 95 % it comes."""
    for layer in READABLE:
        assert rows[layer]["accuracy"] >= 0.85
    assert np.mean([rows[layer][metric] for layer in READABLE for metric in METRICS]) == pytest.approx(0.95, abs=0.035)


def test_scores_are_the_true_ones_on_average_and_decoys_are_at_chance(rows):
    for layer, row in rows.items():
        error = np.sqrt(row["true accuracy"] * (1 - row["true accuracy"]) / (40 * 120))
        assert row["found"] == pytest.approx(row["true accuracy"], abs=4 * error)
        if layer in NOTHING:
            assert row["true accuracy"] == pytest.approx(0.5, abs=0.02)
    assert rows["strong (block 3)"]["true accuracy"] > 0.95


def test_true_scores_are_those_of_a_huge_sample():
    rng = np.random.default_rng(0)
    negative, positive = np.array([-2.0, 0.5]), np.array([1.0, 3.0])
    y = np.arange(400_000) % 2
    centres = np.where(y, positive[rng.integers(0, 2, len(y))], negative[rng.integers(0, 2, len(y))])
    margins = rng.normal(centres, 1.5)
    found = true_scores(negative, positive, 1.5)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, margins > 0), abs=3e-3)
    assert found["f1"] == pytest.approx(reference.f1_score(y, margins > 0), abs=3e-3)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(y, margins), abs=3e-3)
    assert found["average_precision"] == pytest.approx(reference.average_precision_score(y, margins), abs=3e-3)
    # One Gaussian per class: the distance of their means says it all.
    assert true_scores(np.array([-1.0]), np.array([1.0]), 1.0)["roc_auc"] == pytest.approx(
        norm.cdf(np.sqrt(2)), abs=1e-5
    )
