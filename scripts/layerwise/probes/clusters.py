"""The items of a split that are not independent: those of one image, and of one text that many images share.

Items that read one text are no more independent than items of one image. Where texts cross images, the variance of a
score is that by image plus that by text less that by both (Cameron, Gelbach and Miller 2011,
doi:10.1198/jbes.2010.07136), so that what two items have in common counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from layerwise.probes.bootstrap import Crossed, Units, resample_weights, two_way_error

# With fewer texts the variance between texts cannot be estimated well; a score then holds for these texts only.
FEWEST_TEXTS = 40
# Texts that recur by chance do not count: sharing must be able to raise the variance by this factor.
LEAST_INFLATION = 1.05
# Draws of up to so many numbers, 2 bytes each, stay in memory.
KEPT_NUMBERS = 10_000_000


def _draw(sizes: Sequence[int], n_resamples: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [resample_weights(np.arange(size), n_resamples, rng) for size in sizes]


def _drawn(sizes: tuple[int, ...], n_resamples: int, seed: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    draws = _draw(sizes, n_resamples, np.random.default_rng(list(seed)))
    for draw in draws:
        # Cells share them.
        draw.flags.writeable = False
    return tuple(draws)


_kept = lru_cache(maxsize=8)(_drawn)


@dataclass(frozen=True)
class _Sizes:
    """How the items of a label, or of all labels, share groups and texts."""

    groups: int
    texts: float
    distinct_texts: int
    pairs: int
    inflation: float

    @classmethod
    def of(cls, groups: np.ndarray, texts: np.ndarray, pairs: np.ndarray) -> "_Sizes":
        of_text, of_pair = (np.unique(codes, return_counts=True)[1].astype(float) for codes in (texts, pairs))
        squares = np.square(of_text).sum()
        return cls(
            groups=len(np.unique(groups)),
            # The number of equally frequent texts that would be as even a sample (Kish 1965).
            texts=len(texts) ** 2 / squares,
            distinct_texts=len(of_text),
            pairs=len(of_pair),
            inflation=squares / np.square(of_pair).sum(),
        )

    @property
    def crossed(self) -> bool:
        return self.texts >= FEWEST_TEXTS and self.inflation >= LEAST_INFLATION

    @property
    def units(self) -> Crossed:
        return Crossed(self.groups, self.texts, self.pairs, self.distinct_texts)


class Clusters:
    """The units that the items of a split are resampled by: groups, and texts too where groups share texts.

    If all items of a label read one text, as where each category has its own question, its score holds for that text,
    and the mean over such labels for these labels only.
    """

    def __init__(self, groups: Sequence[np.ndarray], texts: Sequence[np.ndarray] | None = None):
        """
        Args:
            groups: per label, shape (n,), the items' groups (images).
            texts: per label, shape (n,), numbers that are equal where items read the same. Default - no text is shared.
        """
        ends = np.cumsum([len(of_label) for of_label in groups])[:-1]
        distinct, codes = np.unique(np.concatenate(groups), return_inverse=True)
        self._n_groups = [len(np.unique(of_label)) for of_label in groups]
        self._all_groups = len(distinct)
        ways, self._of_label = [codes], list[_Sizes]()
        self._of_all: _Sizes | None = None
        if texts is not None:
            read = np.unique(np.concatenate(texts), return_inverse=True)[1]
            both = np.unique(read * len(distinct) + codes, return_inverse=True)[1]
            parts = [np.split(way, ends) for way in (codes, read, both)]
            self._of_label = [_Sizes.of(*of_label) for of_label in zip(*parts, strict=True)]
            if any(sizes.crossed for sizes in self._of_label):
                ways += [read, both]
                self._of_all = _Sizes.of(codes, read, both)
        self._sizes = [int(way.max()) + 1 for way in ways]
        self._codes = [np.split(way, ends) for way in ways]

    def draw(self, n_resamples: int, rng: np.random.Generator) -> list[np.ndarray]:
        """How often each unit counts in each resample: for groups, texts and pairs of both, shape (R, units)."""
        return _draw(self._sizes, n_resamples, rng)

    def draw_seeded(self, n_resamples: int, seed: tuple[int, ...]) -> list[np.ndarray]:
        """The same from a fresh generator. Few units are drawn once for all cells that have as many of them."""
        few = n_resamples * sum(self._sizes) <= KEPT_NUMBERS
        return list((_kept if few else _drawn)(tuple(self._sizes), n_resamples, seed))

    def weights(self, draws: list[np.ndarray], place: int) -> np.ndarray:
        """Weights of one label's items, shape (R, n), or (3 R, n) where texts cross groups: by group, text, both."""
        return np.vstack([draw[:, codes[place]] for draw, codes in zip(draws, self._codes, strict=True)])

    def units(self, place: int | None = None) -> Units:
        """The units of one label's items, or of all labels' together."""
        if self._of_all is not None:
            sizes = self._of_all if place is None else self._of_label[place]
            if sizes.crossed:
                return sizes.units
        return self._all_groups if place is None else self._n_groups[place]

    def evidence(self, resampled: np.ndarray, place: int | None = None) -> tuple[np.ndarray, Units]:
        """The resamples that an interval is made from, and their units.

        Args:
            resampled: a label's values, or means over labels, under all of :meth:`weights`.
            place: the label's; None for the mean over labels.
        """
        units = self.units(place)
        return resampled if isinstance(units, Crossed) else resampled[: len(resampled) // len(self._sizes)], units

    def sums(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What units add to a sum over all labels' items: by group, and where texts cross groups by text and by both.

        Each kind of unit is scaled so that the sum of squares is the variance by this kind; NaN for fewer than two.

        Args:
            parts: per label, shape (n,), what the items add, less its mean.
        """
        units = self.units()
        counts = (units.groups, units.texts, units.pairs) if isinstance(units, Crossed) else (units,)
        return [
            np.bincount(np.concatenate(codes), np.concatenate(parts)) * (np.sqrt(n / (n - 1)) if n >= 2 else np.nan)
            for codes, n in zip(self._codes, counts, strict=False)
        ]

    def error_of_sum(self, parts: Sequence[np.ndarray]) -> tuple[float, float]:
        """Standard error of a sum over all labels' items, and its degrees of freedom; NaN with fewer than two groups.

        Args:
            parts: see :meth:`sums`.
        """
        units, sums = self.units(), self.sums(parts)
        errors = [float(np.sqrt(np.square(of_unit).sum())) for of_unit in sums]
        if not np.isfinite(errors).all():
            return float("nan"), float("nan")
        return two_way_error(errors, units) if isinstance(units, Crossed) else (errors[0], units - 1)
