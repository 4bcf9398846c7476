"""The test of a whole specification curve, against all swaps and against other implementations."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.api import OLS, add_constant

from layerwise.compare.statistics.paired import paired_difference, paired_effect
from layerwise.compare.statistics.specification_curve import (
    drawn_curves,
    joint_gains,
    joint_sums,
    share_of_variance,
    swapped_curves,
)
from layerwise.compare.statistics.specification_effects import unit_rows


def units_of(gains: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Units of specifications whose images add the given gains of accuracy."""
    tables = []
    for name, of_image in gains.items():
        n = len(of_image)
        columns = {"unit": "image", "part": 0, "name": list(of_image), "gain": np.array(list(of_image.values())) / n}
        tables.append(pd.DataFrame({"specification": name, **columns, "weight": 1 / n, "share": 1 / n}))
    return pd.concat(tables, ignore_index=True)


def test_a_median_is_compared_with_all_swaps_of_images():
    """Images that several specifications share are swapped together, also where test splits differ."""
    rng = np.random.default_rng(0)
    images = [f"i{k}" for k in range(10)]
    gains = {
        "a": dict(zip(images[:8], rng.choice([-1, -1, 1, 1, 1], 8), strict=True)),
        "b": dict(zip(images[2:], rng.choice([-1, -1, 1, 1, 1], 8), strict=True)),
        "c": dict(zip(images, rng.choice([-1, -1, 1, 1, 1], 10), strict=True)),
    }
    test = swapped_curves(joint_gains(units_of(gains), list(gains)), 20000, 0)
    medians = []
    for signs in product((1, -1), repeat=10):
        of = dict(zip(images, signs, strict=True))
        medians.append(np.median([np.mean([of[i] * g for i, g in each.items()]) for each in gains.values()]))
    # The first of all swaps is none.
    exact = np.mean(np.abs(medians) >= abs(medians[0]) - 1e-9)
    assert 0.02 < exact < 0.9
    assert test.p_median == pytest.approx(exact, abs=0.012)
    # Had each specification its own swaps, medians would be smaller.
    alone = swapped_curves(joint_gains(units_of({"a": gains["a"]}), ["a"]), 20000, 0)
    every = [
        abs(sum(s * g for s, g in zip(signs, gains["a"].values(), strict=True))) for signs in product((1, -1), repeat=8)
    ]
    assert alone.p_median == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-9), abs=0.012)
    assert alone.p_value[0] == pytest.approx(alone.p_median, abs=0.012)


def test_equal_specifications_tell_no_more_than_one():
    rng = np.random.default_rng(1)
    of_image = {f"i{k}": g for k, g in enumerate(rng.choice([-1, 0, 0, 1, 1], 60))}
    one, five = (
        swapped_curves(joint_gains(units_of(names := {str(k): of_image for k in range(n)}), list(names)), 5000, 0)
        for n in (1, 5)
    )
    assert one.p_median == five.p_median < 0.5
    assert one.p_share == five.p_share
    assert (five.significant == one.significant[0]).all()


def frames(rng, n_images=100, items=2, texts=0, effect=0.0):
    image = np.repeat(np.arange(n_images), items)
    y, text = np.arange(len(image)) % 2, rng.permutation(np.arange(len(image))) % (texts or len(image))
    shared = rng.standard_normal(max(texts, 1))[text % max(texts, 1)] * bool(texts)
    table = pd.DataFrame({"label": "x", "item_id": range(len(y)), "group": image.astype(str), "y": y, "text": text})
    common = rng.standard_normal(len(y)) + shared
    margins = [(1 + shift) * (2 * y - 1) + common + 0.7 * rng.standard_normal(len(y)) for shift in (effect, 0)]
    return [table.assign(scores=[[m] for m in margin]) for margin in margins]


def test_a_single_specification_gives_what_the_paired_test_gives():
    pair = frames(np.random.default_rng(0), effect=0.3)
    effect = paired_effect(*pair, "accuracy", 2, 200, np.random.default_rng(1))
    expected = paired_difference(*pair, "accuracy", 2, 200, 20000, np.random.default_rng(1))
    assert (effect.low, effect.high) == (expected.low, expected.high)
    assert (effect.error, effect.freedom) == (expected.error, expected.freedom)
    units = unit_rows(effect).assign(specification="a")
    test = swapped_curves(joint_gains(units, ["a"]), 20000, 0)
    assert 0.001 < expected.p_value < 0.2
    assert test.p_value[0] == pytest.approx(expected.p_value, abs=0.006)


def test_where_images_share_texts_curves_are_drawn_with_both_errors():
    effect = paired_effect(
        *frames(np.random.default_rng(3), 400, 2, 120, 0.15), "accuracy", 2, 200, np.random.default_rng(1)
    )
    assert effect.crossed is not None
    assert effect.testable
    error, freedom = effect.crossed.error_and_freedom()
    units = pd.concat([unit_rows(effect).assign(specification=name) for name in ("a", "b")], ignore_index=True)
    sums = joint_sums(units, ["a", "b"])
    assert [each.shape[1] for each in sums] == [400, 120, len(effect.units[2])]
    difference = effect.first - effect.second
    test = drawn_curves(np.array([difference] * 2), np.array([error] * 2), freedom, sums, 20000, 0)
    expected = 2 * stats.t.sf(abs(difference) / error, freedom)
    assert 0.0005 < expected < 0.5
    assert test.p_value == pytest.approx([expected] * 2, abs=0.01)
    assert test.p_median == pytest.approx(expected, abs=0.01)


def test_plain_specifications_among_crossed_ones_have_their_images_alone():
    """The sum of squares is the variance of a mean with images as clusters."""
    gains = {f"i{k}": g for k, g in enumerate(np.random.default_rng(2).choice([-1, 0, 1], 50))}
    image, text, pair = joint_sums(units_of({"a": gains}), ["a"])
    assert np.square(image).sum() == pytest.approx(stats.sem(list(gains.values())) ** 2)
    assert text.size == pair.size == 0


def test_the_share_of_variance_is_what_a_regression_loses():
    rng = np.random.default_rng(0)
    choices = pd.DataFrame({"metric": rng.choice(list("abc"), 80), "probe": rng.choice(["l", "m"], 80)})
    choices["C"] = np.where(choices["probe"] == "m", "none", rng.choice(["1", "2"], 80))
    effects = 2.0 * (choices["metric"] == "a") + 1.0 * (choices["probe"] == "m") + 0.5 * (choices["C"] == "1")
    effects += 0.3 * rng.standard_normal(80)

    def explained(*names):
        design = [pd.get_dummies(choices[list(names)], drop_first=True).astype(float)] if names else []
        return (
            OLS(effects, add_constant(pd.concat([pd.DataFrame(index=effects.index), *design], axis=1))).fit().rsquared
        )

    found = share_of_variance(effects, choices)
    assert found["metric"] == pytest.approx(explained("metric", "probe", "C") - explained("probe", "C"))
    assert found["C"] == pytest.approx(explained("metric", "probe", "C") - explained("metric", "probe"))
    # A penalty also tells the kind of probe.
    assert found["probe"] == pytest.approx(explained("metric", "probe") - explained("metric"))
    assert all(np.isnan(list(share_of_variance(effects * 0, choices).values())))
