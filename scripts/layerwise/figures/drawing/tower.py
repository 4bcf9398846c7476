"""Scores along the whole model: vision tower, projector and decoder, with borders between them."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from layerwise.compare.inputs import Model, Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    grid_width,
    lay_out_grid,
    limit_facet,
)
from layerwise.figures.drawing.layers import draw_line
from layerwise.figures.drawing.style import line_styles, wrap_name
from layerwise.figures.names import metric_name

PICTURE, CLASS = "picture's tokens, mean", "class token"
AXIS = "vision block (0 = patches), projector (P), decoder block"
BORDER, BAND = "#444444", "#F1F5F9"
# Ticks of each part.
MOST_TICKS = 4


def line_name(pooling: str, prompt: str) -> str:
    """What legends call the rows of one pooling and prompt."""
    if pooling == "class-token":
        return CLASS
    if not prompt or pooling == "image-mean":
        # One line through all parts: patches, the projector's output, and the decoder at the image's tokens.
        return PICTURE
    return f"last token, {prompt}"


def with_lines(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``line``, and only one line for what several prompts have in common.

    Args:
        table: see :mod:`layerwise.compare.tower`.
    """
    named = table.assign(line=list(map(line_name, table["pooling"], table["prompt"])))
    return named.drop_duplicates(["model", "task", "line", "place"], ignore_index=True)


def line_order(lines: pd.Series) -> list[str]:
    """Lines as legends have them: the picture's tokens, the class token, then the last token by prompt."""
    first = [name for name in (PICTURE, CLASS) if (lines == name).any()]
    return [*first, *(name for name in lines.unique() if name not in first)]


def part_ticks(n_tower: int, n_layers: int) -> dict[int, str]:
    """By place on the axis the name of the layer there: a few of each part."""
    step = max(1, -(-n_tower // MOST_TICKS))
    ticks = {depth: str(depth) for depth in range(0, n_tower + 1, step)} | {n_tower + 1: "P"}
    step = max(1, -(-max(n_layers, 0) // MOST_TICKS))
    return ticks | {n_tower + 1 + depth: str(depth) for depth in range(step, n_layers + 1, step)}


def draw_tower(table: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw a facet per task and model, with a border in front of the projector and one behind it.

    Args:
        table: see :mod:`layerwise.compare.tower`.
        tasks: Task descriptions, in the order of the facets.
        models: Model descriptions, in their order within a task.

    Raises:
        InputError: There is nothing to draw.
    """
    if table.empty:
        raise InputError("no task was probed in a vision tower; name tasks in tower.tasks")
    rows = with_lines(table)
    styles = line_styles(line_order(rows["line"]))
    found = dict(list(rows.groupby(["task", "model"], sort=False)))
    facets = {(task, model): found[task, model] for task in tasks for model in models if (task, model) in found}
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline", norm=False)
    band, grid = lay_out_grid(drawing, len(facets), legend_rows)
    for axes, ((task, model), of_facet) in zip(grid, facets.items(), strict=True):
        note = f"\n({models[model].in_words})" if models[model].is_random else ""
        axes.set_title(wrap_name(f"{task}: {model}", NAME_WIDTH) + note)
        axes.set_ylabel(f"test {metric_name(tasks[task].metric)}", fontsize=7)
        for place, (name, style) in enumerate(styles.items()):
            line = of_facet[of_facet["line"] == name].drop(columns="layer", errors="ignore")
            # The last token is read in the decoder alone, so that no line crosses a part that it is not read in.
            draw_line(axes, line.rename(columns={"place": "layer"}).assign(n_layers=10**6), style, "layer", place, name)
        majority = of_facet["majority"].iloc[:1]
        draw_baseline(axes, majority, "majority")
        limit_facet(axes, [of_facet], majority.iloc[0])
        _draw_parts(axes, int(of_facet["n_tower"].iloc[0]), int(of_facet["n_layers"].iloc[0]))
    band.supxlabel(AXIS, fontsize=8)
    return drawing


def _draw_parts(axes: Axes, n_tower: int, n_layers: int) -> None:
    """The borders between the parts, their names, and a tick for some layers of each."""
    projector = n_tower + 1
    axes.axvspan(projector - 0.5, projector + 0.5, color=BAND, zorder=0)
    for border in (projector - 0.5, projector + 0.5):
        axes.axvline(border, color=BORDER, linewidth=0.8, zorder=1)
    last = projector + max(n_layers, 0)
    axes.set_xlim(-0.5, last + 0.5)
    low, high = axes.get_ylim()
    # Room for the names above the lines.
    axes.set_ylim(low, high + 0.1 * (high - low))
    middles = {"vision tower": (n_tower + 0.5) / 2 - 0.25}
    if n_layers > 0:
        middles["decoder"] = (projector + 0.5 + last + 0.5) / 2
    for name, middle in middles.items():
        axes.annotate(
            name,
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, -2),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6.5,
            color=BORDER,
        )
    ticks = part_ticks(n_tower, n_layers)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.set_xticks(list(ticks), list(ticks.values()))
