"""Scores by layer with all pictures in order, and with other pictures or none: a facet per task, prompt and model."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.shown_pictures import ALIKE, OWN
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

TEXT_ALONE = ALIKE["none"]


def draw_controls(table: pd.DataFrame, tasks: Mapping[str, Task]) -> Figure:
    """Draw a line for each prompt of the same words: a wide one for all pictures in order, a dashed one for none.

    Args:
        table: see :mod:`layerwise.compare.picture_controls`.
        tasks: Task descriptions.

    Raises:
        InputError: There is nothing to draw.
    """
    if table.empty:
        raise InputError("the comparison `picture-controls` is empty; add prompts with `image` or `images`")
    table = table[table["layer"] <= table["n_layers"]]
    facets = dict(list(table.groupby(CELL, sort=False)))
    shown = [OWN, *(words for words in table["shown"].unique() if words not in (OWN, TEXT_ALONE)), TEXT_ALONE]
    shown = [words for words in shown if words in set(table["shown"])]
    styles = line_styles(shown, [TEXT_ALONE])
    # A wide line, because a control that takes nothing away has the same scores and would hide it.
    styles[OWN] = replace(styles[OWN], width=4)
    several = table["model"].nunique() > 1
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline", norm=False)
    band, grid = lay_out_grid(drawing, len(facets), legend_rows)
    for axes, ((model, task, prompt), rows) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}", NAME_WIDTH))
        axes.set_ylabel(f"test {metric_name(tasks[task].metric)}", fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        # Two controls may show the same pictures, such as a prompt that differs in its answers alone.
        for (words, _), of_line in rows.groupby(["shown", "control"], sort=False):
            draw_line(axes, of_line, styles[words], "layer", shown.index(words), words)
        majority = rows["majority"].unique()
        draw_baseline(axes, majority, "majority")
        limit_facet(axes, [rows], majority.min())
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing
