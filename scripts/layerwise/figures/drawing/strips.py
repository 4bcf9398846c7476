"""A strip of layers for every cell: where knowledge begins, which layer is best, and which are as good."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from layerwise.errors import InputError
from layerwise.figures.drawing.style import wrap_name

# From not above chance to above all that a layer is compared with.
SHADES = {
    "not above chance": "#EDEDED",
    "above chance, but not above all": "#A6CDE8",
    "above all": "#0072B2",
    "not tested": "#FFFFFF",
}
EDGE, INK, FIRST = "#8A8A8A", "#222222", "#D55E00"
STRIP_INCHES, NAME_WIDTH, LAYER_INCHES = 0.25, 34, 0.22


def draw_strips(table: pd.DataFrame) -> Figure:
    """Draw a row of boxes per cell, one box per layer, in bands by task.

    The shade says what a layer is above; marks say which layer is best, which are as good, and where the unbroken run
    of layers above all begins that leads to the best.

    Args:
        table: see :mod:`layerwise.compare.which_layer`.

    Raises:
        InputError: The table is empty.
    """
    if table.empty:
        raise InputError("no trained model was probed; there is no strip to draw")
    tasks = dict(list(table.groupby("task", sort=False)))
    several = table["model"].nunique() > 1
    deepest = int(table["n_layers"].max())
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(min(9.0, (3.6 if several else 3.0) + LAYER_INCHES * deepest))
    drawing.set_figheight(STRIP_INCHES * len(table) + 0.42 * len(tasks) + 1.0)
    heights = [len(rows) for rows in tasks.values()]
    grid = drawing.subplots(len(tasks), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (task, rows) in zip(grid, tasks.items(), strict=True):
        axes.set_title(str(task), loc="left", fontweight="bold")
        for place, row in enumerate(rows.to_dict("records")):
            _draw_strip(axes, place, row)
        names = [f"{row.model}: {row.prompt}" if several else row.prompt for row in rows.itertuples()]
        axes.set_yticks(range(len(rows)), [wrap_name(name, NAME_WIDTH) for name in names])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.6, deepest + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    grid[-1].set_xlabel("decoder layer (0 = embeddings)")
    _draw_legend(drawing, table)
    return drawing


def _draw_strip(axes: Axes, place: int, row: dict[str, Any]) -> None:
    as_good = set(map(int, row["not_worse"].split()))
    for layer in range(int(row["n_layers"]) + 1):
        of_layer = shade(row, layer)
        box = Rectangle((layer - 0.5, place - 0.36), 1, 0.72, facecolor=SHADES[of_layer], edgecolor=EDGE, linewidth=0.5)
        axes.add_patch(box)
        ink = "white" if of_layer == "above all" else INK
        if layer == row["best_layer"]:
            axes.plot(layer, place, "*", color=ink, markersize=7, linestyle="none")
        elif layer in as_good:
            axes.plot(layer, place, "o", color=ink, markersize=2.5, linestyle="none")
    if not pd.isna(row["first_above_all"]):
        axes.plot(int(row["first_above_all"]) - 0.5, place, ">", color=FIRST, markersize=5, clip_on=False, zorder=4)


def shade(row: Mapping[str, Any], layer: int) -> str:
    """What a layer of a row is above: a key of :data:`SHADES`."""
    if "too few images" in row["missing"]:
        return "not tested"
    for column, found in (("above_all", "above all"), ("above_chance", "above chance, but not above all")):
        if layer in map(int, row[column].split()):
            return found
    return "not above chance"


def _draw_legend(drawing: Figure, table: pd.DataFrame) -> None:
    untested = table["missing"].str.contains("too few images").any()
    shades = [name for name in SHADES if name != "not tested" or untested]
    handles: list[Any] = [Patch(facecolor=SHADES[name], edgecolor=EDGE, linewidth=0.5) for name in shades]
    marks = {
        "known from here on": (">", FIRST, 5.0),
        "best layer": ("*", INK, 7.0),
        "as good as the best": ("o", INK, 2.5),
    }
    handles += [Line2D([], [], marker=m, color=c, markersize=s, linestyle="none") for m, c, s in marks.values()]
    drawing.legend(handles, [*shades, *marks], loc="outside lower center", ncols=2, frameon=False, handlelength=1.6)
