"""Swap tests: would two layers differ as much if chance decided, for each image, which layer's predictions are which?

Each image's predictions are swapped as a whole between the two layers, because items that share an image are not
independent. The test is exact if the layers are exchangeable.

Two layers can also be equally good without being exchangeable: one may be wrong on a few whole images, the other on
single items everywhere. Then the images' contributions are skewed, more so if some images have many items. The
statistic allows for this. It is the difference over its standard error with images as clusters, from residuals like
those of a ratio (the wild bootstrap with signs of Cameron, Gelbach and Miller 2008, doi:10.1162/rest.90.3.414), with
Hall's correction for skewness (1992, J. R. Statist. Soc. B 54:221). With few images that is not enough, and there is no
p-value: see :func:`enough_images`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from layerwise.compare.statistics.gains import Gains
from layerwise.probes.metrics.catalogue import METRICS

# By metric, the effective number of images (Gains.effective_images) below which there is no p-value. With fewer,
# equally good layers are called different in more than 6 % of cases at the level of 5 %, if one of them errs by whole
# images only (benchmarks/ground_truth.py). Rankings need more, because each image's place depends on all others.
LEAST_IMAGES = {name: metric.least_images for name, metric in METRICS.items()}
# Numbers per array in memory: 4 million are 16 MB, and there are a few such arrays.
_NUMBERS_AT_ONCE = 4_000_000
# Statistics, which are computed in float32, are equal if they differ by less than this, relative to their size.
_TIE = 1e-4


@dataclass(frozen=True)
class PValue:
    """A two-sided p-value. With ``is_bound``, no drawn swap was as extreme, and p is ``value`` or less."""

    value: float
    is_bound: bool = False


def enough_images(gains: Gains, metric: str) -> bool:
    """Whether there are enough images for a test of the metric. Depends on counts alone, not on predictions."""
    return round(gains.effective_images, 6) >= METRICS[metric].least_images


def swap_test(gains: Gains, n_swaps: int, rng: np.random.Generator) -> PValue:
    """Two-sided p-value of "the layers are equally good"; see :func:`enough_images` for when to ask.

    If few images differ, all swaps are tried. Otherwise swaps are drawn by importance sampling (exponential tilting):
    the more an image adds to the difference found, the more seldom it is swapped, so that about half of the draws are
    as extreme as the data. Each draw is weighted by its probability under even draws over that under these. So p is
    known to about one percent of its size however small it is, and corrections for many tests stay possible. The data
    themselves count as one more draw, so that p errs upwards with few draws and is never 0 (Harrison 2012,
    doi:10.1093/biomet/asr079).

    Args:
        gains: of one layer over another.
        n_swaps: how many are drawn.
        rng: source of the draws.
    """
    statistic = SwapStatistic(gains)
    found = statistic.found()
    if found == 0:
        return PValue(1.0)
    # Signs are symmetric: both tails together are twice the tail on the data's side.
    side, least = np.sign(found), abs(found) * (1 - _TIE)
    if 2**statistic.n <= n_swaps:
        every = (np.arange(2**statistic.n)[:, None] >> np.arange(statistic.n)) % 2 * 2 - 1
        return PValue(float((np.abs(statistic(every.astype(np.float32))) >= least).mean()))
    pull = statistic.total * side
    tilt = _tilt(pull)
    # Log of the weight of a swap: the sum of log cosh(tilt * pull), less tilt * its difference.
    constant = np.logaddexp(tilt * pull, -tilt * pull).sum() - statistic.n * np.log(2)
    as_it_is = expit(2 * tilt * pull)
    weight, drawn_extreme = np.exp(constant - tilt * pull.sum()), False
    for size in _parts(n_swaps, statistic.width):
        signs = np.where(rng.random((size, statistic.n), dtype=np.float32) < as_it_is, np.float32(1), np.float32(-1))
        extreme = side * statistic(signs) >= least
        weight += np.exp(constant - tilt * (signs[extreme] @ pull)).sum()
        drawn_extreme |= bool(extreme.any())
    return PValue(float(min(1.0, 2 * weight / (n_swaps + 1))), not drawn_extreme)


def greatest_swap_test(gains: list[Gains], n_swaps: int, seed: int) -> list[float]:
    """Of several layers, each against one reference: one-sided p-values of "the reference is not better".

    Adjusted over the layers by the greatest of their statistics under the same swaps (single-step maxT of Westfall and
    Young 1993). This bounds the probability that any layer as good as the reference is called worse, and takes into
    account that neighbouring layers are alike.

    Args:
        gains: of the reference over each layer, on the same images.
        n_swaps: how many are drawn, evenly.
        seed: of the draws.
    """
    if not gains:
        return []
    rng, n_images = np.random.default_rng(seed), gains[0].shares.shape[1]
    statistics = [SwapStatistic(each) for each in gains]
    found = np.array([statistic.found() for statistic in statistics])
    least = found - _TIE * np.abs(found)
    as_great = np.zeros(len(gains))
    # One product for all layers: taking each layer's own images out of the signs costs more than multiplying by zeros.
    forms = np.hstack([statistic.forms_of(n_images) for statistic in statistics])
    ends = np.cumsum([statistic.n_forms for statistic in statistics])[:-1]
    for size in _parts(n_swaps, max(forms.shape)):
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-n_images // 8)), np.uint8), axis=1)[:, :n_images]
        sums = (2 * bits.astype(np.float32) - 1) @ forms
        of_layers = zip(statistics, np.split(sums, ends, axis=1), strict=True)
        greatest = np.max([statistic.of_sums(own) for statistic, own in of_layers], axis=0)
        as_great += (greatest[:, None] >= least).sum(axis=0)
    return list((1 + as_great) / (1 + n_swaps))


def _parts(n_swaps: int, numbers_per_swap: int) -> Iterator[int]:
    at_once = max(1, _NUMBERS_AT_ONCE // numbers_per_swap)
    for start in range(0, n_swaps, at_once):
        yield min(at_once, n_swaps - start)


def _tilt(pull: np.ndarray) -> float:
    """The factor under which signs drawn with odds exp(2 * factor * pull) give, on average, the data's difference."""
    # Imported here: it takes as long as many a job that draws even signs alone.
    from scipy.optimize import brentq

    total = np.abs(pull).sum()
    # If all images pull one way, no factor is great enough; then one sign per draw is changed on average.
    wanted = min(pull.sum(), total * (1 - 1 / max(int(np.count_nonzero(pull)), 2)))
    if wanted <= 0:
        return 0.0

    def missing(tilt: float) -> float:
        return float((pull * np.tanh(tilt * pull)).sum() - wanted)

    most = 1 / float(np.abs(pull).max())
    while missing(most) < 0:
        most *= 2
    return float(brentq(missing, 0, most, xtol=1e-6 * most))


class SwapStatistic:
    """The studentised difference under given signs of the images' gains.

    Images that add nothing to any part are left out: ``moved`` are the indices of the other ``n`` images. ``total`` is
    what they add to the difference, shape (n,), in units of the root of the sum of its squares; ``width`` is the most
    numbers that a swap needs in memory.
    """

    def __init__(self, gains: Gains):
        self.moved = np.flatnonzero(gains.by_part.any(axis=0))
        self.n = len(self.moved)
        total = gains.by_part.sum(axis=0)
        # Parts that cancel leave a rounding error, which must not become the unit.
        total[np.abs(total) <= 1e-12 * np.abs(gains.by_part).max()] = 0
        unit = np.sqrt(np.square(total).sum()) or 1.0
        by_part, weights = gains.by_part[:, self.moved] / unit, gains.weights[:, self.moved]
        share = gains.shares.mean(axis=0)
        self.total = total[self.moved] / unit
        # Sums over images of products of a residual's two terms: one changes with the sign, the other does not.
        forms = [by_part, self.total * weights, [self.total**3, self.total * share[self.moved] ** 2]]
        self._forms = np.concatenate(forms).T.astype(np.float32)
        self._n_parts = len(by_part)
        self.width = max(self._forms.shape)
        self._squares = float(np.square(self.total).sum())
        self._weights = (gains.weights @ gains.weights.T).astype(np.float32)
        self._cubes = float((self.total**2 * share[self.moved]).sum()), float((share**3).sum())

    def found(self) -> float:
        """The statistic of the data; 0 where nothing differs."""
        return float(self(np.ones((1, self.n), np.float32))[0])

    @property
    def n_forms(self) -> int:
        """Sums over images that the statistic is made of."""
        return self._forms.shape[1]

    def forms_of(self, n_images: int) -> np.ndarray:
        """What each image, moved or not, adds to these sums with its sign; shape (images, n_forms)."""
        forms = np.zeros((n_images, self.n_forms), np.float32)
        forms[self.moved] = self._forms
        return forms

    def __call__(self, signs: np.ndarray) -> np.ndarray:
        """Shape (R,), of signs of shape (R, n)."""
        return self.of_sums(signs @ self._forms)

    def of_sums(self, forms: np.ndarray) -> np.ndarray:
        """Shape (R,), of the sums under R swaps, shape (R, n_forms)."""
        if not self._squares:
            return np.zeros(len(forms))
        parts, mixed = forms[:, : self._n_parts], forms[:, self._n_parts : 2 * self._n_parts]
        cubes, squares = forms[:, -2].astype(np.float64), forms[:, -1].astype(np.float64)
        difference = parts.sum(axis=1, dtype=np.float64)
        # An image's residual is sign * total - sum over parts of weight * the part's difference.
        variance = self._squares - 2 * np.einsum("rs,rs->r", parts, mixed, dtype=np.float64)
        variance += np.einsum("rs,rs->r", parts @ self._weights, parts, dtype=np.float64)
        variance = variance.clip(1e-5)
        third = cubes - 3 * difference * self._cubes[0] + 3 * difference**2 * squares - difference**3 * self._cubes[1]
        studentised, skewness = difference / np.sqrt(variance), third / variance**1.5
        # Hall's transformation, bounded: far from 0 an estimated skewness could cancel the difference itself.
        bend = (skewness * studentised).clip(-1, 1.5)
        return studentised * (1 + bend / 3 + bend**2 / 27) + skewness.clip(-0.5, 0.5) / 6
