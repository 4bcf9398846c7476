"""The smallest difference that a test finds, against other implementations."""

from math import comb

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.power import TTestPower

from layerwise.probes.power import HeldOutSize, planned_difference, smallest_difference, warning_of


def sign_test_power(n: int, differing: float, difference: float) -> float:
    """By counting: how often the sign test of n items finds that the first layer is better."""
    p = (differing + difference) / 2 / differing
    found = 0.0
    for k in range(n + 1):
        of_k = comb(n, k) * differing**k * (1 - differing) ** (n - k)
        for better in range(k + 1):
            tail = sum(comb(k, j) for j in range(better, k + 1)) / 2**k
            if tail <= 0.025:
                found += of_k * comb(k, better) * p**better * (1 - p) ** (k - better)
    return found


@pytest.mark.parametrize("n", [24, 60])
def test_the_planned_difference_is_found_in_80_percent(n):
    difference = planned_difference(HeldOutSize(n, n, 1))
    assert sign_test_power(n, max(0.15, difference), difference) == pytest.approx(0.8, abs=0.002)


def test_items_of_one_image_count_as_fewer():
    assert HeldOutSize.of(np.repeat(np.arange(50), 4)).independent == pytest.approx(200 / 1.9)
    # One image with half of the items tells little.
    uneven = HeldOutSize.of(np.repeat(np.arange(51), [50, *[1] * 50]))
    assert uneven.independent == pytest.approx(100 / (1 + 0.3 * (2550 / 100 - 1)))
    alone, shared = (planned_difference(HeldOutSize(200, groups, 200 / groups)) for groups in (200, 50))
    assert shared > alone
    assert planned_difference(HeldOutSize(200, 200, 1), tests=20) > alone


@pytest.mark.parametrize("n", [12, 40, 1000])
def test_the_smallest_difference_of_a_standard_error_has_that_power(n):
    """The exact power of a t test, of differences of standard deviation 1."""
    smallest = smallest_difference(1 / np.sqrt(n), n - 1)
    assert TTestPower().power(smallest, n, 0.05) == pytest.approx(0.8, abs=0.02)
    if n == 1000:
        assert smallest * np.sqrt(n) == pytest.approx(norm.isf(0.025) + norm.isf(0.2), rel=0.003)
    assert np.isnan(smallest_difference(0, n - 1))
    # The smallest p-value of ten must be a tenth of the level.
    assert TTestPower().power(smallest_difference(1 / np.sqrt(n), n - 1, 10), n, 0.005) == pytest.approx(0.8, abs=0.04)


def test_a_split_that_decides_nothing_is_named():
    small = HeldOutSize(24, 24, 1)
    said = warning_of("objects", small, planned_difference(small), 30)
    assert said == (
        "tasks.objects: 24 test images, fewer than the 30 that a p-value needs; a difference between two layers must "
        "be 31 points to be seen with 80 % power; add test images"
    )
    assert "fewer" not in warning_of("objects", HeldOutSize(60, 60, 1), 0.14, 30)
    assert warning_of("objects", HeldOutSize(400, 400, 1), 0.056, 30) == ""
    assert "no difference" in warning_of("objects", HeldOutSize(4, 4, 1), planned_difference(HeldOutSize(4, 4, 1)), 30)
