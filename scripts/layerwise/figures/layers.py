"""Probe scores by layer: one facet per task and prompt (or model), one line per model (or prompt).

The figures are those of arXiv 2402.17304: entailment by layer, recognition by layer and model, recognition by layer
and prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from layerwise.errors import InputError
from layerwise.figures.headline import headline_scores, metric_name
from layerwise.figures.inputs import Model, Task
from layerwise.figures.style import CHANCE_COLOUR, LineStyle, line_styles, wrap_name

AXES = {"layer": "decoder layer (0 = embeddings)", "depth": "relative depth (layer / number of layers)"}
FACET_INCHES = (2.3, 1.75)
MAX_COLUMNS = 4
NAME_WIDTH = 26
# Labels that start with an underscore stay out of legends.
CHANCE = "_chance"
NORM_GAP, NORM_STEP = 0.12, 0.018


@dataclass(frozen=True)
class LayerFigure:
    """Which tasks a figure shows, and which column of the scores makes its facets and which its lines."""

    question: str
    facets: str
    lines: str


FIGURES = {
    "entailment": LayerFigure("global", facets="prompt", lines="model"),
    "recognition-by-model": LayerFigure("local", facets="prompt", lines="model"),
    "recognition-by-prompt": LayerFigure("local", facets="model", lines="prompt"),
}


def draw_layers(
    scores: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model], figure: str, axis: str
) -> Figure:
    """Draw one of ``FIGURES``: the headline metric on the test split against the layer.

    A band is the 95 % interval of the scores; the dotted line is the majority baseline; the final norm's output is an
    open marker to the right of the last block. The facets of a task share the y axis; all facets share the x axis.

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
    tasks = {name: task for name, task in tasks.items() if task.question == spec.question}
    if not tasks:
        raise InputError(f"figure {figure!r} shows tasks with a {spec.question} question; none was given")
    probes = headline_scores(scores, tasks, "test")
    chance = headline_scores(scores, tasks, "test", probe="majority")
    unknown = sorted(set(probes["model"]) - set(models))
    if unknown:
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")

    order = {"model": [m for m in models if m in set(probes["model"])], "prompt": list(probes["prompt"].unique())}
    random = [name for name, model in models.items() if model.is_random]
    # Over all models, so that a model has the same colour in every figure.
    styles = line_styles(list(models) if spec.lines == "model" else order["prompt"], random)
    styles = {name: styles[name] for name in order[spec.lines]}

    blocks = {name: [f for f in order[spec.facets] if _cell(probes, spec, name, f).size] for name in tasks}
    columns = _columns(max(map(len, blocks.values())))
    rows = {name: ceil(len(facets) / columns) for name, facets in blocks.items()}
    width = max(4.2, columns * FACET_INCHES[0] + 0.5)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    legend_rows = _legend(drawing, styles, random)
    drawing.set_figheight(sum(rows.values()) * FACET_INCHES[1] + 0.35 * len(rows) + 0.45 + 0.16 * legend_rows)
    drawing.get_layout_engine().set(w_pad=0.05, h_pad=0.04, hspace=0.02, wspace=0.03)
    bands = drawing.subfigures(len(tasks), 1, height_ratios=[n + 0.22 for n in rows.values()], squeeze=False)[:, 0]
    for band, (name, facets) in zip(bands, blocks.items(), strict=True):
        task = tasks[name]
        band.suptitle(wrap_name(_task_title(task), int(width * 10)), x=0.01, ha="left", fontsize=9, fontweight="bold")
        grid = band.subplots(rows[name], columns, squeeze=False)
        for axes, facet in zip(grid.flat, facets, strict=False):
            axes.set_title(wrap_name(facet, NAME_WIDTH) + ("\n(random weights)" if facet in random else ""))
            if facet in random:
                axes.set_facecolor("#F3F3F3")
            of_facet = _cell(probes, spec, name, facet)
            for line, style in styles.items():
                _draw_line(axes, of_facet[of_facet[spec.lines] == line], style, axis, list(styles).index(line), line)
            _draw_chance(axes, _cell(chance, spec, name, facet))
        for axes in grid.flat[len(facets) :]:
            axes.remove()
        _label_edges(grid, len(facets), f"test {metric_name(task)}")
    _share_axes(bands, axis, len(styles), int(probes["n_layers"].max()))
    # On the last band rather than the figure, where it would lie on the legend.
    bands[-1].supxlabel(AXES[axis], fontsize=8)
    return drawing


def _cell(rows: pd.DataFrame, spec: LayerFigure, task: str, facet: str) -> pd.DataFrame:
    return rows[(rows["task"] == task) & (rows[spec.facets] == facet)]


def _columns(n_facets: int) -> int:
    """Wrap many facets into rows of equal length: six become two rows of three, not four and two."""
    return ceil(n_facets / ceil(n_facets / MAX_COLUMNS))


def _task_title(task: Task) -> str:
    labels = f", mean over {len(task.labels)} labels" if task.headline_label == "macro" else ""
    return f"{task.task} ({task.question} question{labels})"


def _draw_line(axes: Axes, rows: pd.DataFrame, style: LineStyle, axis: str, place: int, name: str) -> None:
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


def _draw_chance(axes: Axes, rows: pd.DataFrame) -> None:
    # One line as a rule; cells of one facet that were scored on different items have different baselines.
    for value in sorted(set(rows["value"].round(6))):
        axes.axhline(value, color=CHANCE_COLOUR, linestyle=":", linewidth=1, label=CHANCE, zorder=1)
        text = axes.annotate(
            f"majority {value:.2f}",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-2, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=6.5,
            color=CHANCE_COLOUR,
            # Under the data: a score below the baseline must stay in sight.
            zorder=1.5,
        )
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _label_edges(grid: np.ndarray, n_facets: int, y_label: str) -> None:
    """Keep tick labels on the outer facets only; the lowest facet of a column may be above an empty place."""
    n_columns = grid.shape[1]
    for i, axes in enumerate(grid.flat[:n_facets]):
        axes.tick_params(labelleft=i % n_columns == 0, labelbottom=i + n_columns >= n_facets)
        if i % n_columns == 0:
            axes.set_ylabel(y_label)


def _share_axes(bands: Sequence, axis: str, n_lines: int, deepest: int) -> None:
    all_axes = [axes for band in bands for axes in band.axes]
    right = max(axes.get_xlim()[1] for axes in all_axes)
    for band in bands:
        low = min(axes.dataLim.y0 for axes in band.axes)
        high = max(axes.dataLim.y1 for axes in band.axes)
        chance = min(
            line.get_ydata()[0] for axes in band.axes for line in axes.get_lines() if line.get_label() == CHANCE
        )
        span = max(high - low, 0.05)
        # Room below the baseline for its name.
        bottom = min(low - 0.04 * span, chance - 0.16 * span)
        for axes in band.axes:
            axes.set_ylim(bottom, high + 0.05 * span)
    for axes in all_axes:
        axes.set_xlim(right=right)
        if axis == "depth":
            axes.set_xticks([0, 0.5, 1, _norm_x(1, axis, (n_lines - 1) / 2)], ["0", "0.5", "1", "norm"])
        else:
            # No tick beyond the deepest model's last block: there stands the final norm, which is no layer.
            ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, deepest)
            axes.set_xticks([tick for tick in ticks if 0 <= tick <= deepest])


def _legend(drawing: Figure, styles: Mapping[str, LineStyle], random: Sequence[str]) -> int:
    """Put the legend below the facets, as wide as the figure allows, and return its number of lines of text."""
    handles: list = []
    labels: list[str] = []
    for name, style in styles.items():
        handles.append(Line2D([], [], color=style.colour, linestyle=style.dash, marker=style.marker))
        labels.append(wrap_name(f"{name} (random weights)" if name in random else name, 40))
    band = (Patch(facecolor="#888888", alpha=0.25), Line2D([], [], color="#888888"))
    handles += [
        band,
        Line2D([], [], color="#888888", marker="o", markerfacecolor="white", linestyle="none"),
        Line2D([], [], color=CHANCE_COLOUR, linestyle=":", linewidth=1),
    ]
    labels += ["95 % interval", "final norm", "majority baseline"]
    longest = max(len(line) for label in labels for line in label.splitlines())
    # Inches per character of the legend's font, and of a handle with its padding.
    columns = min(len(labels), max(1, int(drawing.get_figwidth() / (0.065 * longest + 0.6))))
    drawing.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
        handler_map={tuple: HandlerTuple(ndivide=1)},
    )
    return ceil(len(labels) / columns) + sum(label.count("\n") for label in labels)
