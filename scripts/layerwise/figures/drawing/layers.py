"""Probe scores by layer: one facet per task and prompt (or model), one line per model (or prompt).

The figures of arXiv 2402.17304 have this form: entailment by layer, recognition by layer and model, recognition by
layer and prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Given, Model, Task, as_they_are, language_models, with_draws
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
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
from layerwise.figures.drawing.shortcuts import draw_levels, levels, name_levels
from layerwise.figures.drawing.style import LineStyle, line_styles, paired_styles, wrap_name
from layerwise.figures.names import metric_name

AXES = {"layer": "decoder layer (0 = embeddings)", "depth": "relative depth (layer / number of layers)"}
WIDER_ALPHA = 0.12
NORM_GAP, NORM_STEP = 0.12, 0.018


@dataclass(frozen=True)
class Quantity:
    """Which of the headline scores a figure shows, and the dotted line that they are compared with.

    Attributes:
        y_label: the y axis's label; it may hold ``{metric}``.
        baseline, baseline_name: names of the dotted line: in the legend, and beside the line.
        baseline_of: takes all headline scores, the tasks, and the rows shown; returns the dotted line as rows with
            ``value``.
        probe, split: of the rows shown.
        metric: of the rows shown; None for the task's own.
        less_is_more: whether low values are good, so that the baseline is above them.
        wider: the probe whose rows have wider intervals of the same values, drawn where there are some; None if none
            has.
    """

    y_label: str
    baseline: str
    baseline_name: str
    baseline_of: Callable[[pd.DataFrame, Mapping[str, Task], pd.DataFrame], pd.DataFrame]
    probe: str = "logistic"
    split: str = "test"
    metric: str | None = None
    less_is_more: bool = False
    wider: str | None = None


SCORE = Quantity(
    y_label="test {metric}",
    baseline="majority baseline",
    baseline_name="majority",
    baseline_of=lambda headline, tasks, rows: majority_scores(headline, tasks),
    wider="redrawn",
)


def draw_layers(
    given: Given,
    question: str | None,
    axis: str,
    facets: str,
    lines: str,
    quantity: Quantity = SCORE,
    shortcuts: pd.DataFrame | None = None,
) -> Figure:
    """Draw the headline metric of the study's tasks on the test split, or another quantity, against the layer.

    Arguments and errors are those of :func:`draw_scores`.

    Args:
        given: the headline scores, tasks and models.
        question: of the tasks that are shown; None for all.
    """
    tasks = {name: task for name, task in given.tasks.items() if question in (None, task.question)}
    if not tasks:
        raise InputError(f"the figure shows tasks with a {question} question; none was given")
    return draw_scores(given.comparison("headline"), tasks, given.models, axis, facets, lines, quantity, shortcuts)


def draw_scores(
    headline: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    axis: str,
    facets: str,
    lines: str,
    quantity: Quantity = SCORE,
    shortcuts: pd.DataFrame | None = None,
) -> Figure:
    """Draw headline scores against the layer: a band of facets for each task.

    A band is the 95 % interval of the scores, and a lighter one that with redrawn training images; the dotted line is
    the baseline; the output of the final norm is an open marker to the right of the last block. The facets of a task
    share the y axis; all facets share the x axis. A language model has the colour of the model that was made from it.
    Interventions have figures of their own.

    Args:
        headline: headline scores, see :mod:`layerwise.compare.headline`.
        tasks: descriptions of the tasks that are shown.
        models: descriptions, in the order in which they get colours.
        axis: "layer" (index of the layer) or "depth" (layer / number of blocks, 0 to 1).
        facets, lines: the columns of the scores that make facets and lines, "prompt" and "model" or vice versa.
        quantity: what is shown.
        shortcuts: what shortcuts reach, see :mod:`layerwise.compare.shortcuts`, for thin lines behind those of models
            (``lines``); None for no such lines.

    Raises:
        InputError: A model in the scores has no description, or a task has no rows.
    """
    headline, models = as_they_are(headline, with_draws(models, headline))
    probes = headline_scores(headline, tasks, quantity.split, quantity.probe, quantity.metric)
    wider = None
    if quantity.wider in set(headline["probe"]):
        wider = headline_scores(headline, tasks, quantity.split, str(quantity.wider), quantity.metric)
    baseline = quantity.baseline_of(headline, tasks, probes)
    unknown = sorted(set(probes["model"]) - set(models))
    if unknown:
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")

    order = {"model": [m for m in models if m in set(probes["model"])], "prompt": list(probes["prompt"].unique())}
    random = {name: model.in_words for name, model in models.items() if model.is_random}
    # Chosen over all models, so that a model has the same colour in every figure.
    styles, notes = line_styles(list(models) if lines == "model" else order["prompt"], random), dict(random)
    if lines == "model":
        styles, notes = paired_styles(styles, language_models(headline), notes)
    styles = {name: styles[name] for name in order[lines]}

    blocks = {name: [f for f in order[facets] if _cell(probes, facets, name, f).size] for name in tasks}
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    has = {"wider": wider is not None, "shortcuts": shortcuts is not None}
    legend_rows = draw_legend(drawing, styles, notes, quantity.baseline, **has)
    named = []
    bands = lay_out(drawing, tasks, blocks, legend_rows, width, AXES[axis])
    for name, _, grid in bands:
        of_task = blocks[name]
        for axes, facet in zip(grid.flat, of_task, strict=False):
            axes.set_title(wrap_name(facet, NAME_WIDTH) + (f"\n({random[facet]})" if facet in random else ""))
            if facet in random:
                axes.set_facecolor("#F3F3F3")
            of_facet = _cell(probes, facets, name, facet)
            for line, style in styles.items():
                if wider is not None:
                    of_line = _cell(wider, facets, name, facet)
                    draw_wider(axes, of_line[of_line[lines] == line], style, axis, list(styles).index(line))
                draw_line(axes, of_facet[of_facet[lines] == line], style, axis, list(styles).index(line), line)
            values = _cell(baseline, facets, name, facet)["value"]
            draw_baseline(axes, values, quantity.baseline_name, above=quantity.less_is_more)
            if shortcuts is not None:
                named.append((axes, levels(_cell(shortcuts, facets, name, facet), styles)))
                draw_levels(*named[-1])
        for axes in grid.flat[len(of_task) :]:
            axes.remove()
        label_edges(grid, len(of_task), quantity.y_label.format(metric=metric_name(tasks[name].metric)))
    deepest = int(probes["n_layers"].max())
    share_axes([band for _, band, _ in bands], axis, len(styles), deepest, quantity.less_is_more)
    for axes, found in named:
        name_levels(axes, found)
    return drawing


def _cell(rows: pd.DataFrame, facets: str, task: str, facet: str) -> pd.DataFrame:
    return rows[(rows["task"] == task) & (rows[facets] == facet)]


def draw_line(axes: Axes, rows: pd.DataFrame, style: LineStyle, axis: str, place: int, name: str) -> None:
    """Draw one line with its band, and its final norm where there is one.

    Args:
        axes: the facet.
        rows: ``layer``, ``n_layers``, ``value``, ``low``, ``high``; without rows nothing is drawn.
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
    # About nine markers a line, shifted from line to line so that they do not cover each other.
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


def draw_wider(axes: Axes, rows: pd.DataFrame, style: LineStyle, axis: str, place: int) -> None:
    """Draw the wider intervals of a line: a lighter band, and longer, thinner bars at the final norm.

    Arguments are those of :func:`draw_line`.
    """
    if rows.empty:
        return
    rows = rows.sort_values("layer")
    last = int(rows["n_layers"].iloc[0])
    blocks, norm = rows[rows["layer"] <= last], rows[rows["layer"] > last]
    x = blocks["layer"] / (last if axis == "depth" else 1)
    axes.fill_between(x, blocks["low"], blocks["high"], color=style.colour, alpha=WIDER_ALPHA, linewidth=0, zorder=1.9)
    at = [_norm_x(last, axis, place)] * len(norm)
    axes.vlines(at, norm["low"], norm["high"], color=style.colour, linewidth=0.4, zorder=3.9)


def _norm_x(last: int, axis: str, place: float) -> float:
    """The x of the final norm's marker: beyond the last block, and beside the markers of other lines."""
    scale = 1 if axis == "depth" else last
    return scale + max(NORM_GAP * scale, 1.0 if axis == "layer" else 0.0) + NORM_STEP * scale * place


def share_axes(bands: Sequence, axis: str, n_lines: int, deepest: int, less_is_more: bool = False) -> None:
    """Give the facets of a task one vertical axis, and all facets one horizontal axis.

    Args:
        bands: of facets, one per task, already drawn.
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
            # No tick beyond the last block of the deepest model, because the final norm, drawn there, is not a block.
            ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, deepest)
            axes.set_xticks([tick for tick in ticks if 0 <= tick <= deepest])
