"""Means over questions by window or layer, and the strongest window, with intervals over images.

Changes in percent are skewed: a few answers are lost, most are not, and there is no upper limit. Student's interval is
then too short, because a sample without the rare ones has both too high a mean and too small an error. A bootstrap of
the studentised mean (Hall 1988, doi:10.1214/aos/1176350933) sees that in its resamples.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from layerwise.flow.results import DIFFERENCE_COLUMNS, flows_of_cell
from layerwise.probes.bootstrap import resample_weights

# Fewer images give no interval of a strongest window: they may lack what one image in twenty shows.
FEWEST_IMAGES = 60
# Windows within this many standard errors of the lowest may be as low.
TIED = 2.0
# An error below this share of that of the sample is rounding.
ROUNDING = 1e-6
# The change of the difference of two logits, from that with nothing blocked.
LOGIT_CHANGE = "logit_change"
# Bounds of a mean: a probability cannot fall by more than 100 %.
BOUNDS = {"change": (-100.0, np.inf), "p": (0.0, 1.0), LOGIT_CHANGE: (-np.inf, np.inf)}


@dataclass(frozen=True)
class Resampled:
    """Means at all places of a line, and what they are in resamples of the images.

    Attributes:
        mean, error: shape (places,), of the questions as they are, and the means' standard errors.
        shifts, errors: shape (R, places), how far the means of a resample are from these, and its standard errors.
        n_images: number of images.
    """

    mean: np.ndarray
    error: np.ndarray
    shifts: np.ndarray
    errors: np.ndarray
    n_images: int

    @classmethod
    def of(cls, values: np.ndarray, images: np.ndarray, n_resamples: int, rng: np.random.Generator) -> "Resampled":
        """Resample images; ``values``: shape (questions, places), ``images``: shape (questions,)."""
        distinct, index = np.unique(images, return_inverse=True)
        n, mean = len(distinct), values.mean(0)
        sizes = np.bincount(index).astype(float)[:, None]
        sums = np.stack([np.bincount(index, column) for column in (values - mean).T], axis=1)
        weights = np.vstack([np.ones(n), resample_weights(np.arange(n), n_resamples, rng)])
        total = weights @ sizes
        shifts = weights @ sums / total
        # An image's part in the deviation from the resample's own mean is sums - shift * sizes.
        squares = weights @ sums**2 - 2 * shifts * (weights @ (sums * sizes)) + shifts**2 * (weights @ sizes**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.sqrt(np.maximum(squares, 0) * np.float64(n) / (n - 1)) / total
        return cls(mean, errors[0], shifts[1:], errors[1:], n)

    def each(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 95 % interval of every place, shape (places,); NaN where none can be trusted.

        With too few images for a studentised mean it is Student's, which holds for means that are close to normal.
        """
        if self.n_images < FEWEST_IMAGES:
            half = stdtrit(max(self.n_images - 1, 1), 0.975) * self.error
            return self.mean - half, self.mean + half
        ends = self._ends(self.shifts, self.errors, self.error)
        low, high = np.where(np.isfinite(ends).all(axis=0), ends, np.nan)
        return self.mean - high * self.error, self.mean - low * self.error

    def strongest(self, tied: float = TIED) -> tuple[int, float, float]:
        """The place of the lowest mean, and the 95 % interval of its true mean; NaN where none can be trusted.

        Each resample picks its own lowest place, so that the interval allows for the picking. The true means may be
        those of the sample, or all places near the lowest may be equally low, where picking matters most; the interval
        covers both cases. (Andrews, Kitagawa and McCloskey 2024, doi:10.1093/qje/qjad043, treat the
        problem; Andrews and Soares 2010, doi:10.3982/ECTA7502, choose between nearly equal moments likewise.)

        Args:
            tied: places within this many standard errors of the lowest may be as low.
        """
        place = int(self.mean.argmin())
        if self.n_images < FEWEST_IMAGES:
            return place, np.nan, np.nan
        spread = (self.shifts - self.shifts[:, [place]]).std(0)
        level = np.where(self.mean - self.mean[place] <= tied * spread, self.mean[place], self.mean)
        rows, ends = np.arange(len(self.shifts)), []
        for truth in (self.mean, level):
            picked = (truth + self.shifts).argmin(1)
            ends.append(self._ends(self.shifts[rows, picked], self.errors[rows, picked], self.error[picked]))
        (low, high), error = (np.min(ends), np.max(ends)), self.error[place]
        if not np.isfinite([low, high]).all():
            return place, np.nan, np.nan
        return place, float(self.mean[place] - high * error), float(self.mean[place] - low * error)

    @staticmethod
    def _ends(shifts: np.ndarray, errors: np.ndarray, usual: np.ndarray) -> np.ndarray:
        """Between which numbers of standard errors 95 % of the shifts are, along the first axis; shape (2, ...).

        A resample whose images are all alike, but differ from the rest, has an infinite shift.
        """
        alike = errors <= ROUNDING * usual
        with np.errstate(divide="ignore", invalid="ignore"):
            found = shifts / errors
        none = np.abs(shifts) <= ROUNDING * usual
        found = np.where(alike, np.where(none, 0.0, np.copysign(np.inf, shifts)), found)
        # No interpolation, which fails between infinite values.
        return np.quantile(found, [0.025, 0.975], axis=0, method="inverted_cdf")


def means(table: pd.DataFrame, line: list[str], x: str, value: str, resamples: int, seed: int) -> pd.DataFrame:
    """Mean over questions at every place of a line, with intervals over images.

    Args:
        table: ``type``, ``question_id``, ``image_id``, the columns ``line`` and ``x``, and ``value``.
        line: columns that distinguish the lines of a type.
        x: the column of places.
        value: the column to average, a key of ``BOUNDS``.
        resamples: of images; all places of a line are averaged over the same ones.
        seed: of the resamples.

    Returns:
        Per type, line and place: ``mean``, ``low`` and ``high`` (95 % interval of that place), ``n`` questions and
        ``n_images``. No rows for an empty table.
    """
    columns = ["type", *line, x, "mean", "low", "high", "n", "n_images"]
    parts = []
    for keys, places, n, sample in _lines(table, line, x, value, resamples, seed):
        low, high = sample.each()
        found = pd.DataFrame({x: places, "mean": sample.mean, "low": low, "high": high})
        parts.append(found.assign(n=n, n_images=sample.n_images, **keys)[columns])
    return _within_bounds(pd.concat(parts, ignore_index=True), value) if parts else pd.DataFrame(columns=columns)


def lowest(
    table: pd.DataFrame, line: list[str], x: str, value: str, resamples: int, seed: int, tied: float = TIED
) -> pd.DataFrame:
    """The place of the lowest mean per type and line, as :func:`means`; the interval allows for picking the place."""
    parts = []
    for keys, places, n, sample in _lines(table, line, x, value, resamples, seed):
        place, low, high = sample.strongest(tied)
        found = {x: places[place], "mean": sample.mean[place], "low": low, "high": high}
        parts.append(found | {"n": n, "n_images": sample.n_images} | keys)
    return _within_bounds(pd.DataFrame(parts), value)


def with_logit_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """The blocked runs of questions whose distractor can be compared with the answer, with :data:`LOGIT_CHANGE`.

    Args:
        changes: of a set of questions with distractors, see :mod:`layerwise.flow.results`.
    """
    free, blocked = DIFFERENCE_COLUMNS
    measured = changes[changes[blocked].notna()]
    return measured.assign(**{LOGIT_CHANGE: measured[blocked] - measured[free]})


def strongest_windows(
    changes: pd.DataFrame,
    description: Mapping[str, Mapping[str, Any]],
    resamples: int,
    seed: int,
    value: str = "change",
) -> pd.DataFrame:
    """Per type and flow the window in which blocking lowers the answer's probability most, or another value.

    Args:
        changes: blocked runs, not empty, of one model and set of questions, see :mod:`layerwise.flow.results`.
        description: of the same; it names model and questions, and the types in order.
        resamples, seed: of the bootstrap.
        value: the column whose mean is lowest.

    Returns:
        A row per type and flow; :mod:`layerwise.compare.flow_strongest` lists the columns.
    """
    strongest = lowest(changes, ["flow"], "window", value, resamples, seed).rename(columns={"mean": "change"})
    strongest = strongest.assign(
        model=description["cell"]["model"],
        questions=description["cell"]["questions"],
        n_layers=int(changes["n_layers"].iloc[0]),
    )
    order = {"type": list(description["types"]), "flow": flows_of_cell(description)}
    strongest = strongest.sort_values(["type", "flow"], key=lambda column: column.map(order[column.name].index))
    return strongest.reset_index(drop=True)


def _lines(
    table: pd.DataFrame, line: list[str], x: str, value: str, resamples: int, seed: int
) -> Iterator[tuple[dict[str, Any], np.ndarray, int, Resampled]]:
    """For each type and line its keys, its places, its number of questions, and its resampled means."""
    for keys, rows in table.groupby(["type", *line], sort=False):
        values = rows.pivot(index=["question_id", "image_id"], columns=x, values=value)
        images = values.index.get_level_values("image_id").to_numpy()
        sample = Resampled.of(values.to_numpy(np.float64), images, resamples, np.random.default_rng(seed))
        yield dict(zip(["type", *line], keys, strict=True)), values.columns.to_numpy(), len(values), sample


def _within_bounds(found: pd.DataFrame, value: str) -> pd.DataFrame:
    found[["low", "high"]] = found[["low", "high"]].clip(*BOUNDS[value])
    return found
