"""The smallest difference between two layers that a test would find, from data or from the numbers of images alone.

A test at the level 5 % finds a true difference in 80 % of studies if the difference is its standard error times the sum
of two quantiles of Student's t: that of the level, and that of 80 %. (For many images these are 1.96 and 0.84.)
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

POWER, LEVEL = 0.8, 0.05
# What is assumed of two layers before they are measured. Two layers of 75 % accuracy whose errors correlate by 0.6
# differ on 15 % of the items.
ACCURACY, ERRORS_ALIKE = 0.75, 0.6
DISAGREE = 2 * ACCURACY * (1 - ACCURACY) * (1 - ERRORS_ALIKE)
# A test split that shows only differences above this decides little between layers.
TOO_COARSE = 0.1
# Correlation of the differences of two items of one image.
IMAGE_ALIKE = 0.3


@dataclass(frozen=True)
class HeldOutSize:
    """Test items and the images (groups) that they belong to.

    Attributes:
        items: number of items.
        groups: number of groups.
        per_group: items that an item shares its group with, itself included, on average over items.
    """

    items: float
    groups: float
    per_group: float

    @classmethod
    def of(cls, groups: np.ndarray) -> "HeldOutSize":
        """Of the items' groups, shape (n,)."""
        counts = np.unique(groups, return_counts=True)[1]
        return cls(len(groups), len(counts), float(np.square(counts).sum() / counts.sum()))

    @property
    def independent(self) -> float:
        """The number of independent items that would tell as much."""
        return self.items / (1 + (self.per_group - 1) * IMAGE_ALIKE)


def quantiles(freedom: float, tests: int = 1) -> float:
    """By which a standard error is multiplied to give the smallest difference.

    Args:
        freedom: degrees of freedom of the standard error.
        tests: in the family; the smallest p-value of Holm's method is multiplied by their number.
    """
    return float(stdtrit(freedom, 1 - LEVEL / 2 / tests) + stdtrit(freedom, POWER))


def smallest_difference(error: float, freedom: float, tests: int = 1) -> float:
    """The smallest difference that a test finds in 80 % of studies; NaN without a standard error, or where it is 0.

    Args:
        error: standard error of the difference.
        freedom, tests: see :func:`quantiles`.
    """
    return error * quantiles(freedom, tests) if error > 0 and freedom > 0 else float("nan")


def planned_difference(size: HeldOutSize, tests: int = 1) -> float:
    """The same before anything is measured: of two layers' accuracy, under the assumptions of this module.

    The layers differ on 15 % of the items, or on as many as the difference needs. A swap test of accuracy is then a
    sign test over the items on which they differ, and its power is known exactly, also for few images.

    Args:
        size: of the test split.
        tests: see :func:`quantiles`.

    Returns:
        Between 0 and 1; NaN where even a difference of 1 would not be found.
    """
    # Not at the top: it takes half a second, which programs that ask for a quantile need not wait.
    from scipy.stats import binom

    n = int(size.independent)
    differing = np.arange(n + 1)
    # The fewest items for the better layer, of those that differ, with a p-value within the level.
    needed = binom.isf(LEVEL / 2 / tests, differing, 0.5) + 1

    def lacking(difference: float) -> float:
        share = max(DISAGREE, difference)
        found = binom.sf(needed - 1, differing, (1 + difference / share) / 2)
        return POWER - float(binom.pmf(differing, n, share) @ found)

    return float(brentq(lacking, 0, 1, xtol=1e-4)) if lacking(1.0) < 0 else float("nan")


def warning_of(task: str, size: HeldOutSize, smallest: float, least_images: int) -> str:
    """One line about a test split that is too small to decide anything; empty where it is not.

    Args:
        task: its name.
        size: of the test split.
        smallest: what :func:`planned_difference` says of it.
        least_images: below which the task's metric has no p-value.
    """
    images = f"tasks.{task}: {size.groups:.0f} test images"
    if size.groups < least_images:
        images += f", fewer than the {least_images} that a p-value needs"
    elif smallest <= TOO_COARSE:
        return ""
    if np.isnan(smallest):
        return f"{images}; no difference between two layers can be seen with 80 % power; add test images"
    points = f"{100 * smallest:.0f} points"
    return f"{images}; a difference between two layers must be {points} to be seen with 80 % power; add test images"
