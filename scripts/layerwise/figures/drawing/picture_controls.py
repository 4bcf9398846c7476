"""Scores with all pictures in order, and with other pictures or none: by layer, and side by side in the best layers."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.shown_pictures import OWN, TEXT_ALONE
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    CHANCE,
    FACET_INCHES,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    limit_facet,
    only_band,
)
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import CHANCE_COLOUR, LineStyle, line_styles, wrap_name
from layerwise.figures.names import metric_name

# Facets in a row; each has a second one beside it, for the best layers.
MOST_BESIDE = 2
BEST_INCHES, BEST_WIDTH = 2.6, 24
# Of a row of the best layers.
ROW_INCHES = 0.17


def draw_controls(table: pd.DataFrame, tasks: Mapping[str, Task]) -> Figure:
    """Draw a line for each prompt of the same words: a wide one for all pictures in order, a dashed one for none.

    One facet per task, prompt and model. Beside it stands the score of each prompt in the layer that is best for it.

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
    shown = [OWN, *(words for words in table["shown"].unique() if words != OWN)]
    styles = line_styles(shown, [TEXT_ALONE])
    # A wide line, because a control that takes nothing away has the same scores and would hide it.
    styles[OWN] = replace(styles[OWN], width=4)
    several = table["model"].nunique() > 1
    beside = min(MOST_BESIDE, len(facets))
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(beside * (FACET_INCHES[0] + BEST_INCHES) + 0.4)
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline", norm=False)
    rows = ceil(len(facets) / beside)
    most = max(of_facet["control"].nunique() for of_facet in facets.values())
    height = max(FACET_INCHES[1], ROW_INCHES * most + 0.5)
    drawing.set_figheight(rows * (height + 0.3) + 0.35 + 0.16 * legend_rows)
    band = only_band(drawing)
    grid = band.subplots(rows, 2 * beside, squeeze=False, width_ratios=[FACET_INCHES[0], BEST_INCHES - 1] * beside)
    for axes in grid.flat[2 * len(facets) :]:
        axes.remove()
    for place, ((model, task, prompt), of_facet) in enumerate(facets.items()):
        by_layer, best = grid.flat[2 * place : 2 * place + 2]
        by_layer.set_title(wrap_name(f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}", NAME_WIDTH))
        score = f"test {metric_name(tasks[task].metric)}"
        by_layer.set_ylabel(score, fontsize=7)
        _draw_by_layer(by_layer, of_facet, styles)
        _draw_best(best, of_facet[of_facet["is_best"]], styles)
        best.set_title("each in its best layer")
        if place >= len(facets) - beside:
            by_layer.set_xlabel(AXES["layer"])
            best.set_xlabel(score)
    return drawing


def _draw_by_layer(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    # Two controls may show the same pictures, such as a prompt that differs in its answers alone.
    for (words, _), of_line in rows.groupby(["shown", "control"], sort=False):
        draw_line(axes, of_line, styles[words], "layer", list(styles).index(words), words)
    majority = rows["majority"].unique()
    draw_baseline(axes, majority, "majority")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    limit_facet(axes, [rows], majority.min())


def _draw_best(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    """A row for each prompt, from all pictures in order down to the text alone."""
    for place, row in enumerate(rows.itertuples()):
        style = styles[row.shown]
        axes.errorbar(
            [row.value],
            [place],
            xerr=[[max(0.0, row.value - row.low)], [max(0.0, row.high - row.value)]],
            color=style.colour,
            marker=style.marker,
            elinewidth=1,
            capsize=2,
            zorder=3,
        )
    for value in rows["majority"].unique():
        axes.axvline(value, color=CHANCE_COLOUR, linestyle=":", linewidth=1, label=CHANCE, zorder=1)
    axes.set_yticks(range(len(rows)), [wrap_name(words, BEST_WIDTH) for words in rows["shown"]], fontsize=6.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
