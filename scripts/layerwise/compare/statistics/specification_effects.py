"""By how much the best layer below the top beats the topmost block, under each of many specifications."""

import hashlib

import numpy as np
import pandas as pd

from layerwise.compare.statistics.paired import PairedEffect, paired_effect
from layerwise.probes.problems import Problem
from layerwise.probes.specifications import SpecificationProbes, is_own

UNITS = ("image", "text", "pair")


def effects_of(
    probes: SpecificationProbes, metric: str, n_resamples: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The effects of a prompt's specifications on their test items, and what each image (and text) adds to them.

    The best layer was chosen on the validation items of the same split, so the choice does not favour it.

    Args:
        probes: fitted to all layers.
        metric: the task's own.
        n_resamples: bootstrap resamples for each interval.
        seed: of the resamples; each specification has its own stream.

    Returns:
        Two tables, which docs/formats.md describes: a row per specification, and a row per specification and unit.
    """
    rows: list[dict[str, object]] = []
    units: list[pd.DataFrame] = []
    for specification, found in zip(probes.specifications, probes.found, strict=True):
        problems = probes.problems[specification.split, specification.train_share]
        name = " ".join(map(str, specification))
        rng = np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()])
        best, top = (_predictions(problems, scores) for scores in (found.best, found.top))
        effect = paired_effect(best, top, specification.metric, problems[0].n_classes, n_resamples, rng)
        row = {**specification._asdict(), "own": is_own(specification, metric)}
        row |= {"best_layer": found.best_layer, "top_layer": probes.top, "n": len(best)}
        rows.append({"specification": name} | row | effect_row(effect))
        units.append(unit_rows(effect).assign(specification=name))
    return pd.DataFrame(rows), pd.concat(units, ignore_index=True)


def effect_row(effect: PairedEffect) -> dict[str, object]:
    """The numbers of an effect, as a row has them; ``error`` and ``freedom`` only where texts count as units."""
    row: dict[str, object] = {"best": effect.first, "top": effect.second, "effect": effect.first - effect.second}
    row |= {"low": effect.low, "high": effect.high, "n_groups": len(effect.units[0]), "testable": effect.testable}
    error, freedom = (np.nan, np.nan) if effect.crossed is None else effect.crossed.error_and_freedom()
    return row | {"error": error, "freedom": freedom}


def unit_rows(effect: PairedEffect) -> pd.DataFrame:
    """What units add to an effect: images by part of the metric or, if texts count, images, texts and pairs of both."""
    tables = [pd.DataFrame(columns=["unit", "part", "name", "gain", "weight", "share"])]
    if effect.crossed is not None:
        for unit, names, sums in zip(UNITS, effect.units, effect.crossed.sums, strict=True):
            columns = {"name": names, "gain": sums, "weight": np.nan, "share": np.nan}
            tables.append(pd.DataFrame({"unit": unit, "part": 0, **columns}))
    elif effect.gains is not None:
        share = effect.gains.shares.mean(axis=0)
        for part, (gains, weights) in enumerate(zip(effect.gains.by_part, effect.gains.weights, strict=True)):
            columns = {"name": effect.units[0], "gain": gains, "weight": weights, "share": share}
            tables.append(pd.DataFrame({"unit": UNITS[0], "part": part, **columns}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _predictions(problems: list[Problem], scores: list[np.ndarray]) -> pd.DataFrame:
    """Margins of one layer on the test items, for :func:`layerwise.compare.statistics.paired.paired_effect`."""
    tables = []
    for problem, of_label in zip(problems, scores, strict=True):
        columns = {"label": problem.label, "item_id": problem.items["test"], "group": problem.groups["test"]}
        columns |= {"text": problem.texts["test"], "y": problem.y["test"]}
        tables.append(pd.DataFrame(columns).assign(scores=list(of_label.astype(np.float64))))
    return pd.concat(tables, ignore_index=True).sort_values(["label", "item_id"], kind="stable", ignore_index=True)
