"""Norms, outlier dimensions and anisotropy, against sums over pairs of items and against what is planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from layerwise.likeness.measures import measure_layer
from layerwise.likeness.sampling import sample_items


def measured(states):
    return {each.measure: each for each in measure_layer(states)}


def jackknife(measure, states):
    """A measure, and its interval from computing it anew without each item."""
    n, each = len(states), np.array([measure(np.delete(states, i, 0)) for i in range(len(states))])
    reach = t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * np.sum((each - each.mean()) ** 2))
    return measure(states) + reach * np.array([0, -1, 1])


def mean_cosine(states):
    pairs = [(i, j) for i in range(len(states)) for j in range(i)]
    return np.mean([states[i] @ states[j] / np.linalg.norm(states[i]) / np.linalg.norm(states[j]) for i, j in pairs])


@pytest.fixture
def states():
    """150 dimensions: one is large and the same in all items, one varies much, and all have a common direction."""
    random = np.random.default_rng(0)
    found = random.normal(size=(12, 150)) + 0.5
    found[:, 70] = 300 + random.normal(size=12)
    found[:, 3] = 20 * random.normal(size=12)
    return found.astype(np.float32)


def test_measures_are_sums_over_items_and_pairs(states):
    found, exact = measured(states), states.astype(np.float64)
    most = np.argsort(-exact.var(axis=0))[:2]
    large = np.argsort(-np.square(exact).mean(axis=0))[:2]
    wanted = {
        "norm": lambda x: np.mean([np.sqrt(sum(row**2)) for row in x]),
        "variance-share": lambda x: x[:, most].var(axis=0).sum() / x.var(axis=0).sum(),
        "cosine": mean_cosine,
        "cosine-rest": lambda x: mean_cosine(np.delete(x, large, axis=1)),
    }
    for name, measure in wanted.items():
        np.testing.assert_allclose(found[name][1:4], jackknife(measure, exact), rtol=1e-9, err_msg=name)
    assert found["variance-share"].dimensions == " ".join(map(str, most))
    assert found["largest"].value == np.abs(states).max()
    assert found["largest"].dimensions == "70"


def test_a_large_dimension_is_an_outlier_and_hides_how_items_differ(states):
    found = measured(states)
    # 20 is far from 0.5, but not beside a standard deviation that 300 makes 25.
    assert (found["outliers"].value, found["outliers"].dimensions) == (1, "70")
    assert found["cosine"].value > 0.95
    assert found["cosine-rest"].value < 0.35


def test_normal_states_have_no_outliers():
    found = measured(np.random.default_rng(1).normal(size=(50, 400)))
    assert (found["outliers"].value, found["outliers"].dimensions) == (0, "")
    # A hundredth of the dimensions, the largest of them by chance.
    assert 0.01 < found["variance-share"].value < 0.02
    assert found["cosine"].low < 0 < found["cosine"].high


def test_equal_states_have_a_cosine_of_one_and_no_variance():
    found = measured(np.repeat(np.random.default_rng(2).normal(size=(1, 30)), 10, axis=0).astype(np.float32))
    np.testing.assert_allclose(found["cosine"][1:4], 1)
    assert np.isnan(found["variance-share"].value)


def test_few_items_have_no_cosine_and_no_interval():
    found = measured(np.random.default_rng(3).normal(size=(7, 30)))
    assert np.isnan([found["cosine"].value, found["variance-share"].value, found["norm"].low]).all()
    assert found["norm"].value > 0


def test_no_two_chosen_items_share_a_picture_or_an_input():
    pictures = [f"{i % 30}\n{i % 7 + 100}" for i in range(200)]
    items = pd.DataFrame({"item_id": [str(i) for i in range(200)], "picture_sha256": pictures})
    rows = np.arange(200) // 2
    places = sample_items(items, list(items["item_id"]), rows, 50, 0)
    shown = [picture for place in places for picture in pictures[place].split("\n")]
    assert len(shown) == len(set(shown)) == 2 * len(places)
    # As many as there are different second pictures.
    assert len(places) == 7
    assert (np.diff(rows[places]) > 0).all()


def test_pictures_that_are_not_shown_do_not_count():
    places = sample_items(None, [str(i) for i in range(100)], np.repeat(np.arange(25), 4), 60, 0)
    assert len(places) == 25
    again, other = (sample_items(None, [str(i) for i in range(100)], np.arange(100), 10, seed) for seed in (0, 1))
    assert len(again) == 10
    assert list(again) != list(other)
