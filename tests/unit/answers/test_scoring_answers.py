"""Thresholds against trying them all, and calibration against scikit-learn and a loop."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss

from layerwise.answers.calibration import brier_scores, calibration_error, class_probabilities
from layerwise.answers.thresholds import choose_offsets, item_weights


def said(margins, offsets):
    """Classes under many offsets, shape (offsets, n)."""
    shifted = margins[None] + np.atleast_2d(offsets)[:, None]
    return (shifted[..., 0] > 0).astype(int) if shifted.shape[2] == 1 else shifted.argmax(axis=2)


@pytest.mark.parametrize("by_class", [False, True])
def test_the_threshold_of_two_classes_is_the_best_of_all(by_class):
    metric = balanced_accuracy_score if by_class else accuracy_score
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = (rng.random(60) < 0.3).astype(int)
        # Ties, a leaning to yes, and little to tell the classes by.
        margins = np.round(rng.standard_normal((60, 1)) + 0.7 * y[:, None] + 2, 1)
        (answer,) = said(margins, choose_offsets(y, margins, item_weights(y, by_class)))
        right = said(margins, np.arange(-6, 6, 0.05)[:, None]) == y
        tried = (right[:, y == 0].mean(1) + right[:, y == 1].mean(1)) / 2 if by_class else right.mean(1)
        assert metric(y, answer) == pytest.approx(tried.max())


def test_offsets_of_three_classes_come_close_to_the_best_of_a_grid():
    steps = np.arange(-5, 1, 0.1)
    grid = np.stack([np.zeros(len(steps) ** 2), np.repeat(steps, len(steps)), np.tile(steps, len(steps))], axis=1)
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        y = rng.integers(3, size=45)
        margins = rng.standard_normal((45, 3)) + np.eye(3)[y] + [0, 1.5, 3]
        offsets = choose_offsets(y, margins, item_weights(y, by_class=False))
        rates = [(said(margins, tried) == y).mean(axis=1).max() for tried in (offsets, grid, np.zeros(3))]
        found.append(rates)
    reached, best, without = np.array(found).T
    assert (reached >= without).all()
    assert reached.mean() > best.mean() - 0.02
    assert without.mean() < best.mean() - 0.2


@pytest.mark.parametrize("shape", [(50, 1), (50, 3)])
def test_what_is_best_as_said_gets_no_offset(shape):
    y = np.arange(50) % max(2, shape[1])
    margins = np.where(y == 1, 1.0, -1.0)[:, None] if shape[1] == 1 else 2.0 * np.eye(3)[y]
    np.testing.assert_array_equal(choose_offsets(y, margins, item_weights(y, by_class=False)), np.zeros(shape[1]))


def test_of_equally_good_offsets_the_one_closest_to_0_is_chosen():
    y, margins = np.array([0, 0, 1, 1]), np.array([[1.0], [2.0], [5.0], [6.0]])
    assert choose_offsets(y, margins, item_weights(y, by_class=False)) == pytest.approx([-3.5])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_brier_score_is_scikit_learns(n_classes):
    rng = np.random.default_rng(0)
    y = np.append(rng.integers(n_classes, size=80), np.arange(n_classes))
    margins = rng.standard_normal((len(y), 1 if n_classes == 2 else 3))
    found = class_probabilities(margins)
    # Computed anew: two columns from log odds, three from log probabilities.
    expected = np.stack([1 - expit(margins[:, 0]), expit(margins[:, 0])], 1) if n_classes == 2 else softmax(margins, 1)
    np.testing.assert_allclose(found, expected)
    loss = brier_score_loss(y, expected[:, 1] if n_classes == 2 else expected, scale_by_half=True)
    assert brier_scores(y, found).mean() == pytest.approx(loss)


def test_calibration_error_is_that_of_a_loop_over_bins():
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.standard_normal((200, 3)) * 2, axis=1)
    y = rng.integers(3, size=200)
    order, expected = np.argsort(probabilities.max(axis=1)), 0.0
    for start in range(0, 200, 20):
        of_bin = order[start : start + 20]
        right = np.mean(probabilities[of_bin].argmax(axis=1) == y[of_bin])
        expected += abs(right - probabilities[of_bin].max(axis=1).mean()) / 10
    assert calibration_error(y, probabilities) == pytest.approx(expected)


def test_items_of_equal_probability_stay_together():
    """As where an item shows nothing of its own: sorted by truth, they would fall into bins that are all wrong."""
    y, probabilities = np.repeat([0, 1], 50), np.tile([0.5 - 1e-9, 0.5 + 1e-9], (100, 1))
    assert calibration_error(y, probabilities) == pytest.approx(0, abs=1e-6)
    assert calibration_error(y, np.tile([0.1, 0.9], (100, 1))) == pytest.approx(0.4)
