"""Localisation by the patch lens: a facet per measure and model, with its two controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Model
from layerwise.figures.drawing.facets import NAME_WIDTH, draw_legend, grid_width, lay_out_grid
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import line_styles, wrap_name

# By column, what the legend calls it. Controls have no band.
LINES = {"value": "boxes of the word's object", "shuffled": "boxes in other pictures", "other_object": "other objects"}
MEASURES = {"roc_auc": "AUC of the patches", "pointing": "highest patch in a box, share"}
NOTHING = "No model of this study has image tokens\nwhose place in the picture is known."


def draw_localisation(table: pd.DataFrame, models: Mapping[str, Model]) -> Figure:
    """Draw both measures by layer, those of a model below each other.

    Args:
        table: see :mod:`layerwise.compare.patch_lens`.
        models: Model descriptions.
    """
    drawing = Figure(layout="constrained")
    if table.empty:
        drawing.set_size_inches(5.2, 1.5)
        drawing.text(0.5, 0.5, NOTHING, ha="center", va="center")
        return drawing
    styles = line_styles(LINES.values())
    several = table["stimuli"].nunique() > 1
    cells = table[["stimuli", "model"]].drop_duplicates().itertuples(index=False)
    shown = list(cells)
    facets = [(measure, *cell) for measure in MEASURES for cell in shown]
    # As many columns as models, so that both measures of a model stand above each other, where the page allows.
    drawing.set_figwidth(grid_width(len(facets)))
    legend_rows = draw_legend(drawing, styles, {}, None)
    band, grid = lay_out_grid(drawing, len(facets), legend_rows)
    for axes, (measure, stimuli, model) in zip(grid, facets, strict=True):
        rows = table[(table["measure"] == measure) & (table["stimuli"] == stimuli) & (table["model"] == model)]
        title = f"{model}: {stimuli}" if several else model
        axes.set_title(wrap_name(title, NAME_WIDTH) + ("\n(random weights)" if models[model].is_random else ""))
        if models[model].is_random:
            axes.set_facecolor("#F3F3F3")
        axes.set_ylabel(MEASURES[measure], fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        for place, (column, name) in enumerate(LINES.items()):
            ends = ("low", "high") if column == "value" else (column, column)
            of_line = rows[["layer", "n_layers"]].assign(value=rows[column], low=rows[ends[0]], high=rows[ends[1]])
            draw_line(axes, of_line.dropna(), styles[name], "layer", place, name)
        axes.set_ylim(_limits(table[table["measure"] == measure]))
        above = rows[
            (rows[["difference_low", "above_objects_low"]] > 0).all(axis=1) & (rows["layer"] <= rows["n_layers"])
        ]
        # Within the axes: a mark that reached out of them would make room for itself.
        at_foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "scalex": False, "scaley": False}
        axes.plot(above["layer"], [0.04] * len(above), "*", color="black", markersize=5, label="_above", **at_foot)
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """The same for all models, so that they can be compared."""
    low, high = np.nanmin(rows[["low", *LINES]]), np.nanmax(rows[["high", *LINES]])
    room = 0.05 * max(high - low, 0.1)
    # At the foot are the stars.
    return low - 2 * room, high + room
