"""How often a concept is called used that is not: no effect at all, and one more draw of the controls."""

import numpy as np
import pytest

from layerwise.compare.statistics.swept import Items
from layerwise.compare.statistics.used_tests import beyond_draws

pytestmark = pytest.mark.whole

BLOCKS, DRAWS, IMAGES, STUDIES = 6, 10, 100, 200
ITEMS = Items(np.tile([0, 1], IMAGES), np.repeat(np.arange(IMAGES), 2), 2)


def found_used(effects, seed, planted=0.0):
    """The share of families with any verdict: by the test, with draws taken as fixed, and by beating every draw."""
    rng, hits = np.random.default_rng(seed), np.zeros(3)
    for study in range(STUDIES):
        mean = effects(rng.standard_normal((BLOCKS, 1 + DRAWS)))
        mean[0, 0] += planted
        by_image = 0.5 * rng.standard_normal((BLOCKS, 1 + DRAWS, IMAGES))[:, :, ITEMS.images]
        moved = mean[:, :, None] + by_image + rng.standard_normal((BLOCKS, 1 + DRAWS, 2 * IMAGES))
        p_values, fixed = map(np.array, beyond_draws(ITEMS, [(of[0], of[1:]) for of in moved], 999, study))
        beyond = ITEMS.means(moved[:, 0]) > ITEMS.means(moved[:, 1:]).max(axis=1)
        hits += [(beyond & (p_values < 0.05)).any(), (beyond & (fixed < 0.05)).any(), beyond.any()]
    return hits / STUDIES


def test_nothing_is_called_used_where_no_change_does_anything():
    verdict, fixed, _ = found_used(np.zeros_like, 1)
    assert verdict < 0.08
    assert fixed < 0.1


def test_one_more_draw_is_seldom_called_used():
    verdict, fixed, beyond = found_used(lambda drawn: 0.3 * drawn, 2)
    assert verdict < 0.05
    # Neither images alone nor beating every draw would hold the level, nor both.
    assert min(fixed, beyond) > 0.3


def test_skewed_draws_make_the_test_too_bold_but_far_less_than_the_others():
    verdict, fixed, _ = found_used(lambda drawn: 0.3 * drawn**2, 3)
    assert 0.05 < verdict < 0.2
    assert fixed > 0.3


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_planted_effect_is_found(spread):
    verdict, _, _ = found_used(lambda drawn: spread * drawn, 4, planted=1.0)
    assert verdict > 0.95
