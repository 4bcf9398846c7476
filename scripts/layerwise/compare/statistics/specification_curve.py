"""Does a claim hold over a whole specification curve, and which choices move its effect most?

The test is that of Simonsohn, Simmons and Nelson (2020, doi:10.1038/s41562-020-0912-z), with swaps in place of their
shuffled treatments. Under the null hypothesis the best layer and the topmost block are exchangeable, so that chance
decides which of them does better on an image. All specifications look at the same images: an image is swapped in all of
them or in none, also where test splits differ. So the test allows for how much specifications depend on each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerwise.compare.statistics.gains import Gains
from layerwise.compare.statistics.significance import LEVEL
from layerwise.compare.statistics.swaps import SwapStatistic
from layerwise.probes.specifications import CHOICES

# Numbers in memory at a time.
_NUMBERS_AT_ONCE = 4_000_000
# Effects and statistics, in float32, that differ by less, relative to their size, are equal.
_TIE = 1e-4


@dataclass(frozen=True)
class CurveTest:
    """A curve of S specifications, compared with curves of swapped layers.

    Attributes:
        p_value: of each effect alone, two-sided, not corrected, shape (S,).
        significant: of effects with a p-value of at most the level: 1 where the best layer is better, -1 where the
            topmost block is, else 0; shape (S,).
        p_median: of the median effect, two-sided.
        p_share: of the share of specifications in which the best layer is significantly better; one-sided.
        null_low, null_high: by place in the ordered curve, the middle 95 % of swapped curves, shape (S,).
    """

    p_value: np.ndarray
    significant: np.ndarray
    p_median: float
    p_share: float
    null_low: np.ndarray
    null_high: np.ndarray


def joint_gains(images: pd.DataFrame, specifications: Sequence[str]) -> list[Gains]:
    """Gains of each specification, over the images of all of them; an image adds nothing where it is no test image.

    Args:
        images: of one model and task, as docs/formats.md describes them.
        specifications: their names, in the order of the result.
    """
    groups = pd.Index(images["group"].unique())
    place = pd.Series(groups.get_indexer(images["group"]), index=images.index)
    found = dict(list(images.groupby("specification", sort=False)))
    gains = []
    for name in specifications:
        rows = found[name]
        arrays = {column: np.zeros((int(rows["part"].max()) + 1, len(groups))) for column in ("gain", "weight", "share")}
        for column, array in arrays.items():
            array[rows["part"], place[rows.index]] = rows[column]
        gains.append(Gains(arrays["gain"], arrays["weight"], arrays["share"][:1]))
    return gains


def curve_test(gains: Sequence[Gains], n_swaps: int, seed: int) -> CurveTest:
    """Compare a curve with those of swapped layers.

    Args:
        gains: of the best layer over the topmost block, by specification, over the same images
            (:func:`joint_gains`).
        n_swaps: how many are drawn, evenly; the data count as one more.
        seed: of the swaps.
    """
    n_images = gains[0].by_part.shape[1]
    statistics = [SwapStatistic(each) for each in gains]
    totals = np.stack([each.by_part.sum(axis=0) for each in gains], axis=1)
    drawn_effects, drawn_statistics = [], []
    for signs in _signs(n_swaps, n_images, seed):
        drawn_effects.append((signs @ totals).astype(np.float32))
        columns = [statistic(signs[:, statistic.moved]) for statistic in statistics]
        drawn_statistics.append(np.stack(columns, axis=1).astype(np.float32))
    effects, found = np.concatenate(drawn_effects), np.concatenate(drawn_statistics)
    # By draw and specification, the share of draws that are as extreme. The data are the first row.
    p_values = np.stack([_p_values(np.abs(of_one)) for of_one in found.T], axis=1)
    significant = np.where(p_values <= LEVEL, np.sign(found), 0)
    medians, better = np.abs(np.median(effects, axis=1)), (significant > 0).sum(axis=1)
    ordered = np.sort(effects, axis=1)
    null_low, null_high = np.quantile(ordered, [0.025, 0.975], axis=0)
    return CurveTest(
        p_value=p_values[0],
        significant=significant[0].astype(int),
        p_median=float((medians >= medians[0] * (1 - _TIE)).mean()),
        p_share=float((better >= better[0]).mean()),
        null_low=null_low,
        null_high=null_high,
    )


def share_of_variance(effects: pd.Series, choices: pd.DataFrame) -> dict[str, float]:
    """By choice, the share of the effects' variance that it alone explains: how much worse the effects are predicted by
    the sum of all other choices than by the sum of all. NaN if the effects do not differ.

    Args:
        effects: by specification.
        choices: by specification, a column per choice.
    """
    coded = {
        name: pd.get_dummies(choices[name].astype(str), drop_first=True).to_numpy(float) for name in choices.columns
    }
    total = float(np.square(effects - effects.mean()).sum())

    def left(*without: str) -> float:
        columns = [coded[name] for name in coded if name not in without]
        design = np.hstack([np.ones((len(effects), 1)), *columns])
        fitted = design @ np.linalg.lstsq(design, effects.to_numpy(), rcond=None)[0]
        return float(np.square(effects - fitted).sum())

    if total < 1e-18:
        return dict.fromkeys(coded, float("nan"))
    # A penalty also tells the kind of probe, so a kind is judged without it.
    beside = {name: ("C",) if name == "probe" else () for name in coded}
    return {name: (left(name, *beside[name]) - left(*beside[name])) / total for name in coded}


def _p_values(size: np.ndarray) -> np.ndarray:
    """For each value, shape (R,), the share of all that are at least as large."""
    return 1 - np.searchsorted(np.sort(size), size * (1 - _TIE), "left") / len(size)


def curve_table(effects: pd.DataFrame, images: pd.DataFrame, n_swaps: int, seed: int) -> pd.DataFrame:
    """The curve of one model and task; :mod:`layerwise.compare.specifications` lists the columns.

    Args:
        effects: a row per specification, as docs/formats.md describes it.
        images: what images add to the effects.
        n_swaps: swaps drawn.
        seed: of the swaps.
    """
    table = effects.sort_values(["effect", "specification"], kind="stable", ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table[["p_value", "null_low", "null_high"]], table["significant"] = np.nan, 0
    summary = {"tested": int(table["testable"].sum()), "median": table["effect"].median()}
    summary |= {"share_above": (table["effect"] > 0).mean()}
    summary |= dict.fromkeys(("p_median", "share_better", "share_worse", "p_share"), np.nan)
    if summary["tested"]:
        rows = table.index[table["testable"]]
        test = curve_test(joint_gains(images, list(table.loc[rows, "specification"])), n_swaps, seed)
        table.loc[rows, "p_value"], table.loc[rows, "significant"] = test.p_value, test.significant
        table.loc[rows, "null_low"], table.loc[rows, "null_high"] = test.null_low, test.null_high
        summary |= {"p_median": test.p_median, "p_share": test.p_share}
        summary |= {"share_better": (test.significant > 0).mean(), "share_worse": (test.significant < 0).mean()}
    moved = share_of_variance(table["effect"], table[list(CHOICES)])
    return table.assign(**summary, **{f"moved_by_{name}": share for name, share in moved.items()})


def _signs(n_swaps: int, n_images: int, seed: int) -> Iterator[np.ndarray]:
    """The data, then swaps: signs of shape (R, n), float32."""
    yield np.ones((1, n_images), np.float32)
    rng, at_once = np.random.default_rng(seed), max(1, _NUMBERS_AT_ONCE // n_images)
    for start in range(0, n_swaps, at_once):
        size = min(at_once, n_swaps - start)
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-n_images // 8)), np.uint8), axis=1)[:, :n_images]
        yield 2 * bits.astype(np.float32) - 1
