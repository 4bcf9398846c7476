"""Where in a block is it read: at the block's output, at what attention and MLP add, and in single heads."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.errors import InputError
from layerwise.figures.comparison import CELL
from layerwise.figures.facets import NAME_WIDTH, draw_baseline, draw_legend, grid_width, lay_out_grid, limit_facet
from layerwise.figures.headline import headline_scores, metric_name
from layerwise.figures.inputs import Model, Task
from layerwise.figures.layers import AXES, draw_line
from layerwise.figures.significance import LEVEL, holm
from layerwise.figures.style import line_styles, wrap_name
from layerwise.probes.swaps import LEAST_IMAGES

COLUMNS = [*CELL, "site", "layer", "head", "label", "split", "metric", "value", "low", "high", "chance", "p_value"]
COLUMNS += ["n_groups"]
LINES = {"block": "block output", "attention": "attention output", "mlp": "MLP output", "heads": "best head"}
COLOURS = "YlGnBu"
# A map of no more heads shows its numbers, in percent.
MOST_NUMBERS = 96


def read_sites(path: str | Path) -> pd.DataFrame:
    """Read the scores at all sites within blocks.

    Raises:
        InputError: The file lacks a column.
    """
    sites = pd.read_parquet(path)
    if missing := [column for column in COLUMNS if column not in sites]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    return sites


def _headline(sites: pd.DataFrame, tasks: Mapping[str, Task], split: str) -> pd.DataFrame:
    labels = pd.DataFrame([(task.task, task.headline_label) for task in tasks.values()], columns=["task", "label"])
    return sites[sites["split"] == split].merge(labels, on=["task", "label"])


def _facets(rows: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> dict[str, tuple]:
    """By title the cells, in the order of tasks, prompts and models."""
    several = rows["model"].nunique() > 1
    found = {}
    for task in tasks:
        of_task = rows[rows["task"] == task]
        for prompt in of_task["prompt"].unique():
            for model in models:
                if ((of_task["prompt"] == prompt) & (of_task["model"] == model)).any():
                    title = f"{task}: {prompt}, {model}" if several else f"{task}: {prompt}"
                    found[title] = (model, task, prompt)
    return found


def _of_cell(rows: pd.DataFrame, cell: tuple) -> pd.DataFrame:
    return rows[(rows[CELL] == list(cell)).all(axis=1)]


def draw_sites(
    sites: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> Figure:
    """Draw the test score by block at each site: one facet per task, prompt and model, one line per site.

    Of the heads of a block the one is shown that is best on validation.

    Args:
        sites: Scores at sites, see :func:`read_sites`.
        scores: All cells' tidy rows, for the blocks' outputs.
        tasks: Task descriptions.
        models: Model descriptions.

    Raises:
        InputError: A task has no scores.
    """
    rows, validation = _headline(sites, tasks, "test"), _headline(sites, tasks, "val")
    facets = _facets(rows, tasks, models)
    outputs = headline_scores(scores, {task: tasks[task] for _, task, _ in facets.values()}, "test")
    outputs = outputs[outputs["layer"] <= outputs["n_layers"]]
    present = ["block", *(site for site in LINES if site in set(rows["site"]))]
    styles = line_styles([LINES[site] for site in present])
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    band, grid = lay_out_grid(drawing, len(facets), draw_legend(drawing, styles, (), "majority baseline", norm=False))
    for axes, (title, cell) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(title, NAME_WIDTH))
        axes.set_ylabel(f"test {metric_name(tasks[cell[1]])}", fontsize=7)
        lines = {"block": _of_cell(outputs, cell)} | dict(list(_of_cell(rows, cell).groupby("site")))
        if "heads" in lines:
            lines["heads"] = _best_heads(lines["heads"], _of_cell(validation, cell))
        for place, site in enumerate(present):
            if site in lines:
                draw_line(axes, lines[site], styles[LINES[site]], "layer", place, site)
        chance = _of_cell(rows, cell)["chance"].iloc[:1]
        draw_baseline(axes, chance, "majority")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        limit_facet(axes, lines.values(), chance.iloc[0])
    band.supxlabel(AXES["layer"], fontsize=8)
    return drawing


def _best_heads(test: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """Of each block the test row of the head that is best on validation; the first of equals."""
    by_head = validation[validation["site"] == "heads"].sort_values(["value", "head"], ascending=[False, True])
    return test.merge(by_head.drop_duplicates("layer")[["layer", "head"]], on=["layer", "head"])


def draw_heads(sites: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw maps of the heads: block by head, the test score in numbers, coloured by how far it is from chance to 1.

    One map per task, prompt and model. A cross marks a head that is not above chance: its p-value, adjusted by Holm's
    method over the heads of the map, is above 5 %, or there are too few images to tell.

    Args:
        sites: Scores at sites, see :func:`read_sites`.
        tasks: Task descriptions.
        models: Model descriptions.

    Raises:
        InputError: No head was probed.
    """
    rows = _headline(sites, tasks, "test")
    rows = rows[rows["site"] == "heads"]
    if rows.empty:
        raise InputError("no head was probed; put heads among `states.sites`")
    facets = _facets(rows, tasks, models)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)) + 0.4)
    band, grid = lay_out_grid(drawing, len(facets), 1)
    scale = ScalarMappable(Normalize(0, 1), COLOURS)
    for axes, (title, cell) in zip(grid, facets.items(), strict=True):
        axes.set_title(wrap_name(title, NAME_WIDTH))
        axes.set_ylabel("block")
        _draw_map(axes, _of_cell(rows, cell), scale)
    bar = band.colorbar(scale, ax=grid, extend="min", aspect=30, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["chance", "", "half-way", "", "all right"])
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    metrics = ", ".join(dict.fromkeys(metric_name(tasks[task]) for _, task, _ in facets.values()))
    band.supxlabel(f"attention head   (numbers: test {metrics} × 100;  × behind one: not above chance)", fontsize=8)
    return drawing


def _draw_map(axes: Axes, rows: pd.DataFrame, scale: ScalarMappable) -> None:
    rows = rows.assign(above=(rows["value"] - rows["chance"]) / (1 - rows["chance"]))
    values = rows.pivot(index="layer", columns="head", values="above")
    extent = (0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5)
    axes.imshow(values, origin="lower", extent=extent, aspect="auto", cmap=scale.cmap, norm=scale.norm)
    axes.grid(visible=False)
    enough = rows["n_groups"] >= LEAST_IMAGES["accuracy"]
    at_chance = rows[~(holm(rows["p_value"].where(enough)) < LEVEL)]
    numbers = len(rows) <= MOST_NUMBERS
    for row in rows.itertuples() if numbers else ():
        light = np.mean(scale.to_rgba(row.above)[:3]) > 0.5
        number = f"{100 * row.value:.0f}"
        axes.annotate(
            f"{number} ×" if row.Index in at_chance.index else number,
            (row.head, row.layer),
            ha="center",
            va="center",
            fontsize=6,
            color="#222222" if light else "white",
        )
    if not numbers:
        axes.scatter(at_chance["head"], at_chance["layer"], marker="x", s=4, linewidths=0.5, color="#888888")
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(nbins=8, integer=True))
