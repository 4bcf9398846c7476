"""Which layer knows it: the family of tests against references, draws of a twin, margins, and the row."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.statistics.draws import merge_draws
from layerwise.compare.statistics.firsts import first_layers, first_of
from layerwise.compare.statistics.layers import compare_layers
from layerwise.compare.statistics.paired import better_than, less_worse_than, paired_difference, worse_than
from layerwise.compare.statistics.student import Difference, greater_than
from layerwise.errors import InputError
from tests.given import given
from tests.known_layers import MODELS, PROMPTS, TASKS, write_cells
from tests.predictions import predictions, some_right

N, GROUP = 200, np.arange(200) // 2
Y = np.arange(N) % 2


def layer(rate, y=Y, group=GROUP):
    return predictions(some_right(rate, len(y)), y, group)


def constant(value, like):
    return like.assign(scores=[[value]] * len(like))


@pytest.mark.parametrize(
    ("above", "best", "first"),
    [
        ([], 3, None),
        ([2, 3, 4, 5], 4, 2),
        # A single layer far below is a blip; a gap above the best does not matter.
        ([0, 2, 3, 5], 3, 2),
        ([1, 5], 4, 5),
        ([0, 1, 2], 2, 0),
        ([6], 6, 6),
    ],
)
def test_the_first_layer_is_where_the_run_begins_that_leads_to_the_best(above, best, first):
    assert first_of(above, best) == first


def test_with_one_pair_the_p_value_is_half_that_of_the_two_sided_test():
    better, reference = layer(0.62), layer(0.5)
    (one_sided,) = better_than([(better, [reference])], "accuracy", 2, 12_000, 0)
    two_sided = paired_difference(better, reference, "accuracy", 2, 50, 12_000, np.random.default_rng(0)).p_value
    assert one_sided == pytest.approx(two_sided / 2, abs=0.006)
    # The counterpart of the test for worse layers, with the roles exchanged.
    assert one_sided == worse_than(better, [reference], "accuracy", 2, 12_000, 0)[0]


def test_against_a_constant_answer_it_is_the_test_of_the_share_of_right_answers():
    """With both classes in every image a constant is right on half of each, so that only the layer's errors vary."""
    right = some_right(0.57, N)
    found = predictions(right, Y, GROUP)
    (p,) = better_than([(found, [constant(-1.0, found)])], "accuracy", 2, 12_000, 0)
    by_image = np.bincount(GROUP, right - 0.5)
    assert p == pytest.approx(stats.ttest_1samp(by_image, 0, alternative="greater").pvalue, abs=0.01)


def by_image(pairs):
    """Naively what images add to the mean difference: for each draw shape (images,), the layer less the draw."""
    return [
        np.bincount(GROUP, ((one - other) - (one - other).mean()) / N) * np.sqrt(100 / 99)
        for one, other in pairs
    ]  # fmt: skip


def test_draws_of_a_twin_count_with_their_spread():
    """The error written out: images, plus the draws' variance without what images add to it, over the draws."""
    own = some_right(0.7, N).astype(float)
    draws = [some_right(rate, N).astype(float) for rate in (0.5, 0.61, 0.68)]
    frames = [predictions(draw == 1, Y, GROUP) for draw in draws]
    (p,) = better_than([(predictions(own == 1, Y, GROUP), frames)], "accuracy", 2, 100_000, 0)

    gains = np.array([own.mean() - draw.mean() for draw in draws])
    sums = by_image([(own, draw) for draw in draws])
    images = np.square(np.mean(sums, axis=0)).sum()
    interaction = sum(np.square(one - np.mean(sums, axis=0)).sum() for one in sums) / 6
    spread = gains.var(ddof=1) / 3 - interaction
    freedom = (images + spread) ** 2 / (images**2 / 99 + spread**2 / 2)
    t = gains.mean() / np.sqrt(images + spread)
    assert spread > 0
    assert p == pytest.approx(stats.t.sf(t, freedom), abs=0.003)
    # A single twin that scores like the mean leaves less doubt.
    assert p > 1.5 * better_than([(predictions(own == 1, Y, GROUP), [frames[1]])], "accuracy", 2, 20_000, 0)[0]


def test_p_values_are_corrected_for_the_smallest_of_correlated_ones():
    """Against draws from the same multivariate normal distribution."""
    rng = np.random.default_rng(0)
    sums = rng.standard_normal((5, 400)) + 1.5 * rng.standard_normal(400)
    values = np.linalg.norm(sums, axis=1) * [2.6, 2.0, 0.5, -1.0, 1.0]
    differences = [Difference(value, (of_one,), 401) for value, of_one in zip(values, sums, strict=True)]
    covariance = sums @ sums.T
    scale = np.sqrt(np.diag(covariance))
    drawn = rng.multivariate_normal(np.zeros(5), covariance / np.outer(scale, scale), 200_000)
    bound = stats.norm.isf(stats.t.sf(values / scale, 400))
    expected = (drawn.max(axis=1)[:, None] >= bound).mean(axis=0)
    np.testing.assert_allclose(greater_than(differences, 0.0, 200_000, 1), expected, atol=0.004)


def test_a_margin_is_tested_with_the_90_percent_interval_and_shown_only_by_enough_images():
    rng = np.random.default_rng(0)
    y, group = np.arange(4000) % 2, np.arange(4000) // 2
    # Nearly equally good, and right on different items.
    best, other = layer(0.9, y, group), layer(0.899, y, group)
    pair = paired_difference(best, other, "accuracy", 2, 400, 999, rng)
    assert pair.low < pair.low_90 < pair.difference < pair.high_90 < pair.high
    gains = np.bincount(group, some_right(0.9, 4000).astype(float) - some_right(0.899, 4000)) / 2
    for margin in (0.02, 0.01):
        (p,) = less_worse_than(best, [other], "accuracy", 2, margin, 20_000, 0)
        assert p == pytest.approx(stats.ttest_1samp(gains, margin, alternative="less").pvalue, abs=0.006)
    # No image of 200 differs: up to 3 of 200 may still do so elsewhere.
    few = layer(0.9, y[:400], group[:400])
    equal = paired_difference(few, few, "accuracy", 2, 400, 999, rng)
    assert equal.high_90 == pytest.approx(3 / 200, rel=0.02)
    assert less_worse_than(few, [few], "accuracy", 2, 0.01, 9999, 0)[0] > 0.05
    assert less_worse_than(few, [few], "accuracy", 2, 0.02, 9999, 0)[0] <= 0.05


def test_too_few_images_give_no_p_value():
    few = layer(0.9, np.arange(58) % 2, np.arange(58) // 2)
    assert np.isnan(better_than([(few, [few]), (few, [few])], "accuracy", 2, 99, 0)).all()
    assert np.isnan(less_worse_than(few, [few], "accuracy", 2, 0.01, 99, 0)).all()


def test_merged_draws_have_means_and_intervals_over_images_and_draws():
    base = {"task": "t", "prompt": "p", "layer": 1, "n_groups": 100}
    values, half = [0.5, 0.6, 0.55], 0.04
    rows = [base | {"model": f"twin-{k}", "value": v, "low": v - half, "high": v + half} for k, v in enumerate(values)]
    rows.insert(1, base | {"model": "own", "value": 0.9, "low": 0.8, "high": 0.95})
    merged = merge_draws(pd.DataFrame(rows), {f"twin-{k}": "twin" for k in range(3)})
    assert merged["model"].tolist() == ["twin", "own"]
    assert merged["draws"].tolist() == ["twin-0 twin-1 twin-2", ""]
    images, draws = (half / stats.t.isf(0.025, 99)) ** 2, np.var(values, ddof=1) / 3
    freedom = (images + draws) ** 2 / (images**2 / 99 + draws**2 / 2)
    expected = stats.t.isf(0.025, freedom) * np.sqrt(images + draws)
    assert merged.loc[0, "value"] == pytest.approx(0.55)
    assert merged.loc[0, "high"] - 0.55 == pytest.approx(expected) == pytest.approx(0.55 - merged.loc[0, "low"])
    alone = merge_draws(pd.DataFrame(rows), {})
    pd.testing.assert_frame_equal(alone.drop(columns="draws"), pd.DataFrame(rows))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("probes")
    scores = write_cells(root)
    return scores, root, compare_layers(scores, TASKS, MODELS, root, 100, 199, 0)


def which(study, twins=None, prompts=PROMPTS):
    scores, root, best = study
    twins = {"own": ["twin"]} if twins is None else twins
    table = first_layers(scores, best, TASKS, MODELS, prompts, twins, root, 499, 0)
    return table.set_index(["model", "prompt"])


def test_a_row_says_from_which_layer_on_it_is_known(study):
    table = which(study)
    assert list(table.index) == [("own", "plain"), ("own", "words"), ("own", "asked")]
    row = table.loc["own", "plain"]
    assert (row["above_chance"], row["above_twin"], row["above_text"]) == ("1 2 3 4", "1 2 3 4", "2 3")
    assert (row["first_above_chance"], row["first_above_text"], row["first_above_all"]) == (1, 2, 2)
    assert (row["first"], row["first_low"], row["best_layer"]) == pytest.approx((0.8, 0.75, 3))
    assert (row["twins"], row["text_only"], row["missing"]) == ("twin", "words", "")
    assert (row["twin_highest"], row["text_highest"]) == pytest.approx((0.55, 0.64))
    row = table.loc["own", "words"]
    assert (row["missing"], row["above_all"], row["text_only"]) == ("twin not asked", "1 2 3 4", "")
    row = table.loc["own", "asked"]
    assert (row["missing"], row["above_chance"]) == ("twin not asked; no text-only prompt", "")
    assert pd.isna(row["first_above_all"])
    assert np.isnan(row["first"])


def test_without_a_twin_the_row_says_so_and_keeps_the_rest(study):
    row = which(study, twins={}, prompts=PROMPTS[:1]).loc["own", "plain"]
    assert row["missing"] == "no twin; no text-only prompt"
    assert row["above_all"] == row["above_chance"] == "1 2 3 4"
    assert row["above_twin"] == row["above_text"] == ""


def test_predictions_that_no_constant_answer_fits_are_an_input_error(study):
    scores, root, _ = study
    scores = scores.assign(value=scores["value"].mask(scores["probe"] == "majority", 0.7))
    best = compare_layers(scores, TASKS, MODELS, root, 100, 999, 0)
    with pytest.raises(InputError, match=r"no constant answer has the majority baseline's accuracy 0\.7000"):
        first_layers(scores, best, TASKS, MODELS, PROMPTS, {}, root, 499, 0)


def test_the_table_is_made_by_its_program(study, tmp_path):
    """Its columns are those that it says, and an option names the twins."""
    scores, root, _ = study
    made = given(tmp_path, (), scores=scores, tasks=TASKS, models=MODELS, prompts=PROMPTS, predictions=root)
    options = {"resamples": 100, "permutations": 499, "seed": 0, "twins": {"own": ["twin"]}}
    for name in ("best-layers", "which-layer"):
        table = COMPARISONS[name].compute(made, options)[list(COMPARISONS[name].columns)]
        made.files[name] = [tmp_path / f"{name}.parquet"]
        table.to_parquet(made.files[name][0])
    found = made.comparison("which-layer")
    assert found["first_above_all"].tolist() == [2, 1, pd.NA]
