"""Losses of carried probes against independent computations."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score

from layerwise.compare.statistics.gains import area_residuals
from layerwise.compare.statistics.transfer import TransferLoss


def drawn(n, seed=0):
    """Classes, and margins of two probes that share a part of their noise."""
    rng = np.random.default_rng(seed)
    y, shared = np.arange(n) % 2, rng.standard_normal(n)
    return y, *(((2 * y - 1) * strength + shared + rng.standard_normal(n))[:, None] for strength in (1.0, 0.6))


def test_loss_of_accuracy_is_that_of_a_paired_t_test():
    """But for one more item, on which the probes differ as much one way as the other."""
    y, own, carried = drawn(300)
    row = TransferLoss("accuracy", 2, [y], [np.arange(300)]).layer([own], [carried])
    right = [(margins[:, 0] > 0) == y for margins in (own, carried)]
    lost = right[0].astype(float) - right[1]
    half = stats.t.ppf(0.975, 299) * np.sqrt(stats.sem(lost) ** 2 + 1 / 300**2)
    assert row["own"] == accuracy_score(y, own > 0)
    assert row["value"] == accuracy_score(y, carried > 0)
    assert (row["loss_low"], row["loss_high"]) == pytest.approx((lost.mean() - half, lost.mean() + half))


def test_probes_that_never_differ_may_still_differ_on_other_items():
    y, own, _ = drawn(100)
    row = TransferLoss("accuracy", 2, [y], [np.arange(100)]).layer([own], [own])
    assert row["loss"] == 0
    assert (row["loss_low"], row["loss_high"]) == pytest.approx((-0.01985, 0.01985), abs=1e-4)


def test_items_of_one_image_are_one_unit():
    """The same items twice: neither the loss nor its interval may change."""
    y, own, carried = drawn(200)
    once = TransferLoss("roc_auc", 2, [y], [np.arange(200)]).layer([own], [carried])
    twice = TransferLoss("roc_auc", 2, [np.tile(y, 2)], [np.tile(np.arange(200), 2)])
    assert twice.layer([np.tile(own, (2, 1))], [np.tile(carried, (2, 1))]) == pytest.approx(once)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_area_residuals_are_the_shares_of_items_ranked_wrongly(n_classes):
    rng = np.random.default_rng(0)
    y = np.arange(60) % n_classes
    # Of two classes some items tie.
    margins = np.round(rng.standard_normal((60, 1 if n_classes == 2 else 3)), 1 if n_classes == 2 else 9)
    positives = [1] if n_classes == 2 else [0, 1, 2]
    wanted, areas = np.zeros(60), []
    for k in positives:
        z = margins if n_classes == 2 else margins - np.log(np.exp(margins).sum(axis=1, keepdims=True))
        score = z[:, 0] if n_classes == 2 else z[:, k] - np.log1p(-np.exp(z[:, k]))
        score = score.round(9)
        areas.append(roc_auc_score(y == k, score))
        for i in range(60):
            others = np.flatnonzero((y == k) != (y[i] == k))
            above = [(score[i] > score[j]) + 0.5 * (score[i] == score[j]) for j in others]
            share = np.mean(above) if y[i] == k else 1 - np.mean(above)
            alike = (y == k) == (y[i] == k)
            wanted[i] += (share - areas[-1]) / alike.sum() / len(positives)
    assert area_residuals(y, margins, n_classes) == pytest.approx(wanted, abs=1e-9)


def test_a_layer_that_loses_is_found_among_layers_that_do_not():
    loss = TransferLoss("accuracy", 2, [np.arange(400) % 2], [np.arange(400)])
    for seed in range(4):
        _, own, _ = drawn(400, seed)
        # In the last layer alone the carried probe says nothing.
        loss.layer([own], [np.random.default_rng(9).standard_normal((400, 1)) if seed == 3 else own], test=True)
    p_values = loss.p_values(999, 0)
    assert p_values[3] == pytest.approx(0.001)
    assert min(p_values[:3]) > 0.9


def test_too_few_images_have_no_p_value():
    y, own, carried = drawn(400)
    loss = TransferLoss("accuracy", 2, [y], [np.arange(400) // 50])
    assert np.isfinite(loss.layer([own], [carried], test=True)["loss_low"])
    assert np.isnan(loss.p_values(999, 0)).all()


def test_layers_that_tell_no_items_apart_are_not_tested():
    """Such as the embedding output of the last token: one probe always says yes there, the other always no."""
    y, own, carried = drawn(400)
    losses = [TransferLoss("accuracy", 2, [y], [np.arange(400)]) for _ in range(2)]
    losses[0].layer([np.full((400, 1), 0.3)], [np.full((400, 1), -0.3)], test=True)
    for loss in losses:
        loss.layer([own], [carried], test=True)
    nothing, found = losses[0].p_values(999, 0)
    assert np.isnan(nothing)
    assert [found] == losses[1].p_values(999, 0)
