"""Table 2 for reading: the best layer of each cell beside the topmost block."""

from itertools import groupby

import numpy as np
import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words
from layerwise.probes.power import TOO_COARSE


def comparison_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task: scores times 100, intervals in brackets.

    Args:
        table: see :mod:`layerwise.compare.best_layers`.
    """
    note = (
        f"Test scores × 100 with 95 % intervals over images. {HOLDS_FOR} The best layer is chosen on the validation "
        f"split (embeddings = 0; the lowest of equals). {HOW_TESTED} A dash: the best layer is the topmost, or there "
        f"are {TOO_FEW}. As good: layers that are not worse than the best one at the level of 5 %, corrected over the "
        "row's layers. Selectivity: the best layer's score less that of random labels. Smallest: the smallest true "
        "difference between such layers that this test finds in 80 % of studies (in brackets: after the correction)."
    )
    if table["n_splits"].max() > 1:
        note += " Over splits: mean ± standard deviation over random splits (how many), each with its own best layer."
    sections = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Best layer": [
                    f"{best} / {top}" for best, top in zip(rows["best_layer"], rows["top_layer"], strict=True)
                ],
                "Best": with_interval(rows, "best"),
                "Top block": with_interval(rows, "top"),
                "Best − top": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
                "As good": [_ranges(layers) or "–" for layers in rows["not_worse"]],
                "Selectivity": [number(100 * value, ".1f") for value in rows["selectivity"]],
                "Final norm": [number(100 * value, ".1f") for value in rows["norm"]],
                "Majority": [number(100 * value, ".1f") for value in rows["chance"]],
            }
        )
        shown["Smallest"] = list(map(_smallest, rows["smallest"], rows["smallest_holm"]))
        if rows["n_splits"].max() > 1:
            shown["Best − top, over splits"] = [
                "–"
                if row.n_splits == 1
                else f"{number(100 * row.split_difference, '+.1f')} ± "
                f"{number(100 * row.split_difference_sd, '.1f')} ({row.n_splits})"
                for row in rows.itertuples()
            ]
        names = (("Model", 0.12), ("Prompt", 0.11))
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        few = _too_few(rows)
        sections.append(Section(title, shown, note + few, tuple(shown.columns[2:]), names, row_names=2))
    return sections


def _too_few(rows: pd.DataFrame) -> str:
    """A warning where the test items of a task are too few to decide anything."""
    smallest = rows["smallest"].min()
    if rows["p_value"].isna().all() and rows["smallest"].notna().any():
        return f" Too few test items for a test: {rows['n_groups'].min()} images."
    if smallest > TOO_COARSE:
        return (
            f" With {rows['n_groups'].min()} test images, two layers must differ by {100 * smallest:.0f} points to be "
            "told apart in 80 % of studies."
        )
    return ""


def _smallest(difference: float, after_holm: float) -> str:
    if np.isnan(difference):
        return "–"
    return f"{number(100 * difference, '.1f')} ({number(100 * after_holm, '.1f')})"


def _ranges(layers: str) -> str:
    """Layers for reading: "0 2 3 4" as "0, 2–4"."""
    numbers = [int(layer) for layer in layers.split()]
    # Consecutive numbers have the same distance from their place.
    runs = [[layer for _, layer in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
