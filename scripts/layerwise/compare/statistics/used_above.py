"""Is an erased concept read again from other tokens? What kept probes find above the block where it was erased."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Task
from layerwise.compare.statistics.swept import CONTROL, OWN
from layerwise.errors import InputError
from layerwise.probes.bootstrap import resample_weights
from layerwise.probes.metrics.catalogue import METRICS

RUN = ["block", "above", "source", "draw"]


@dataclass(frozen=True)
class Above:
    """One cell's margins of kept probes, shape (rows, M); see :mod:`layerwise.used.results`."""

    model: str
    task: Task
    prompt: str
    n_layers: int
    table: pd.DataFrame
    margins: np.ndarray
    file: str


def compare_above(cells: Iterator[Above], n_resamples: int, seed: int) -> pd.DataFrame:
    """A row per cell, erased block and block read; :mod:`layerwise.compare.used_above` lists the columns.

    Args:
        cells: read one at a time.
        n_resamples: bootstrap resamples.
        seed: that of the probes' scores.

    Raises:
        InputError: a margin is no number, or the free run lacks a block that is read.
    """
    return pd.concat([_cell_rows(cell, n_resamples, seed) for cell in cells], ignore_index=True)


def _cell_rows(cell: Above, n_resamples: int, seed: int) -> pd.DataFrame:
    metric, n_classes = METRICS[cell.task.metric], cell.task.n_classes
    names_of = {name: cell.table[name].astype(str) for name in ("item_id", "image", "source")}
    table = cell.table.assign(**names_of).reset_index(drop=True)
    order = table.sort_values([*RUN, "item_id"], kind="stable").index.to_numpy()
    table, margins = table.iloc[order].reset_index(drop=True), cell.margins[order].astype(np.float64)
    if not np.isfinite(margins).all():
        bad = table[~np.isfinite(margins).all(axis=1)].iloc[0]
        raise InputError(
            f"{cell.file}: the margin of item {bad['item_id']!r} in block {bad['above']} is no number; delete it and "
            "run again"
        )
    runs = {run: rows.index.to_numpy() for run, rows in table.groupby(RUN, sort=True)}
    first = table.loc[next(iter(runs.values()))]
    ids = table["item_id"].to_numpy(str)
    for run, rows in runs.items():
        if len(rows) != len(first) or (ids[rows] != ids[first.index]).any():
            said = ", ".join(f"{name} {value}" for name, value in zip(RUN, run, strict=True))
            raise InputError(f"{cell.file}: the run {said} is of other items than the rest; delete it and run again")
    y, images = first["y"].to_numpy().astype(int), first["image"].to_numpy()
    n_images = len(np.unique(images))
    weights = resample_weights(images, n_resamples, np.random.default_rng(seed)).astype(float)
    once = np.ones((1, len(y)))

    def value(run: tuple) -> float:
        return float(metric.values(y, margins[runs[run]], once, n_classes)[0])

    def bounded(run: tuple, name: str) -> dict[str, float]:
        found = value(run)
        low, high = metric.interval(found, metric.values(y, margins[runs[run]], weights, n_classes), n_images)
        return {name: found, f"{name}_low": low, f"{name}_high": high}

    free: Mapping[int, dict[str, float]] = {run[1]: bounded(run, "free") for run in runs if run[0] == 0}
    drawn: dict[tuple[int, int], list[float]] = {}
    for run in runs:
        if run[2] == CONTROL:
            drawn.setdefault(run[:2], []).append(value(run))
    counts = np.bincount(y, minlength=n_classes)
    names: dict[str, Any] = {"model": cell.model, "task": cell.task.task, "prompt": cell.prompt, "metric": metric.name}
    rows = []
    for run in runs:
        block, above, source, _ = run
        if block == 0 or source != OWN:
            continue
        if above not in free:
            raise InputError(f"{cell.file}: has no free run of block {above} to compare with; delete it and run again")
        draws = drawn.get((block, above), [])
        row = names | {"block": int(block), "above": int(above), "n_layers": cell.n_layers}
        row |= free[above] | bounded(run, "erased")
        row |= {"control": float(np.mean(draws)) if draws else np.nan}
        row |= {"control_least": min(draws, default=np.nan), "control_greatest": max(draws, default=np.nan)}
        rows.append(row | {"chance": metric.chance(list(counts), list(counts)), "n": len(y), "n_images": n_images})
    return pd.DataFrame(rows)
