"""A map of positions in the text by layer for every task, prompt and model."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import CELL, Model, Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import NAME_WIDTH, only_band
from layerwise.figures.drawing.layers import AXES
from layerwise.figures.drawing.style import wrap_name
from layerwise.figures.names import metric_name
from layerwise.models.token_names import in_text_order, position_name

COLOURS, FRAME = "YlGnBu", "#D55E00"
# With no more layers, boxes show their numbers, in percent.
MOST_NUMBERS = 16
ROW_INCHES, NAME_INCHES, LAYER_INCHES = 0.24, 1.75, 0.26
MOST_COLUMNS = 2


def draw_positions(table: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw a map for each task, prompt and model: a row per position, a column per layer, the test score as colour.

    The frame is where validation is best. Colours run from the majority baseline to 1.

    Args:
        table: see :mod:`layerwise.compare.positions_by_layer`.
        tasks: Task descriptions.
        models: Model descriptions, in the order of the maps.

    Raises:
        InputError: There is nothing to draw.
    """
    if table.empty:
        raise InputError("no further position was probed; name some in tasks.NAME.positions")
    table = table[table["layer"] <= table["n_layers"]]
    facets = {
        (model, task, prompt): table[(table[CELL] == [model, task, prompt]).all(axis=1)]
        for task in tasks
        for prompt in table.loc[table["task"] == task, "prompt"].unique()
        for model in models
        if (table[CELL] == [model, task, prompt]).all(axis=1).any()
    }
    several = table["model"].nunique() > 1
    columns = min(MOST_COLUMNS, len(facets))
    places = [list(facets)[i : i + columns] for i in range(0, len(facets), columns)]
    heights = [max(facets[cell]["position"].nunique() for cell in row) for row in places]
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(max(4.8, columns * (NAME_INCHES + LAYER_INCHES * min(18, table["layer"].max() + 1)) + 0.7))
    drawing.set_figheight(sum(heights) * ROW_INCHES + 0.5 * len(heights) + 0.5)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05, hspace=0.02, wspace=0.03)
    band = only_band(drawing)
    grid = band.subplots(len(places), columns, squeeze=False, height_ratios=heights)
    for axes in grid.flat[len(facets) :]:
        axes.remove()
    scale = Normalize(0, 1)
    shown = list(grid.flat[: len(facets)])
    for axes, ((model, task, prompt), rows) in zip(shown, facets.items(), strict=True):
        axes.set_title(wrap_name(f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}", NAME_WIDTH + 14))
        _draw_map(axes, rows, scale)
    bar = band.colorbar(ScalarMappable(scale, COLOURS), ax=shown, extend="min", aspect=30, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["majority", "", "half-way", "", "all right"])
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    metrics = ", ".join(dict.fromkeys(metric_name(tasks[task].metric) for _, task, _ in facets))
    numbers = f"   (numbers: test {metrics} × 100)" if table["layer"].max() < MOST_NUMBERS else ""
    band.supxlabel(f"{AXES['layer']}{numbers}", fontsize=8)
    return drawing


def _draw_map(axes: Axes, rows: pd.DataFrame, scale: Normalize) -> None:
    names = in_text_order(rows["position"].unique())
    place = {name: i for i, name in enumerate(names)}
    rows = rows.assign(above=(rows["value"] - rows["majority"]) / (1 - rows["majority"]).clip(lower=1e-9))
    values = rows.pivot(index="position", columns="layer", values="above").loc[names]
    axes.imshow(values, aspect="auto", cmap=COLOURS, norm=scale)
    axes.grid(visible=False)
    axes.set_yticks(range(len(names)), [position_name(name) for name in names], fontsize=6.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.tick_params(length=0)
    for row in rows.itertuples() if rows["layer"].max() < MOST_NUMBERS else ():
        light = np.mean(colormaps[COLOURS](scale(row.above))[:3]) > 0.5
        ink = "#222222" if light else "white"
        at = (row.layer, place[row.position])
        axes.annotate(f"{100 * row.value:.0f}", at, ha="center", va="center", fontsize=6, color=ink)
    for row in rows[rows["best"]].itertuples():
        corner = (row.layer - 0.5, place[row.position] - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=FRAME, linewidth=1.6, clip_on=False, zorder=3))
