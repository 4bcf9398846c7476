"""Probes of image tokens: scores by layer above, and below how well the queries find the boxes of their objects."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Model, Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    FACET_INCHES,
    MAX_COLUMNS,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    grid_width,
    limit_facet,
    only_band,
)
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import LineStyle, line_styles, wrap_name
from layerwise.figures.names import metric_name

# By column, what the legend calls the lines of scores.
POOLINGS = {"attention": "with a query", "mean": "mean of the tokens"}
# The same of where a query looks. Controls have no band.
PLACES = {
    "value": "query: boxes of its object",
    "shuffled": "boxes in other pictures",
    "other_object": "other objects",
}
MEASURE = "pointing"
POINTING = "token looked at most\nin a box, share"
RANDOM_FACE = "#F3F3F3"


def draw_pooled(
    differences: pd.DataFrame, places: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> Figure:
    """Draw both for every task and model, scores above places.

    Args:
        differences: see :mod:`layerwise.compare.pooled_differences`.
        places: see :mod:`layerwise.compare.pooled_places`; without rows there are scores alone.
        tasks: Task descriptions, in the order of the facets.
        models: Model descriptions, in their order within a task.

    Raises:
        InputError: There is nothing to draw.
    """
    if differences.empty:
        raise InputError("no task was probed over image tokens; name tasks in pooled.tasks")
    pointed = places[places["measure"] == MEASURE]
    scored, looked = (dict(list(table.groupby(["task", "model"]))) for table in (differences, pointed))
    cells = [(task, model) for task in tasks for model in models if (task, model) in scored]
    styles = line_styles([*POOLINGS.values(), *(PLACES.values() if looked else ())])
    drawing = Figure(layout="constrained")
    columns, deep = min(len(cells), MAX_COLUMNS), 2 if looked else 1
    drawing.set_figwidth(grid_width(columns))
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline")
    band, grid = _lay_out(drawing, deep * ceil(len(cells) / columns), columns, legend_rows)
    used = set()
    for place, cell in enumerate(cells):
        row, column = deep * (place // columns), place % columns
        axes = grid[row, column]
        _name(axes, cell, models[cell[1]])
        _draw_scores(axes, scored[cell], differences[differences["task"] == cell[0]], styles)
        axes.set_ylabel(f"test {metric_name(tasks[cell[0]].metric)}", fontsize=7)
        used.add(axes)
        if cell in looked:
            axes = grid[row + 1, column]
            _name(axes, cell, models[cell[1]])
            _draw_lines(axes, looked[cell], PLACES, styles)
            _mark_above(axes, looked[cell])
            axes.set_ylabel(POINTING, fontsize=7)
            axes.set_ylim(_limits(pointed))
            used.add(axes)
    for axes in set(grid.flat) - used:
        axes.remove()
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def _lay_out(drawing: Figure, rows: int, columns: int, legend_rows: int) -> tuple[SubFigure, np.ndarray]:
    """The part of the drawing above the legend, and its axes, shape (rows, columns)."""
    drawing.set_figheight(rows * (FACET_INCHES[1] + 0.25) + 0.35 + 0.16 * legend_rows)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05, hspace=0.02, wspace=0.03)
    band = only_band(drawing)
    return band, band.subplots(rows, columns, squeeze=False)


def _name(axes: Axes, cell: tuple[str, str], model: Model) -> None:
    axes.set_title(wrap_name(": ".join(cell), NAME_WIDTH) + (f"\n({model.in_words})" if model.is_random else ""))
    if model.is_random:
        axes.set_facecolor(RANDOM_FACE)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _draw_scores(axes: Axes, rows: pd.DataFrame, of_task: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    """``of_task`` are the rows of all models: their axes have the same limits, so that they can be compared."""
    kept = ["layer", "n_layers"]
    for place, (column, name) in enumerate(POOLINGS.items()):
        ends = {"value": rows[column], "low": rows[f"{column}_low"], "high": rows[f"{column}_high"]}
        draw_line(axes, rows[kept].assign(**ends), styles[name], "layer", place, name)
    majority = rows["majority"].iloc[:1]
    draw_baseline(axes, majority, "majority")
    shown = [of_task.rename(columns={f"{column}_low": "low", f"{column}_high": "high"}) for column in POOLINGS]
    limit_facet(axes, [of_line[["low", "high"]] for of_line in shown], majority.iloc[0])
    low, high = axes.get_ylim()
    # Room for the stars.
    axes.set_ylim(low, high + 0.08 * (high - low))
    better = rows[(rows["p_holm"] < 0.05) & (rows["difference"] > 0) & (rows["layer"] <= rows["n_layers"])]
    _star(axes, better)


def _draw_lines(axes: Axes, rows: pd.DataFrame, lines: Mapping[str, str], styles: Mapping[str, LineStyle]) -> None:
    for place, (column, name) in enumerate(lines.items()):
        ends = ("low", "high") if column == "value" else (column, column)
        of_line = rows[["layer", "n_layers"]].assign(value=rows[column], low=rows[ends[0]], high=rows[ends[1]])
        draw_line(axes, of_line.dropna(subset="value"), styles[name], "layer", place, name)


def _mark_above(axes: Axes, rows: pd.DataFrame) -> None:
    above = (rows[["difference_low", "above_objects_low"]] > 0).all(axis=1) & (rows["layer"] <= rows["n_layers"])
    _star(axes, rows[above])


def _star(axes: Axes, rows: pd.DataFrame) -> None:
    """A star for each layer, within the axes: a mark that reached out of them would make room for itself."""
    at_top: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "scalex": False, "scaley": False}
    axes.plot(rows["layer"], [0.97] * len(rows), "*", color="black", markersize=5, label="_above", **at_top)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """The same for all models, so that they can be compared."""
    low, high = np.nanmin(rows[["low", *PLACES]]), np.nanmax(rows[["high", *PLACES]])
    room = 0.05 * max(high - low, 0.1)
    # At the top are the stars.
    return low - room, high + 2 * room
