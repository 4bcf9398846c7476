"""Tests of layers against each other where images share texts: Student's, with the error by image and text.

A swap test assumes that images are independent. Where few texts are read with many images it calls equally good layers
different in up to 40 % of cases at the level of 5 %. Here both the image and the text of an item count as clusters
(:class:`layerwise.probes.clusters.Clusters`), and only the joint distribution of several layers' statistics is drawn.
Skewness is not corrected: with two ways of clustering Hall's correction makes the size worse (7 to 8 % at 97 % right).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

from layerwise.compare.statistics.gains import LabelItems, image_gains, item_residuals
from layerwise.probes.bootstrap import ROUNDING, Crossed, two_way_error
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS

# By metric, the effective number of texts (of the scarcest class, where classes count alike) below which there is no
# p-value. With fewer, equally good layers are called different in more than 6 % of cases at the level of 5 %, if one of
# them errs by whole texts only (accuracy: benchmarks/ground_truth.py; the others: docs/method.md).
LEAST_TEXTS = {name: metric.least_texts for name, metric in METRICS.items()}
# Numbers in memory at a time.
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class CrossedDifference:
    """A difference of two layers' metric, ``value``, and what units add to it, less the mean.

    ``sums`` are by group, by text and by both, each scaled so that its sum of squares is the variance by these units.
    """

    value: float
    sums: tuple[np.ndarray, ...]
    units: Crossed

    @classmethod
    def of(
        cls, value: float, metric: str, labels: list[LabelItems], n_classes: int, clusters: Clusters
    ) -> "CrossedDifference":
        """Of the mean of a metric over labels, where texts count as units."""
        units = clusters.units()
        if not isinstance(units, Crossed):
            raise TypeError("groups that share no texts have no difference by text; use a swap test")
        parts = [item_residuals(metric, label, n_classes) / len(labels) for label in labels]
        return cls(value, tuple(clusters.sums(parts)), units)

    def error_and_freedom(self) -> tuple[float, float]:
        """Standard error of the difference, and its degrees of freedom."""
        return two_way_error([float(np.linalg.norm(of_unit)) for of_unit in self.sums], self.units)


def enough_texts(metric: str, labels: list[LabelItems], texts: list[np.ndarray], n_classes: int) -> bool:
    """Whether there are enough texts for a test of the metric. Depends on counts alone, not on predictions.

    Args:
        metric, labels, n_classes: see :func:`layerwise.compare.statistics.gains.image_gains`.
        texts: per label, shape (n,), numbers that are equal where items read the same.
    """
    distinct, codes = np.unique(np.concatenate(texts), return_inverse=True)
    by_label = np.split(codes, np.cumsum([len(of_label) for of_label in texts])[:-1])
    by_text = [replace(label, images=of_label) for label, of_label in zip(labels, by_label, strict=True)]
    return (
        round(image_gains(metric, by_text, len(distinct), n_classes).effective_images, 6) >= METRICS[metric].least_texts
    )


def difference_p_value(difference: CrossedDifference) -> float:
    """Two-sided p-value of "the layers are equally good", by Student's t.

    Never less than that of a sign test in which all images, or all texts if they are fewer, favour one layer.
    """
    error, freedom = difference.error_and_freedom()
    if abs(difference.value) < ROUNDING:
        return 1.0
    p = 2 * float(stdtr(freedom, -abs(difference.value) / error)) if error >= ROUNDING else 0.0
    return max(p, 2 * 0.5 ** min(difference.units.groups, difference.units.distinct_texts))


def greatest_difference_test(differences: list[CrossedDifference], n_draws: int, seed: int) -> list[float]:
    """Of several layers, each against one reference: one-sided p-values of "the reference is not better".

    Adjusted over the layers by the greatest of their statistics, single step, as in
    :func:`layerwise.compare.statistics.swaps.greatest_swap_test`. The statistics are drawn from a multivariate t
    distribution (Hothorn, Bretz and Westfall 2008, doi:10.1002/bimj.200810425). Its covariance is that by image plus
    that by text less that by both. Negative eigenvalues of this matrix become 0, and no layer's variance is less than
    that by image. The degrees of freedom are the fewest of all layers'.

    Args:
        differences: of the reference and each layer, on the same items; the reference's gain is positive.
        n_draws: how many are drawn.
        seed: of the draws.
    """
    if not differences:
        return []
    errors, freedoms = np.transpose([difference.error_and_freedom() for difference in differences])
    by_group, by_text, by_both = (
        sums @ sums.T for sums in (np.stack(ways) for ways in zip(*(each.sums for each in differences), strict=True))
    )
    values, vectors = np.linalg.eigh(by_group + by_text - by_both)
    root = vectors * np.sqrt(values.clip(0))
    lacking = np.sqrt((np.diag(by_group) - np.square(root).sum(axis=1)).clip(0))
    # No layer's standard error is less than in its two-sided test.
    errors = np.maximum(errors, np.hypot(np.linalg.norm(root, axis=1), lacking))
    gains = np.array([difference.value for difference in differences])
    gains[np.abs(gains) < ROUNDING] = 0
    # A difference that no choice of units changes is not drawn: it is certain, or 0.
    certain = errors < ROUNDING
    scale = np.where(certain, 1, errors)
    statistics = np.where(certain, np.where(gains > 0, np.inf, np.where(gains < 0, -np.inf, 0)), gains / scale)
    rng, freedom = np.random.default_rng(seed), freedoms.min()
    as_great = np.zeros(len(gains))
    at_once = max(1, _NUMBERS_AT_ONCE // len(gains))
    for start in range(0, n_draws, at_once):
        size = min(at_once, n_draws - start)
        drawn = rng.standard_normal((size, len(gains))) @ (root / scale[:, None]).T
        drawn += lacking / scale * rng.standard_normal((size, len(gains)))
        drawn /= np.sqrt(rng.chisquare(freedom, (size, 1)) / freedom)
        as_great += (drawn.max(axis=1)[:, None] >= statistics).sum(axis=0)
    return list((1 + as_great) / (1 + n_draws))
