"""Layer against layer on the same items: against tests whose answer is known, and null data."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from layerwise.errors import InputError
from layerwise.figures.paired import paired_difference, worse_than
from tests.predictions import predictions


def null_pair(rng, n_groups=40, per_group=3, metric="accuracy"):
    """Two equally good layers whose items within a group are right or wrong together."""
    group = np.repeat(np.arange(n_groups), per_group)
    y = np.tile([0, 1, 1], n_groups)[: len(group)]
    frames = []
    for scale in (1.0, 50.0 if metric == "roc_auc" else 1.0):
        # Two layers' margins may differ in scale, which no metric of ranking sees.
        margin = scale * (2 * y - 1) * (0.8 + rng.normal(size=n_groups)[group] + 0.3 * rng.normal(size=len(y)))
        frames.append(predictions(np.ones(len(y), bool), y, group).assign(scores=[[m] for m in margin]))
    return frames


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "roc_auc"])
def test_p_values_are_uniform_when_the_layers_are_equally_good(metric):
    rng = np.random.default_rng(7)
    found = [paired_difference(*null_pair(rng, metric=metric), metric, 2, 20, 99, rng) for _ in range(300)]
    p = np.array([pair.p_value for pair in found])
    # Ties make p a little conservative; a test of items rather than groups would reject 30 % at 5 %.
    assert (p <= 0.05).mean() < 0.085
    assert (p <= 0.5).mean() == pytest.approx(0.45, abs=0.1)
    assert p.min() > 0


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_sums_over_groups_permute_as_the_metric_itself_does(metric, monkeypatch):
    rng = np.random.default_rng(3)
    labels = [null_pair(rng) for _ in range(2)]
    first, second = (
        pd.concat([frames[k].assign(label=name) for frames, name in zip(labels, ("cat", "dog"), strict=True)])
        for k in (0, 1)
    )
    summed = paired_difference(first, second, metric, 2, 50, 299, np.random.default_rng(1))
    monkeypatch.setattr("layerwise.figures.paired.SUM_METRICS", ())
    monkeypatch.setattr("layerwise.figures.paired._WEIGHTS_AT_ONCE", 5000)
    assert paired_difference(first, second, metric, 2, 50, 299, np.random.default_rng(1)) == summed
    assert 0 < summed.p_value < 1


def test_p_value_is_that_of_scipy_s_exact_test():
    """With one item per group the swap test of accuracy is the sign test of the items that the layers differ on."""
    y, group = np.ones(60, int), np.arange(60)
    first, second = np.arange(60) < 50, np.arange(60) >= 7
    # Right in the first alone: 7; in the second alone: 10.
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 200_000,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(7, 17).pvalue, abs=0.005)
    table = [[43, 7], [10, 0]]
    assert pair.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=0.005)


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_few_groups_give_scipy_s_exact_p_value(metric):
    rng, pairs = np.random.default_rng(8), []
    y, group = np.arange(24) % 2, np.arange(24) // 2
    for _ in range(2):
        margins = 2 * y - 1 + 1.5 * rng.standard_normal(24)
        pairs.append(predictions(y == y, y, group).assign(scores=[[value] for value in margins]))

    def by_group(frame):
        """Whether right, or ranks of the margins, shape (images, items)."""
        margins = np.vstack(frame["scores"])[:, 0]
        values = (margins > 0) == y if metric == "accuracy" else stats.rankdata(margins)
        return values.astype(float).reshape(12, 2)

    def difference(a, b):
        if metric == "accuracy":
            return a.mean() - b.mean()
        return roc_auc_score(y, a.ravel()) - roc_auc_score(y, b.ravel())

    # Swaps of whole images by hand: every one of 2^12.
    a, b = map(by_group, pairs)
    observed, extreme = abs(difference(a, b)), 0
    for swap in itertools.product([False, True], repeat=12):
        chosen = np.array(swap)[:, None]
        extreme += abs(difference(np.where(chosen, b, a), np.where(chosen, a, b))) >= observed - 1e-9
    found = paired_difference(*pairs, metric, 2, 50, 4096, rng)
    assert found.p_value == pytest.approx(extreme / 4096, abs=1e-6)
    if metric == "accuracy":
        gains = (a - b).mean(axis=1)
        reference = stats.permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert found.p_value == pytest.approx(reference.pvalue, abs=1e-6)


def test_sign_test_of_few_images_is_exact():
    y, group = np.ones(12, int), np.arange(12)
    first, second = np.arange(12) < 9, np.arange(12) >= 7
    # Right in the first alone: 7; in the second alone: 3.
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 9999,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(7, 10).pvalue, abs=1e-6)
    assert pair.p_value == pytest.approx(mcnemar([[2, 7], [3, 0]], exact=True).pvalue, abs=1e-6)


def layers_of(rng, rates, n=150, shared=0.8):
    """Layers right at the given rates, whose mistakes coincide in part, as one layer's do with the next one's."""
    y, group = rng.integers(0, 2, n), np.arange(n)
    common = rng.random(n)
    return [predictions(np.where(rng.random(n) < shared, common, rng.random(n)) < rate, y, group) for rate in rates]


def test_equally_good_layers_are_seldom_called_worse_and_bad_ones_always():
    rng, any_wrong, bad_found = np.random.default_rng(4), 0, 0
    for k in range(150):
        reference, *others = layers_of(rng, [0.8] * 12 + [0.5])
        p_values = worse_than(reference, others, "accuracy", 2, 199, seed=k)
        any_wrong += min(p_values[:-1]) <= 0.05
        bad_found += p_values[-1] <= 0.05
    # 5 % are allowed, over all layers; without the correction it would be some 30 %.
    assert any_wrong / 150 <= 0.09
    assert bad_found / 150 >= 0.95


def test_a_layer_that_predicts_alike_is_not_worse():
    reference, other = layers_of(np.random.default_rng(0), [0.8, 0.5])
    assert worse_than(reference, [reference], "accuracy", 2, 99, seed=0) == [1.0]
    p_values = worse_than(reference, [other, reference], "roc_auc", 2, 99, seed=0)
    assert p_values[0] <= 0.05
    assert p_values[1] == 1.0
    assert worse_than(reference, [], "accuracy", 2, 99, seed=0) == []


def test_ranking_metrics_see_no_scale_of_the_margins():
    first, second = null_pair(np.random.default_rng(5))
    scaled = second.assign(scores=[[np.exp(3 * margin[0]) + 100] for margin in second["scores"]])
    for metric in ("roc_auc", "average_precision"):
        pairs = [
            paired_difference(first, other, metric, 2, 50, 99, np.random.default_rng(1)) for other in (second, scaled)
        ]
        assert pairs[0] == pairs[1]
        assert 0 < pairs[0].p_value < 1


def test_interval_covers_a_known_difference_and_respects_groups():
    rng, covered, widths = np.random.default_rng(3), 0, []
    for _ in range(200):
        group = np.repeat(np.arange(80), 3)
        y = rng.integers(0, 2, len(group))
        better = (rng.random(80) < 0.85)[group]
        worse = (rng.random(80) < 0.65)[group]
        pair = paired_difference(
            predictions(better, y, group), predictions(worse, y, group), "accuracy", 2, 200, 1, rng
        )
        covered += pair.low <= 0.2 <= pair.high
        widths.append(pair.high - pair.low)
    assert 0.9 <= covered / 200 <= 0.99
    # 2 x 1.96 x sqrt((0.85 x 0.15 + 0.65 x 0.35) / 80 groups); over 240 items it would be 0.15.
    assert np.mean(widths) == pytest.approx(0.261, abs=0.02)


def test_both_layers_are_measured_on_the_same_resample():
    rng = np.random.default_rng(0)
    y, group = rng.integers(0, 2, 200), np.arange(200)
    right = rng.random(200) < 0.7
    same = paired_difference(predictions(right, y, group), predictions(right, y, group), "accuracy", 2, 100, 99, rng)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_labels_share_one_resample_of_their_groups():
    # The second label is right where the first is wrong: their mean is 1/2 in every resample that both share.
    y, group = np.ones(100, int), np.arange(100)
    right = np.arange(100) < 50
    first = pd.concat([predictions(right, y, group, "cat"), predictions(~right, y, group, "dog")], ignore_index=True)
    never = pd.concat([predictions(np.zeros(100, bool), y, group, name) for name in ("cat", "dog")], ignore_index=True)
    pair = paired_difference(first, never, "accuracy", 2, 100, 99, np.random.default_rng(0))
    assert (pair.difference, pair.low, pair.high) == pytest.approx((0.5, 0.5, 0.5))
    assert pair.p_value == 0.01


def test_several_classes_are_compared_by_their_largest_margin():
    y = np.tile([0, 1, 2], 30)
    good, bad = np.eye(3)[y], np.eye(3)[(y + (np.arange(90) % 2)) % 3]
    frames = [
        predictions(y >= 0, y, np.arange(90)).assign(scores=[list(row) for row in margins]) for margins in (good, bad)
    ]
    pair = paired_difference(*frames, "accuracy", 3, 50, 99, np.random.default_rng(0))
    assert (pair.first, pair.second) == pytest.approx((1, 0.5))


def test_layers_with_other_items_are_refused():
    y = np.ones(4, int)
    first = predictions(y == 1, y, np.arange(4))
    for second in (first.iloc[:3], first.assign(item_id=list("abcd")), first.assign(y=0)):
        with pytest.raises(InputError, match="different items"):
            paired_difference(first, second, "accuracy", 2, 10, 10, np.random.default_rng(0))


def test_a_metric_that_is_not_defined_gives_no_p_value():
    y = np.ones(6, int)
    one_class = predictions(y == 1, y, np.arange(6))
    pair = paired_difference(one_class, one_class, "roc_auc", 2, 10, 10, np.random.default_rng(0))
    assert np.isnan([pair.difference, pair.low, pair.high, pair.p_value]).all()
