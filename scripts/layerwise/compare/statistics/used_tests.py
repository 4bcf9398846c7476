"""Does a concept's own change move answers further than changes of the same size in random directions?

The controls are few draws out of many possible directions. A test that takes them as fixed, such as one that swaps the
concept's run with the controls' image by image, asks whether the concept's effect differs from the mean of *these*
draws. With many images the answer is nearly always yes, even if the concept is nothing but another draw. The test here
asks whether the concept's effect lies beyond what one more draw would give. The variance of its difference from the
mean of D draws is therefore that by image, plus s^2 (1 + 1 / D), where s^2 is the variance of the draws' effects
without what images add to it. Degrees of freedom are Satterthwaite's (see
:mod:`layerwise.compare.statistics.student`), about D - 1 where the draws differ much. Tests are one-sided, because a
concept that is used can only help to find the right answer, and a direction that is followed moves it forward.

False positive rates of a family of 6 blocks at the level of 5 %, with 10 draws and 100 images of two items
(tests/unit/compare/test_used_rates.py): 4 % if no change does anything; 1 % if the concept is one more draw and the
draws' effects are normal; 13 % if they are squares of normal numbers, which are as skewed as a single direction out of
many can make them. The test that takes the draws as fixed has 6, 83 and 74 %. If the effect must also exceed that of
every draw, it still has 43 % in the last two cases.
"""

from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from layerwise.compare.statistics.student import Difference, greater_than
from layerwise.compare.statistics.swaps import LEAST_IMAGES, greatest_swap_test
from layerwise.compare.statistics.swept import Items
from layerwise.probes.clusters import Clusters

# The spread of fewer draws is not known.
FEWEST_DRAWS = 2


def difference_from_draws(items: Items, own: np.ndarray, controls: np.ndarray) -> Difference:
    """The own effect less the mean of the controls', as one more draw would vary.

    Args:
        items: n of them.
        own: effect on each item, shape (n,).
        controls: the same of each draw, shape (D, n).
    """
    clusters, units = Clusters([items.images]), items.n_images
    each = [
        Difference(float(items.means(gain)), tuple(clusters.sums([items.residuals(gain)])), units)
        for gain in own - controls
    ]
    mean = Difference.from_draws(each)
    # Of the mean of D draws it is s^2 / D.
    return replace(mean, spread=mean.spread * (len(controls) + 1))


def interval(difference: Difference, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a difference from draws."""
    error, freedom = difference.error_and_freedom()
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    return difference.value - half, difference.value + half


def why_untested(items: Items, n_draws: int) -> str:
    """Why there is no p-value; empty if there is one. It depends on counts alone, not on what was found."""
    if not items.has_all_classes:
        return "a class has no items"
    if round(items.gains(np.zeros(len(items.y))).effective_images, 6) < LEAST_IMAGES["balanced_accuracy"]:
        return "too few images"
    return "too few draws" if n_draws < FEWEST_DRAWS else ""


def beyond_draws(
    items: Items, family: list[tuple[np.ndarray, np.ndarray]], n_permutations: int, seed: int
) -> tuple[list[float], list[float]]:
    """One-sided p-values of "the own effect is no greater than a draw's", corrected over a family.

    Args:
        items: the same for all.
        family: own effects, shape (n,), and controls', shape (D, n), of each block and strength.
        n_permutations: draws of the smallest p-value, and swaps.
        seed: of both.

    Returns:
        The p-values in which draws vary, and those of swaps of whole images, in which they are fixed.
    """
    differences = [difference_from_draws(items, own, controls) for own, controls in family]
    gains = [items.gains(own - controls.mean(axis=0)) for own, controls in family]
    fixed = greatest_swap_test(gains, n_permutations, seed)
    return list(map(float, greater_than(differences, 0.0, n_permutations, seed))), list(map(float, fixed))
