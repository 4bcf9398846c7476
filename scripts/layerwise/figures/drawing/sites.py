"""Where in a block is it read: at its output, at what attention and MLP add, and in single heads."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import CELL, Model, Task
from layerwise.compare.rows import headline_scores
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

LINES = {"block": "block output", "attention": "attention output", "mlp": "MLP output", "heads": "best head"}
COLOURS = "YlGnBu"
# A map of no more heads shows its numbers, in percent.
MOST_NUMBERS = 96


def _facets(
    rows: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> dict[str, tuple[str, str, str]]:
    """By title the cells, in the order of tasks, prompts and models."""
    several = rows["model"].nunique() > 1
    found: dict[str, tuple[str, str, str]] = {}
    for task in tasks:
        of_task = rows[rows["task"] == task]
        for prompt in of_task["prompt"].unique():
            for model in models:
                if ((of_task["prompt"] == prompt) & (of_task["model"] == model)).any():
                    title = f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}"
                    found[title] = (model, task, prompt)
    return found


def _of_cell(rows: pd.DataFrame, cell: tuple[str, str, str]) -> pd.DataFrame:
    return rows[(rows[CELL] == list(cell)).all(axis=1)]


def draw_sites(
    sites: pd.DataFrame, headline: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> Figure:
    """Draw the test score by block at each site: one facet per task, prompt and model, one line per site.

    Of the heads of a block it shows the one that is best on validation.

    Args:
        sites: Scores at sites, see :mod:`layerwise.compare.within_blocks`.
        headline: Headline scores, for the output of the blocks; see :mod:`layerwise.compare.headline`.
        tasks: Task descriptions.
        models: Model descriptions.

    Raises:
        InputError: A task has no scores.
    """
    facets = _facets(sites, tasks, models)
    outputs = headline_scores(headline, {task: tasks[task] for _, task, _ in facets.values()}, "test")
    outputs = outputs[outputs["layer"] <= outputs["n_layers"]]
    present = ["block", *(site for site in LINES if site in set(sites["site"]))]
    styles = line_styles([LINES[site] for site in present])
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    band, grid = lay_out_grid(drawing, len(facets), draw_legend(drawing, styles, {}, "majority baseline", norm=False))
    for axes, (title, cell) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(title, NAME_WIDTH))
        axes.set_ylabel(f"test {metric_name(tasks[cell[1]].metric)}", fontsize=7)
        lines = {"block": _of_cell(outputs, cell)} | dict(list(_of_cell(sites, cell).groupby("site")))
        if "heads" in lines:
            lines["heads"] = lines["heads"][lines["heads"]["best"]]
        for place, site in enumerate(present):
            if site in lines:
                draw_line(axes, lines[site], styles[LINES[site]], "layer", place, site)
        chance = _of_cell(sites, cell)["chance"].iloc[:1]
        draw_baseline(axes, chance, "majority")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        limit_facet(axes, lines.values(), chance.iloc[0])
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def draw_heads(sites: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw maps of the heads, block by head: test scores as numbers, coloured by their place between chance and 1.

    One map per task, prompt and model. A cross marks a head that is not above chance.

    Args:
        sites: Scores at sites, see :mod:`layerwise.compare.within_blocks`.
        tasks: Task descriptions.
        models: Model descriptions.

    Raises:
        InputError: No head was probed.
    """
    rows = sites[sites["site"] == "heads"]
    if rows.empty:
        raise InputError("no head was probed; put heads among `states.sites`")
    facets = _facets(rows, tasks, models)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)) + 0.4)
    band, grid = lay_out_grid(drawing, len(facets), 1)
    scale = Normalize(0, 1)
    for axes, (title, cell) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(title, NAME_WIDTH))
        axes.set_ylabel("block")
        _draw_map(axes, _of_cell(rows, cell), scale)
    bar = band.colorbar(ScalarMappable(scale, COLOURS), ax=grid, extend="min", aspect=30, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["chance", "", "half-way", "", "all right"])
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    metrics = ", ".join(dict.fromkeys(metric_name(tasks[task].metric) for _, task, _ in facets.values()))
    band.supxlabel(f"attention head   (numbers: test {metrics} × 100;  × behind one: not above chance)", fontsize=8)
    return drawing


def _draw_map(axes: Axes, rows: pd.DataFrame, scale: Normalize) -> None:
    rows = rows.assign(above=(rows["value"] - rows["chance"]) / (1 - rows["chance"]))
    values = rows.pivot(index="layer", columns="head", values="above")
    extent = (0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5)
    axes.imshow(values, origin="lower", extent=extent, aspect="auto", cmap=COLOURS, norm=scale)
    axes.grid(visible=False)
    numbers = len(rows) <= MOST_NUMBERS
    for row in rows.itertuples() if numbers else ():
        light = np.mean(colormaps[COLOURS](scale(row.above))[:3]) > 0.5
        number = f"{100 * row.value:.0f}"
        axes.annotate(
            number if row.above_chance else f"{number} ×",
            (row.head, row.layer),
            ha="center",
            va="center",
            fontsize=6,
            color="#222222" if light else "white",
        )
    if not numbers:
        at_chance = rows[~rows["above_chance"]]
        axes.scatter(at_chance["head"], at_chance["layer"], marker="x", s=4, linewidths=0.5, color="#888888")
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(nbins=8, integer=True))
