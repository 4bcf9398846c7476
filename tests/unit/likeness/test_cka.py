"""Debiased CKA against the definition of its estimate, item by item, and against what is planted."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import t

from layerwise.likeness.cka import cka
from layerwise.likeness.grams import Grams, products_of, read_grams, write_grams


def squares(layers, scaling="as they are"):
    """Products of the items of some layers, as a file has them."""
    n = len(layers[0])
    pairs = {("last", scaling): np.stack([products_of(states)[scaling] for states in layers])}
    return Grams([str(i) for i in range(n)], [""] * len(layers), {}, pairs).square("last", scaling)


def hsic_by_quadruples(left, right):
    """HSIC as a mean over all quadruples of different items (Gretton et al. 2005), without any sum of rows."""
    K, L = left @ left.T, right @ right.T
    of_quadruples = [K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(len(K)), 4)]
    return np.mean(of_quadruples)


def cka_by_quadruples(left, right):
    own = hsic_by_quadruples(left, left) * hsic_by_quadruples(right, right)
    return hsic_by_quadruples(left, right) / np.sqrt(own)


@pytest.fixture(scope="module")
def layers():
    """Two layers of one model and three of another, of other widths and partly the same, with a mean far from 0."""
    random = np.random.default_rng(0)
    shared = random.normal(size=(9, 3))
    left = [np.hstack([shared, random.normal(size=(9, 2))]) + 5, random.normal(size=(9, 12))]
    right = [shared @ random.normal(size=(3, 4)), random.normal(size=(9, 4)) * [1, 2, 3, 50], shared**2 - 7]
    return left, right


def test_it_is_the_mean_over_quadruples_of_items(layers):
    left, right = layers
    found = cka(squares(left), squares(right))
    wanted = [[cka_by_quadruples(one, other) for other in right] for one in left]
    np.testing.assert_allclose(found.value, wanted, atol=1e-5)


def test_its_interval_is_that_of_leaving_out_each_item(layers):
    left, right = layers
    found = cka(squares(left), squares(right))
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            left_out = [cka_by_quadruples(np.delete(one, k, 0), np.delete(other, k, 0)) for k in range(9)]
            scale, each = np.arctanh(cka_by_quadruples(one, other)), np.arctanh(left_out)
            reach = t.ppf(0.975, 8) * np.sqrt(8 / 9 * np.sum((each - each.mean()) ** 2))
            wanted = np.tanh([scale - reach, scale + reach])
            np.testing.assert_allclose([found.low[i, j], found.high[i, j]], wanted, atol=1e-4)


def test_a_layer_that_is_turned_scaled_and_moved_is_the_same():
    random = np.random.default_rng(1)
    states = random.normal(size=(20, 6))
    turned = 3 * states @ np.linalg.qr(random.normal(size=(6, 6)))[0] + random.normal(size=6)
    found = cka(squares([states]), squares([turned]))
    np.testing.assert_allclose([found.value, found.low, found.high], 1, atol=1e-5)


def test_unrelated_wide_layers_have_nothing_in_common():
    """The usual estimate calls them alike."""
    random = np.random.default_rng(2)
    found, usual = [], []
    for _ in range(100):
        left, right = random.normal(size=(2, 20, 200))
        found.append(cka(squares([left]), squares([right])).value[0, 0])
        K, L = (x - x.mean(0) for x in (left, right))
        products = [np.sum((a.T @ b) ** 2) for a, b in ((K, L), (K, K), (L, L))]
        usual.append(products[0] / np.sqrt(products[1] * products[2]))
    assert np.mean(usual) > 0.5
    assert abs(np.mean(found)) < 3 * np.std(found) / 10 + 0.01


def test_intervals_hold_the_planted_value_as_often_as_they_say():
    random = np.random.default_rng(3)
    A, B = random.normal(size=(2, 4, 6))
    B[:, :3] = A[:, :3]
    # Of normal items Z, the layers Z A and Z B have this CKA.
    products = [np.sum((a @ b.T) ** 2) for a, b in ((A.T, B.T), (A.T, A.T), (B.T, B.T))]
    planted = products[0] / np.sqrt(products[1] * products[2])
    held = 0
    for _ in range(300):
        items = random.normal(size=(60, 4))
        found = cka(squares([items @ A]), squares([items @ B]))
        held += found.low[0, 0] <= planted <= found.high[0, 0]
    assert 0.2 < planted < 0.9
    assert 0.90 <= held / 300 <= 0.985


def test_standardised_states_are_not_decided_by_one_large_dimension():
    random = np.random.default_rng(4)
    shared = random.normal(size=(100, 30))
    left, right = (np.hstack([shared, 1000 * random.normal(size=(100, 1))]) for _ in range(2))
    as_they_are = cka(squares([left]), squares([right])).value[0, 0]
    standardised = cka(squares([left], "standardised"), squares([right], "standardised")).value[0, 0]
    assert as_they_are < 0.1 < 0.9 < standardised


def test_a_layer_of_equal_states_has_no_likeness_and_spoils_no_other():
    random = np.random.default_rng(5)
    # float32 rounds a mean of equal states.
    equal = np.repeat(random.normal(size=(1, 8)), 30, axis=0).astype(np.float32)
    other = random.normal(size=(30, 8))
    found = cka(squares([equal, other]), squares([other, equal]))
    np.testing.assert_array_equal(np.isnan(found.value), [[True, True], [False, True]])
    assert found.value[1, 0] == pytest.approx(1)


def test_few_items_have_no_likeness():
    states = np.random.default_rng(6).normal(size=(7, 5))
    assert np.isnan(cka(squares([states]), squares([states])).value).all()


def test_products_are_read_as_they_were_written(tmp_path):
    states = np.random.default_rng(7).normal(size=(10, 5)) @ np.diag([1, 2, 3, 4, 5])
    pairs = {("last", scaling): values[None] for scaling, values in products_of(states).items()}
    write_grams(tmp_path / "a.safetensors", Grams([*"abcdefghij"], ["block 1"], {"prompt_entry": {}}, pairs))
    found = read_grams(tmp_path / "a.safetensors")
    assert (found.item_ids, found.layers, found.cell) == ([*"abcdefghij"], ["block 1"], {"prompt_entry": {}})
    centred = states - states.mean(0)
    for scaling, values in (("as they are", centred), ("standardised", centred / centred.std(0))):
        wanted = values @ values.T / np.square(values).sum() * 10
        np.fill_diagonal(wanted, 0)
        np.testing.assert_allclose(found.square("last", scaling), wanted[None], atol=1e-6)
