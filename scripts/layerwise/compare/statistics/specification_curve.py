"""Does a claim hold over a whole specification curve, and which choices move its effect most?

The test is that of Simonsohn, Simmons and Nelson (2020, doi:10.1038/s41562-020-0912-z), with swaps in place of their
shuffled treatments. Under the null hypothesis the best layer and the topmost block are exchangeable, so that chance
decides which of them does better on an image. All specifications look at the same images: an image is swapped in all of
them or in none, also where test splits differ. So the test allows for how much specifications depend on each other. In
each specification, the best layer was chosen on validation images, so the choice is independent of its test images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerwise.compare.statistics.gains import Gains
from layerwise.compare.statistics.significance import LEVEL
from layerwise.compare.statistics.swaps import SwapStatistic
from layerwise.probes.bootstrap import ROUNDING
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


def joint_gains(units: pd.DataFrame, specifications: Sequence[str]) -> list[Gains]:
    """Gains of each specification, over the images of all of them; an image adds nothing where it is no test image.

    Args:
        units: of one model and task, as docs/formats.md describes them; no specification counts texts.
        specifications: their names, in the order of the result.
    """
    names = pd.Index(units["name"].unique())
    place = pd.Series(names.get_indexer(units["name"]), index=units.index)
    found = dict(list(units.groupby("specification", sort=False)))
    gains = []
    for name in specifications:
        rows = found[name]
        arrays = {column: np.zeros((int(rows["part"].max()) + 1, len(names))) for column in ("gain", "weight", "share")}
        for column, array in arrays.items():
            array[rows["part"], place[rows.index]] = rows[column]
        gains.append(Gains(arrays["gain"], arrays["weight"], arrays["share"][:1]))
    return gains


def swapped_curves(gains: Sequence[Gains], n_swaps: int, seed: int) -> CurveTest:
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
    return _compared(np.concatenate(drawn_effects), np.concatenate(drawn_statistics))


def joint_sums(units: pd.DataFrame, specifications: Sequence[str]) -> list[np.ndarray]:
    """What images, texts, and pairs of both add to each specification, less its mean: three arrays (S, units).

    Sums of squares are the variances by these units. Arguments are those of :func:`joint_gains`. A specification whose
    texts do not count as units has images alone.
    """
    order = {name: place for place, name in enumerate(specifications)}
    units = units[units["specification"].isin(order)]
    # Gains of images by part of the metric become what an image adds, less its share of each part.
    plain = units["weight"].notna()
    of_part = units.groupby(["specification", "part"])["gain"].transform("sum")
    added = units["gain"].where(~plain, units["gain"] - of_part * units["weight"])
    counts = units.groupby("specification")["name"].transform("nunique")
    added = added.where(~plain, added * np.sqrt(counts / (counts - 1)))
    found = []
    for unit in ("image", "text", "pair"):
        rows = units[units["unit"] == unit]
        names = pd.Index(rows["name"].unique())
        sums = np.zeros((len(order), len(names)))
        np.add.at(sums, (rows["specification"].map(order), names.get_indexer(rows["name"])), added[rows.index])
        found.append(sums)
    return found


def drawn_curves(
    effects: np.ndarray, errors: np.ndarray, freedom: float, sums: Sequence[np.ndarray], n_draws: int, seed: int
) -> CurveTest:
    """The same where images share texts: a swap test would ignore these, so curves are drawn from a multivariate t.

    Its covariance is that by image plus that by text less that by both, as in
    :func:`layerwise.compare.statistics.shared_texts.greatest_difference_test`. Negative eigenvalues become 0, and no
    variance is less than the effect's own.

    Args:
        effects: shape (S,).
        errors: standard errors of the effects where texts count as units, else NaN, shape (S,).
        freedom: the fewest degrees of freedom.
        sums: see :func:`joint_sums`.
        n_draws: how many are drawn; the data count as one more.
        seed: of the draws.
    """
    by_image, by_text, by_both = (each @ each.T for each in sums)
    values, vectors = np.linalg.eigh(by_image + by_text - by_both)
    root = vectors * np.sqrt(values.clip(0))
    own = np.where(np.isnan(errors), np.sqrt(np.diag(by_image)), errors)
    lacking = np.sqrt((own**2 - np.square(root).sum(axis=1)).clip(0))
    own = np.hypot(np.linalg.norm(root, axis=1), lacking)
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((n_draws, len(effects))) @ root.T
    drawn += lacking * rng.standard_normal((n_draws, len(effects)))
    drawn /= np.sqrt(rng.chisquare(freedom, (n_draws, 1)) / freedom)
    both = np.vstack([effects, drawn])
    # An effect that no choice of units changes is certain.
    scaled = np.divide(both, own, out=np.zeros_like(both), where=own > ROUNDING)
    certain = (own <= ROUNDING) & (np.abs(effects) > ROUNDING)
    scaled[0, certain] = np.copysign(np.inf, effects[certain])
    return _compared(both.astype(np.float32), scaled.astype(np.float32))


def _compared(effects: np.ndarray, statistics: np.ndarray) -> CurveTest:
    """The curve in the first row compared with all rows, shape (R, S)."""
    # By curve and specification, the share of curves that are as extreme.
    p_values = np.stack([_p_values(np.abs(of_one)) for of_one in statistics.T], axis=1)
    significant = np.where(p_values <= LEVEL, np.sign(statistics), 0)
    medians, better = np.abs(np.median(effects, axis=1)), (significant > 0).sum(axis=1)
    null_low, null_high = np.quantile(np.sort(effects, axis=1), [0.025, 0.975], axis=0)
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


def curve_table(effects: pd.DataFrame, units: pd.DataFrame, n_swaps: int, seed: int) -> pd.DataFrame:
    """The curve of one model and task; :mod:`layerwise.compare.specifications` lists the columns.

    Args:
        effects: a row per specification, as docs/formats.md describes it.
        units: what images (and texts) add to the effects.
        n_swaps: curves drawn.
        seed: of the draws.
    """
    table = effects.sort_values(["effect", "specification"], kind="stable", ignore_index=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table[["p_value", "null_low", "null_high"]], table["significant"] = np.nan, 0
    summary = {"tested": int(table["testable"].sum()), "median": table["effect"].median()}
    summary |= {"share_above": (table["effect"] > 0).mean()}
    summary |= dict.fromkeys(("p_median", "share_better", "share_worse", "p_share"), np.nan)
    if summary["tested"]:
        rows = table.index[table["testable"]]
        tested, names = table.loc[rows], list(table.loc[rows, "specification"])
        if tested["error"].isna().all():
            test = swapped_curves(joint_gains(units, names), n_swaps, seed)
        else:
            values, errors = tested["effect"].to_numpy(), tested["error"].to_numpy()
            test = drawn_curves(values, errors, tested["freedom"].min(), joint_sums(units, names), n_swaps, seed)
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
