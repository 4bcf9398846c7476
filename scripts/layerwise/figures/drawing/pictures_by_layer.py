"""Scores by layer of each picture's tokens beside the token that probes read: a facet per task, prompt and model."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import CELL, Model, Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    grid_width,
    lay_out_grid,
    limit_facet,
)
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import line_styles, wrap_name
from layerwise.figures.names import metric_name
from layerwise.models.site_names import picture_of

NAMES = {"last": "last token", "image-mean": "all pictures' tokens, mean"}


def draw_pictures(table: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw a line for the mean over the tokens of each picture, and a wide one for the position of all other figures.

    Args:
        table: see :mod:`layerwise.compare.picture_positions`.
        tasks: Task descriptions.
        models: Model descriptions, in the order of the facets.

    Raises:
        InputError: There is nothing to draw.
    """
    if table.empty:
        raise InputError("no picture was probed by itself; add each-image-mean to `states.positions`")
    table = table[table["layer"] <= table["n_layers"]]
    positions = position_order(table["position"].unique())
    names = {position: position_name(position) for position in positions}
    styles = line_styles(names.values())
    of_others = names[positions[0]]
    styles[of_others] = replace(styles[of_others], width=3)
    order = list(models)
    table = table.sort_values("model", key=lambda column: column.map(order.index), kind="stable")
    facets = {cell: rows for task in tasks for cell, rows in table[table["task"] == task].groupby(CELL, sort=False)}
    several = table["model"].nunique() > 1
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline", norm=False)
    band, grid = lay_out_grid(drawing, len(facets), legend_rows)
    for axes, ((model, task, prompt), rows) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}", NAME_WIDTH))
        axes.set_ylabel(f"test {metric_name(tasks[task].metric)}", fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        for place, (position, name) in enumerate(names.items()):
            draw_line(axes, rows[rows["position"] == position], styles[name], "layer", place, name)
        majority = rows["majority"].unique()
        draw_baseline(axes, majority, "majority")
        limit_facet(axes, [rows], majority.min())
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def position_order(positions: Iterable[str]) -> list[str]:
    """Positions as legends have them: that of all other scores, then the pictures by their numbers."""
    return sorted(positions, key=lambda position: picture_of(position) or 0)


def position_name(position: str) -> str:
    """A position as the legend writes it."""
    number = picture_of(position)
    return NAMES[position] if number is None else f"picture {number}'s tokens, mean"
