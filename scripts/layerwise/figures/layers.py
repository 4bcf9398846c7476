"""Probe scores by layer: one facet per task and prompt (or model), one line per model (or prompt).

The first figures are those of arXiv 2402.17304: entailment by layer, recognition by layer and model, recognition by
layer and prompt. Two more show what such scores are worth: how far they are above those of random labels, and the
labels' description length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.errors import InputError
from layerwise.figures.facets import (
    CHANCE,
    LABEL_ROOM,
    LEAST_RANGE,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    drawing_width,
    label_edges,
    lay_out,
)
from layerwise.figures.headline import headline_scores, majority_scores, metric_name
from layerwise.figures.inputs import Model, Task
from layerwise.figures.style import LineStyle, line_styles, wrap_name

AXES = {"layer": "decoder layer (0 = embeddings)", "depth": "relative depth (layer / number of layers)"}
NORM_GAP, NORM_STEP = 0.12, 0.018


@dataclass(frozen=True)
class Quantity:
    """What a figure shows of the scores, and the line that stands for nothing to be found.

    ``metric`` is the task's own unless it is named here, ``y_label`` may hold {metric}; ``baseline`` and
    ``baseline_name`` are the line's name in the legend and, short, beside the line.
    """

    y_label: str
    baseline: str
    baseline_name: str
    probe: str = "logistic"
    split: str = "test"
    metric: str | None = None
    less_is_more: bool = False


SCORE = Quantity("test {metric}", "majority baseline", "majority")
SELECTIVITY = Quantity(
    "test {metric},\nabove random labels", "no better than random labels", "random labels", probe="selectivity"
)
CODE_LENGTH = Quantity(
    *("code length\n(bits per label)", "uniform code", "uniform"),
    split="train",
    metric="code_bits",
    less_is_more=True,
)


@dataclass(frozen=True)
class LayerFigure:
    """Which tasks a figure shows (None: all), and which column of the scores makes its facets and which its lines."""

    question: str | None
    facets: str
    lines: str
    quantity: Quantity = SCORE


FIGURES = {
    "entailment": LayerFigure("global", facets="prompt", lines="model"),
    "recognition-by-model": LayerFigure("local", facets="prompt", lines="model"),
    "recognition-by-prompt": LayerFigure("local", facets="model", lines="prompt"),
    "selectivity": LayerFigure(None, facets="prompt", lines="model", quantity=SELECTIVITY),
    "code-length": LayerFigure(None, facets="prompt", lines="model", quantity=CODE_LENGTH),
}


def draw_layers(
    scores: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model], figure: str, axis: str
) -> Figure:
    """Draw one of ``FIGURES``: the headline metric on the test split, or what else it shows, against the layer.

    A band is the 95 % interval of the scores; the dotted line is the baseline; the final norm's output is an open
    marker to the right of the last block. The facets of a task share the y axis; all facets share the x axis.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.figures.inputs.read_scores`.
        tasks: Task descriptions; the figure takes those that ask its question.
        models: Model descriptions, in the order in which they get colours.
        figure: A key of ``FIGURES``.
        axis: "layer" (index of the layer) or "depth" (layer / number of blocks, 0 to 1).

    Raises:
        InputError: No task asks the figure's question, a model in the scores has no description, or a task has no rows.
    """
    spec = FIGURES[figure]
    tasks = {name: task for name, task in tasks.items() if spec.question in (None, task.question)}
    if not tasks:
        raise InputError(f"figure {figure!r} shows tasks with a {spec.question} question; none was given")
    shown = spec.quantity
    probes = headline_scores(scores, tasks, shown.split, shown.probe, shown.metric)
    baseline = _baseline(scores, tasks, probes, shown)
    unknown = sorted(set(probes["model"]) - set(models))
    if unknown:
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")

    order = {"model": [m for m in models if m in set(probes["model"])], "prompt": list(probes["prompt"].unique())}
    random = [name for name, model in models.items() if model.is_random]
    # Over all models, so that a model has the same colour in every figure.
    styles = line_styles(list(models) if spec.lines == "model" else order["prompt"], random)
    styles = {name: styles[name] for name in order[spec.lines]}

    blocks = {name: [f for f in order[spec.facets] if _cell(probes, spec, name, f).size] for name in tasks}
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    legend_rows = draw_legend(drawing, styles, random, shown.baseline)
    bands = lay_out(drawing, tasks, blocks, legend_rows, width, AXES[axis])
    for name, _, grid in bands:
        facets = blocks[name]
        for axes, facet in zip(grid.flat, facets, strict=False):
            axes.set_title(wrap_name(facet, NAME_WIDTH) + ("\n(random weights)" if facet in random else ""))
            if facet in random:
                axes.set_facecolor("#F3F3F3")
            of_facet = _cell(probes, spec, name, facet)
            for line, style in styles.items():
                draw_line(axes, of_facet[of_facet[spec.lines] == line], style, axis, list(styles).index(line), line)
            values = _cell(baseline, spec, name, facet)["value"]
            draw_baseline(axes, values, shown.baseline_name, above=shown.less_is_more)
        for axes in grid.flat[len(facets) :]:
            axes.remove()
        label_edges(grid, len(facets), shown.y_label.format(metric=metric_name(tasks[name])))
    share_axes([band for _, band, _ in bands], axis, len(styles), int(probes["n_layers"].max()), shown.less_is_more)
    return drawing


def _baseline(scores: pd.DataFrame, tasks: Mapping[str, Task], probes: pd.DataFrame, shown: Quantity) -> pd.DataFrame:
    """Rows with the value of the dotted line: of the majority baseline, or what follows from the quantity's meaning."""
    if shown is SCORE:
        return majority_scores(scores, tasks)
    if shown is CODE_LENGTH:
        bits = {name: np.log2(task.n_classes) for name, task in tasks.items()}
        return probes.assign(value=probes["task"].map(bits))
    return probes.assign(value=0.0)


def _cell(rows: pd.DataFrame, spec: LayerFigure, task: str, facet: str) -> pd.DataFrame:
    return rows[(rows["task"] == task) & (rows[spec.facets] == facet)]


def draw_line(axes: Axes, rows: pd.DataFrame, style: LineStyle, axis: str, place: int, name: str) -> None:
    """Draw one line with its band, and its final norm where there is one.

    Args:
        axes: the facet.
        rows: ``layer``, ``n_layers``, ``value``, ``low``, ``high``; nothing is drawn of none.
        style: of the line.
        axis: "layer" or "depth".
        place: of the line among the facet's lines, from 0.
        name: of the line.
    """
    if rows.empty:
        return
    rows = rows.sort_values("layer")
    last = int(rows["n_layers"].iloc[0])
    blocks, norm = rows[rows["layer"] <= last], rows[rows["layer"] > last]
    x = blocks["layer"] / (last if axis == "depth" else 1)
    # A marker on every tenth or so of the layers, shifted from line to line so that they do not cover each other.
    step = max(1, ceil(len(blocks) / 9))
    axes.plot(
        x,
        blocks["value"],
        color=style.colour,
        linestyle=style.dash,
        linewidth=style.width,
        marker=style.marker,
        markevery=(place * max(1, step // 3) % step, step),
        label=name,
        zorder=3,
    )
    axes.fill_between(x, blocks["low"], blocks["high"], color=style.colour, alpha=0.15, linewidth=0, zorder=2)
    if not norm.empty:
        row = norm.iloc[0]
        axes.errorbar(
            [_norm_x(last, axis, place)],
            [row["value"]],
            yerr=[[max(0.0, row["value"] - row["low"])], [max(0.0, row["high"] - row["value"])]],
            color=style.colour,
            marker=style.marker,
            markerfacecolor="white",
            linestyle="none",
            elinewidth=0.8,
            label="_norm " + name,
            zorder=4,
        )


def _norm_x(last: int, axis: str, place: float) -> float:
    """Where the final norm's marker stands: beyond the last block, and beside the markers of other lines."""
    scale = 1 if axis == "depth" else last
    return scale + max(NORM_GAP * scale, 1.0 if axis == "layer" else 0.0) + NORM_STEP * scale * place


def share_axes(bands: Sequence, axis: str, n_lines: int, deepest: int, less_is_more: bool = False) -> None:
    """Give the facets of a task one vertical axis, and all facets one horizontal axis.

    Args:
        bands: of facets, one per task, with all that they show.
        axis: "layer" or "depth".
        n_lines: most lines in a facet.
        deepest: blocks of the deepest model.
        less_is_more: whether low values are good, and the baseline is above them.
    """
    all_axes = [axes for band in bands for axes in band.axes]
    right = max(axes.get_xlim()[1] for axes in all_axes)
    for band in bands:
        low = min(axes.dataLim.y0 for axes in band.axes)
        high = max(axes.dataLim.y1 for axes in band.axes)
        chance = min(
            line.get_ydata()[0] for axes in band.axes for line in axes.get_lines() if line.get_label() == CHANCE
        )
        # Room beyond all data for the baseline's name.
        if less_is_more:
            limits = 0, (1 + LABEL_ROOM) * max(high, chance)
        else:
            low, high = min(low, chance), max(high, chance + LEAST_RANGE)
            limits = low - LABEL_ROOM * (high - low), high + 0.05 * (high - low)
        for axes in band.axes:
            axes.set_ylim(limits)
    for axes in all_axes:
        axes.set_xlim(right=right)
        if axis == "depth":
            axes.set_xticks([0, 0.5, 1, _norm_x(1, axis, (n_lines - 1) / 2)], ["0", "0.5", "1", "norm"])
        else:
            # No tick beyond the deepest model's last block: there stands the final norm, which is no layer.
            ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, deepest)
            axes.set_xticks([tick for tick in ticks if 0 <= tick <= deepest])
