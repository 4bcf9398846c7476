"""Table 2 for reading: the best layer of each cell beside the topmost block."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.statistics.significance import LEVEL
from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, interval, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words
from layerwise.probes.power import TOO_COARSE


def comparison_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task: scores times 100, intervals in brackets.

    Args:
        table: see :mod:`layerwise.compare.best_layers`.
    """
    points = in_points(table["margin"].iloc[0])
    note = (
        f"Test scores × 100 with 95 % intervals over images. {HOLDS_FOR} The best layer is chosen on the validation "
        f"split (embeddings = 0; the lowest of equals). {HOW_TESTED} A dash: the best layer is the topmost, or there "
        f"are {TOO_FEW}. Better? says what is shown at the level of 5 %: that the best layer is better or worse than "
        f"the topmost block (p), that both are equal within {points} (two one-sided tests), or only that the best "
        f"layer is not better by {points}; otherwise it is undecided. As good: layers that are not worse than the best "
        f"one at the level of 5 %, corrected over the row's layers. Within {points}: layers that are shown to be worse "
        f"by less than {points}, corrected in the same way. Selectivity: the best layer's score less that of random "
        "labels. Smallest: the smallest true difference between two such layers that this test finds in 80 % of "
        "studies; in brackets, after the correction."
    )
    if table["n_splits"].max() > 1:
        note += " Over splits: mean ± standard deviation over random splits (how many), each with its own best layer."
    redrawn = bool(table["best_redrawn_low"].notna().any())
    if redrawn:
        note += (
            " Training redrawn: 95 % intervals that also include the choice of training images; the others take the "
            "fitted probes as given."
        )
    if (table["draw_of"] != "").any():
        note += " Of several draws of random weights: means over the draws, with their range instead of an interval."
    sections = []
    for task, rows in table.groupby("task", sort=False):
        lines, splits = [], rows["n_splits"].max() > 1
        # The draws of one model are one line.
        for (model, prompt), of_line in rows.assign(model=_shown_models(rows)).groupby(["model", "prompt"], sort=False):
            lines.append({"Model": model, "Prompt": prompt} | _line(of_line, points, redrawn, splits))
        shown = pd.DataFrame(lines)
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


def _shown_models(rows: pd.DataFrame) -> pd.Series:
    return rows["model"].where(rows["draw_of"] == "", rows["draw_of"])


def _line(rows: pd.DataFrame, points: str, redrawn: bool, splits: bool) -> dict[str, str]:
    """The cells of one model and prompt, of one row or of several draws."""
    if len(rows) > 1:
        return _line_of_draws(rows, points, redrawn, splits)
    (row,) = rows.itertuples()
    line = {
        "Best layer": f"{row.best_layer} / {row.top_layer}",
        "Best": with_interval(rows, "best")[0],
        "Top block": with_interval(rows, "top")[0],
        "Best − top": with_interval(rows, "difference", sign="+")[0],
        "p (Holm)": p_in_words(row.p_holm, row.p_holm_is_bound),
        "Better?": is_better(row._asdict()),
        "As good": ranges(row.not_worse) or "–",
        f"Within {points}": ranges(row.within_margin) or "–",
        "Selectivity": number(100 * row.selectivity, ".1f"),
        "Final norm": number(100 * row.norm, ".1f"),
        "Majority": number(100 * row.chance, ".1f"),
        "Smallest": _smallest(row.smallest, row.smallest_holm),
    }
    if redrawn:
        line["Best, training redrawn"] = interval(rows, "best_redrawn")[0]
        line["Best − top, training redrawn"] = interval(rows, "difference_redrawn")[0]
    if splits:
        line["Best − top, over splits"] = (
            "–"
            if row.n_splits == 1
            else f"{number(100 * row.split_difference, '+.1f')} ± "
            f"{number(100 * row.split_difference_sd, '.1f')} ({row.n_splits})"
        )
    return line


def _line_of_draws(rows: pd.DataFrame, points: str, redrawn: bool, splits: bool) -> dict[str, str]:
    """Means over draws; what is tested of each draw alone has a dash."""

    def mean(column: str, form: str = ".1f") -> str:
        low, high = (number(100 * value, ".1f") for value in (rows[column].min(), rows[column].max()))
        return f"{number(100 * rows[column].mean(), form)} ({low} to {high})"

    layers = ", ".join(map(str, sorted(rows["best_layer"].unique())))
    line = {"Best layer": f"{layers} / {rows['top_layer'].iloc[0]} ({len(rows)} draws)", "Best": mean("best")}
    line |= {"Top block": mean("top"), "Best − top": mean("difference", "+.1f"), "p (Holm)": "–", "Better?": "–"}
    line |= {"As good": "–", f"Within {points}": "–"}
    for name, column in (("Selectivity", "selectivity"), ("Final norm", "norm"), ("Majority", "chance")):
        line[name] = number(100 * rows[column].mean(), ".1f")
    line["Smallest"] = "–"
    if redrawn:
        line |= {"Best, training redrawn": "–", "Best − top, training redrawn": "–"}
    return line | ({"Best − top, over splits": "–"} if splits else {})


def is_better(row: Mapping[str, Any]) -> str:
    """What is shown of the best layer against the topmost block.

    Args:
        row: of the table.
    """
    if np.isnan(row["difference_upper"]):
        return "–"
    points, difference = in_points(row["margin"]), row["difference"]
    little = row["difference_upper"] < row["margin"]
    if row["p_holm"] <= LEVEL and difference > 0:
        return f"better by {number(100 * difference, '.1f')}" + (f", less than {points}" if little else "")
    if row["p_holm"] <= LEVEL:
        return f"worse by {number(-100 * difference, '.1f')}"
    if row["equivalent"]:
        return f"equal within {points}"
    return f"not better by {points}" if little else "undecided"


def in_points(margin: float) -> str:
    """A margin for reading: 0.01 as "1 point"."""
    return f"{100 * margin:g} point" + ("" if round(100 * margin, 9) == 1 else "s")


def ranges(layers: str) -> str:
    """Layers for reading: "0 2 3 4" as "0, 2–4"."""
    numbers = [int(layer) for layer in layers.split()]
    # Consecutive numbers have the same distance from their place.
    runs = [[layer for _, layer in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
