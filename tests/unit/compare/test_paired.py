"""Layer against layer on the same items: against tests whose answer is known, and null data."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from benchmarks.ground_truth import swap_sizes
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from layerwise.compare.statistics.gains import Gains, LabelItems, image_gains
from layerwise.compare.statistics.paired import paired_difference, worse_than
from layerwise.compare.statistics.swaps import LEAST_IMAGES, SwapStatistic, greatest_swap_test, swap_test
from layerwise.errors import InputError
from layerwise.probes.metrics.catalogue import METRICS
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
    rng, n_groups = np.random.default_rng(7), LEAST_IMAGES[metric]
    found = [paired_difference(*null_pair(rng, n_groups, metric=metric), metric, 2, 20, 99, rng) for _ in range(300)]
    p = np.array([pair.p_value for pair in found])
    # Ties make p a little conservative; a test of items rather than groups would reject 30 % at 5 %.
    assert (p <= 0.05).mean() < 0.085
    assert (p <= 0.5).mean() == pytest.approx(0.45, abs=0.1)
    assert p.min() > 0


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


def test_few_images_that_differ_give_the_exact_p_value():
    y, group = np.ones(52, int), np.arange(52)
    first, second = np.arange(52) < 9, np.arange(52) >= 7
    second[12:] = first[12:] = True
    # Right in the first alone: 7; in the second alone: 3.
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 9999,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(7, 10).pvalue, abs=1e-6)
    assert pair.p_value == pytest.approx(mcnemar([[42, 7], [3, 0]], exact=True).pvalue, abs=1e-6)


@pytest.mark.parametrize(("first_alone", "second_alone"), [(300, 10), (60, 0), (40, 15)])
def test_small_p_values_are_known_as_well_as_large_ones(first_alone, second_alone):
    """To two percent of their size, so that no number of rows puts significance out of reach."""
    y, group = np.ones(500, int), np.arange(500)
    first, second = np.arange(500) >= second_alone, np.arange(500) < 500 - first_alone
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 12_000,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(first_alone, first_alone + second_alone).pvalue, rel=0.03)
    assert not pair.p_is_bound


def test_a_metric_s_differences_are_sums_over_images():
    """What images add, swapped, against the metric itself of swapped predictions."""
    rng = np.random.default_rng(3)
    y, group = rng.integers(0, 3, 240), np.arange(240) // 4
    first, second = (rng.normal(size=(240, 3)) + strength * np.eye(3)[y] for strength in (1.5, 1.0))
    for metric, exact in (("accuracy", 1e-12), ("balanced_accuracy", 1e-12), ("roc_auc", 1e-12), ("f1", 0.05),
                          ("average_precision", 0.05)):  # fmt: skip
        # A metric of ranking compares ranks, as margins of two probes have no common scale.
        ranked = metric in ("roc_auc", "average_precision")
        gains = image_gains(metric, [LabelItems(y, first, second, group)], 60, 3).by_part.sum(axis=0)
        for swap in (np.zeros(60, bool), *(rng.random((5, 60)) < 0.5)):
            swapped = swap[group]
            values = []
            for a, b in ((first, second), (second, first)):
                if not ranked:
                    values.append(METRICS[metric].values(y, np.where(swapped[:, None], b, a), np.ones((1, 240)), 3)[0])
                    continue
                score = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[metric]
                odds = [np.log(p) - np.log1p(-p) for p in (softmax(margins, axis=1) for margins in (a, b))]
                ranks = [stats.rankdata(of_layer, axis=0) for of_layer in odds]
                chosen = np.where(swapped[:, None], ranks[1], ranks[0])
                values.append(np.mean([score(y == k, chosen[:, k]) for k in range(3)]))
            found = (np.where(swap, -1, 1) * gains).sum()
            assert found == pytest.approx(values[0] - values[1], rel=exact, abs=max(1e-12, exact / 10))


@pytest.mark.parametrize(("metric", "least"), [("accuracy", 30), ("roc_auc", 50), ("average_precision", 100)])
def test_too_few_images_give_no_p_value(metric, least):
    rng = np.random.default_rng(0)
    assert 0 < paired_difference(*null_pair(rng, least), metric, 2, 50, 99, rng).p_value <= 1
    few = null_pair(rng, least - 1)
    pair = paired_difference(*few, metric, 2, 50, 99, rng)
    assert np.isnan(pair.p_value)
    assert pair.low < pair.difference < pair.high
    assert np.isnan(worse_than(few[0], [few[1]], metric, 2, 99, seed=0)).all()


def test_uneven_images_count_as_fewer():
    rng = np.random.default_rng(0)
    # Of 60 images one holds half of all items: as few as four of equal size.
    group = np.where(np.arange(120) < 60, 0, np.arange(120) - 60)
    one_large = [frame.assign(group=group) for frame in null_pair(rng)]
    assert np.isnan(paired_difference(*one_large, "accuracy", 2, 50, 99, rng).p_value)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_the_difference_is_studentised_with_images_as_clusters_and_corrected_for_skewness(metric):
    """By statsmodels' cluster-robust error of a regression on classes, and Hall's formula written out."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(50), rng.integers(1, 9, 50))
    y, n = rng.integers(0, 2, len(image)), len(image)
    # The first errs on single items, the second on whole images.
    first, second = rng.random(n) < 0.8, (rng.random(50) < 0.75)[image]
    margins = [np.where(right == (y == 1), 1.0, -1.0)[:, None] for right in (first, second)]
    found = SwapStatistic(image_gains(metric, [LabelItems(y, *margins, image)], 50, 2)).found()
    gain, classes = first.astype(float) - second, np.eye(2)[y] if metric == "balanced_accuracy" else np.ones((n, 1))
    fit = sm.OLS(gain, classes).fit(cov_type="cluster", cov_kwds={"groups": image, "use_correction": False})
    weights = np.full(classes.shape[1], 1 / classes.shape[1])
    t = fit.t_test(weights).tvalue.item()
    # What images' residuals add to the mean over classes.
    residuals = np.bincount(image, fit.resid * ((classes / classes.sum(axis=0)) @ weights))
    skewness = (residuals**3).sum() / (residuals**2).sum() ** 1.5
    expected = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
    assert abs(skewness) > 0.02
    # Skewness is taken about the mean over classes, where classes differ by little.
    assert found == pytest.approx(expected, rel=1e-4 if metric == "accuracy" else 0.02)


@pytest.mark.parametrize(("metric", "n_images"), [("accuracy", 55), ("balanced_accuracy", 120)])
def test_equally_good_layers_one_of_which_errs_by_whole_images(metric, n_images):
    """Not exchangeable, with uneven images: a test that is not studentised calls them different in 8 % of cases."""
    found = swap_sizes(metric, "geometric", n_images, (0.0, 1.0), studies=500, seed=1)
    # Two standard errors are 2 %.
    assert found["size"] == pytest.approx(0.05, abs=0.02)
    assert found["shown"] > 0.5


def test_swaps_drawn_where_they_count_give_the_p_value_of_swaps_drawn_evenly():
    """Uneven images of two labels, three classes, from p near 1 down to 0.001; each even draw counts alike."""
    rng, found = np.random.default_rng(2), []
    for better in (0.0, 0.06, 0.12, 0.18):
        image, labels = np.repeat(np.arange(60), rng.integers(1, 6, 60)), []
        for _ in range(2):
            y = rng.integers(0, 3, len(image))
            first, second = (rng.normal(size=(len(y), 3)) + k * np.eye(3)[y] for k in (1 + better, 1))
            labels.append(LabelItems(y, first, second, image))
        gains = image_gains("balanced_accuracy", labels, 60, 3)
        flipped = Gains(-gains.by_part, gains.weights, gains.shares)
        evenly = 2 * min(greatest_swap_test([each], 100_000, 1)[0] for each in (gains, flipped))
        found.append(swap_test(gains, 20_000, rng).value)
        # Four standard errors of the even draws, which are the less certain ones.
        assert found[-1] == pytest.approx(min(evenly, 1), abs=4 * np.sqrt(2 * found[-1] / 100_000) + 0.02 * found[-1])
    assert min(found) < 0.02 < 0.3 < max(found)


def test_a_p_value_near_the_level_is_known_to_two_thousandths():
    y, group = np.ones(80, int), np.arange(80)
    first, second = np.arange(80) < 60, np.arange(80) >= 9
    pair = predictions(first, y, group), predictions(second, y, group)
    found = [
        paired_difference(*pair, "accuracy", 2, 2, 12_000, np.random.default_rng(seed)).p_value for seed in range(30)
    ]
    assert np.mean(found) == pytest.approx(stats.binomtest(9, 29).pvalue, abs=0.001)
    assert 0.03 < np.mean(found) < 0.1
    assert np.std(found) < 0.002


def test_the_floor_is_marked_as_a_bound():
    y, group = np.ones(100, int), np.arange(100)
    better = predictions(y == 1, y, group), predictions(np.arange(100) >= 20, y, group)
    # One draw, of which the seed makes one that is less extreme.
    found = [paired_difference(*better, "accuracy", 2, 10, 1, np.random.default_rng(seed)) for seed in range(20)]
    assert {pair.p_is_bound for pair in found} == {True, False}
    for pair in found:
        assert pair.p_value >= 2 * 0.5**20 / 2


def right_in_part(rng, rates, n=150, shared=0.8):
    """Which items layers get right at the given rates; mistakes coincide in part, as one layer's do with the next's."""
    common = rng.random(n)
    return [np.where(rng.random(n) < shared, common, rng.random(n)) < rate for rate in rates]


def layers_of(rng, rates):
    y = rng.integers(0, 2, 150)
    return [predictions(right, y, np.arange(150)) for right in right_in_part(rng, rates)]


def test_equally_good_layers_are_seldom_called_worse_and_bad_ones_always():
    rng, any_wrong, bad_found, y = np.random.default_rng(4), 0, 0, np.ones(150, int)
    for k in range(400):
        reference, *others = (np.where(right, 1.0, -1.0)[:, None] for right in right_in_part(rng, [0.8] * 12 + [0.5]))
        gains = [image_gains("accuracy", [LabelItems(y, reference, other, np.arange(150))], 150, 2) for other in others]
        p_values = greatest_swap_test(gains, 199, seed=k)
        any_wrong += min(p_values[:-1]) <= 0.05
        bad_found += p_values[-1] <= 0.05
    # 5 % are allowed, over all layers, and two standard errors more; without the correction it would be some 30 %.
    assert 0.03 <= any_wrong / 400 <= 0.072
    assert bad_found / 400 >= 0.95


def test_a_layer_that_predicts_alike_is_not_worse():
    reference, other = layers_of(np.random.default_rng(0), [0.8, 0.5])
    assert worse_than(reference, [reference], "accuracy", 2, 99, seed=0) == [1.0]
    p_values = worse_than(reference, [other, reference], "roc_auc", 2, 99, seed=0)
    assert p_values[0] <= 0.05
    assert p_values[1] == 1.0
    assert worse_than(reference, [], "accuracy", 2, 99, seed=0) == []


def test_ranking_metrics_see_no_scale_of_the_margins():
    first, second = null_pair(np.random.default_rng(5), LEAST_IMAGES["average_precision"])
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
    # Every image speaks for the first.
    assert pair.p_value == pytest.approx(2 * 0.5**100, rel=0.5)


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
