"""Probes of image tokens: scores by layer above, and below how well the queries find the boxes of their objects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Model, Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    MAX_COLUMNS,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    grid_width,
    lay_out_grid,
    limit_facet,
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
Cell = tuple[str, str]


def draw_pooled(
    differences: pd.DataFrame, places: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> Figure:
    """Draw both for every task and model; those of a model stand above each other, where the page allows.

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
    facets = list(_facets(cells, looked))
    styles = line_styles([*POOLINGS.values(), *(PLACES.values() if looked else ())])
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline")
    band, grid = lay_out_grid(drawing, len(facets), legend_rows)
    for axes, (cell, of_places) in zip(grid, facets, strict=True):
        _name(axes, cell, models[cell[1]])
        if of_places:
            _draw_lines(axes, looked[cell], PLACES, styles)
            _mark_above(axes, looked[cell])
            axes.set_ylabel(POINTING, fontsize=7)
            axes.set_ylim(_limits(pointed))
        else:
            _draw_scores(axes, scored[cell], styles)
            axes.set_ylabel(f"test {metric_name(tasks[cell[0]].metric)}", fontsize=7)
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def _facets(cells: list[Cell], looked: Mapping[Cell, Any]) -> list[tuple[Cell, bool]]:
    """Facets in the order of the grid, and which are of places: the scores of a row of models, then their places."""
    found: list[tuple[Cell, bool]] = []
    if not looked:
        return [(cell, False) for cell in cells]
    for start in range(0, len(cells), MAX_COLUMNS):
        row = cells[start : start + MAX_COLUMNS]
        found += [(cell, False) for cell in row] + [(cell, True) for cell in row if cell in looked]
    return found


def _name(axes: Axes, cell: Cell, model: Model) -> None:
    axes.set_title(wrap_name(": ".join(cell), NAME_WIDTH) + (f"\n({model.in_words})" if model.is_random else ""))
    if model.is_random:
        axes.set_facecolor(RANDOM_FACE)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _draw_scores(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    kept = ["layer", "n_layers"]
    for place, (column, name) in enumerate(POOLINGS.items()):
        ends = {"value": rows[column], "low": rows[f"{column}_low"], "high": rows[f"{column}_high"]}
        draw_line(axes, rows[kept].assign(**ends), styles[name], "layer", place, name)
    majority = rows["majority"].iloc[:1]
    draw_baseline(axes, majority, "majority")
    shown = [rows.rename(columns={f"{column}_low": "low", f"{column}_high": "high"}) for column in POOLINGS]
    limit_facet(axes, [of_line[["low", "high"]] for of_line in shown], majority.iloc[0])
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
