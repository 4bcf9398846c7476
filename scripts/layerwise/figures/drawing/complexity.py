"""How complex a probe must be: per task and prompt, scores of kinds of probes by layer and by description length."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Task
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    LABEL_ROOM,
    LEAST_RANGE,
    MAX_COLUMNS,
    NAME_WIDTH,
    draw_baseline,
    task_title,
)
from layerwise.figures.drawing.layers import AXES
from layerwise.figures.drawing.style import CHANCE_COLOUR, LineStyle, line_styles, wrap_name
from layerwise.figures.names import metric_name
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.metrics.catalogue import METRICS

# Inches: a facet's width, the heights of its parts, and what a row of facets has above and below them.
WIDTH, HEIGHTS, AROUND = 2.35, {"layers": 1.5, "weights": 0.42, "bits": 1.5}, 0.95
ALL_LAYERS = -1
# Least ranges of the axes of bits and scores, so that small differences look small.
LEAST_BITS, LEAST_SCORES = 0.2, 0.1


def draw_complexity(table: pd.DataFrame, weights: pd.DataFrame, tasks: Mapping[str, Task], model: str) -> Figure:
    """Draw one model: a band per task, a column per prompt. Cells without a further kind of probe are left out.

    A column has the scores by layer, a line per kind of probe; the weights of the layers in a probe of all layers; and
    the score against the bits per label, from the topmost block to the best layer of each kind.

    Args:
        table: see :mod:`layerwise.compare.complexity`.
        weights: see :mod:`layerwise.compare.layer_weights`.
        tasks: descriptions.
        model: its name.

    Raises:
        InputError: no kind of probe beside logistic regression was fitted to the model's states.
    """
    table, weights = table[table["model"] == model], weights[weights["model"] == model]
    # Every cell has logistic regression. Alone it has nothing to be compared with.
    table = table[table["kind"].ne("logistic").groupby([table["task"], table["prompt"]]).transform("any")]
    if table.empty:
        raise InputError(
            f"the comparison `complexity` has no further kind of probe of the model {model}; see `probes.kinds_of`"
        )
    tasks = {name: task for name, task in tasks.items() if name in set(table["task"])}
    kinds = [kind for kind in PROBE_KINDS if kind in set(table["kind"])]
    # Chosen over all kinds, so that a kind looks the same in every study.
    styles = {kind: style for kind, style in line_styles(list(PROBE_KINDS)).items() if kind in kinds}
    parts = {"layers": True, "weights": not weights.empty, "bits": table["bits"].notna().any()}
    heights = [HEIGHTS[part] for part, there in parts.items() if there]
    prompts = {name: list(table.loc[table["task"] == name, "prompt"].unique()) for name in tasks}
    columns = min(MAX_COLUMNS, max(map(len, prompts.values())))
    rows = {name: ceil(len(names) / columns) for name, names in prompts.items()}

    drawing = Figure(figsize=(max(5.2, columns * WIDTH + 0.6), 0.45), layout="constrained")
    legend_rows = _legend(drawing, styles, list(parts.values())[2])
    one_row = sum(heights) + AROUND
    drawing.set_figheight(sum(rows.values()) * one_row + 0.3 * len(tasks) + 0.25 + 0.16 * legend_rows)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.03, hspace=0.02, wspace=0.03)
    bands = drawing.subfigures(len(tasks), 1, height_ratios=[n * one_row + 0.3 for n in rows.values()], squeeze=False)
    for band, (name, task) in zip(bands.flat, tasks.items(), strict=True):
        band.suptitle(wrap_name(task_title(task), 80), x=0.01, ha="left", fontsize=9, fontweight="bold")
        grid = band.subplots(rows[name] * len(heights), columns, height_ratios=heights * rows[name], squeeze=False)
        of_task = table[table["task"] == name]
        limits = _limits(of_task)
        for place in range(rows[name] * columns):
            top, column = place // columns * len(heights), place % columns
            drawn = dict(zip([part for part, there in parts.items() if there], grid[top:, column], strict=False))
            if place >= len(prompts[name]):
                for axes in drawn.values():
                    axes.remove()
                continue
            prompt = prompts[name][place]
            of_cell = of_task[of_task["prompt"] == prompt]
            drawn["layers"].set_title(wrap_name(prompt, NAME_WIDTH))
            _draw_layers(drawn["layers"], of_cell, styles, limits)
            lowest = drawn["layers"]
            if "weights" in drawn:
                of_mix = weights[(weights["task"] == name) & (weights["prompt"] == prompt)]
                _draw_weights(drawn["weights"], of_mix, styles, first=column == 0)
                drawn["weights"].set_xlim(drawn["layers"].get_xlim())
                drawn["layers"].tick_params(labelbottom=False)
                lowest = drawn["weights"]
            lowest.set_xlabel(AXES["layer"])
            if "bits" in drawn:
                _draw_bits(drawn["bits"], of_cell, styles)
            for part in ("layers", "bits"):
                if part in drawn:
                    # Facets of bits have axes of their own.
                    drawn[part].tick_params(labelleft=column == 0 or part == "bits")
                    drawn[part].set_ylabel(f"test {metric_name(task.metric)}" if column == 0 else "")
    return drawing


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Of the score's axis in all facets of a task."""
    blocks = rows[rows["layer"] <= rows["n_layers"]]
    chance = rows["chance"].min()
    low, high = min(blocks["score_low"].min(), chance), max(blocks["score_high"].max(), chance + LEAST_RANGE)
    return low - LABEL_ROOM * (high - low), high + 0.05 * (high - low)


def _draw_layers(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle], limits: tuple[float, float]) -> None:
    last = int(rows["n_layers"].iloc[0])
    for kind, style in styles.items():
        of_kind = rows[(rows["kind"] == kind) & (rows["layer"] <= last)].sort_values("layer")
        look: dict[str, Any] = {"color": style.colour, "linestyle": style.dash, "zorder": 3}
        if (of_kind["layer"] == ALL_LAYERS).any():
            # It has no layer: a line across all of them.
            score = of_kind.iloc[0]
            axes.axhline(score["score"], linewidth=1, **look)
            axes.axhspan(score["score_low"], score["score_high"], color=style.colour, alpha=0.12, linewidth=0, zorder=1)
            continue
        step = max(1, ceil(len(of_kind) / 9))
        axes.plot(of_kind["layer"], of_kind["score"], marker=style.marker, markersize=3, markevery=step, **look)
        axes.fill_between(
            of_kind["layer"],
            of_kind["score_low"],
            of_kind["score_high"],
            color=style.colour,
            alpha=0.15,
            linewidth=0,
            zorder=2,
        )
    draw_baseline(axes, rows["chance"], "majority")
    axes.set_ylim(limits)
    axes.set_xlim(-0.5, last + 0.5)
    ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, last)
    axes.set_xticks([tick for tick in ticks if 0 <= tick <= last])


def _draw_weights(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle], first: bool) -> None:
    for kind, of_kind in rows.groupby("kind", sort=False):
        axes.bar(of_kind["layer"], of_kind["weight"], width=0.7, color=styles[str(kind)].colour, zorder=3)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1])
    axes.tick_params(labelleft=first)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if first:
        axes.set_ylabel("weight\nin mix")


def _draw_bits(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    uniform = rows["uniform_bits"].iloc[0]
    for kind, style in styles.items():
        of_kind = rows[rows["kind"] == kind]
        best, top = of_kind[of_kind["is_best"]], of_kind[of_kind["is_top"]]
        ends = pd.concat([best, top])
        axes.plot(ends["bits"], ends["score"], color=style.colour, linewidth=0.8, zorder=2)
        for end, filled in ((top, False), (best, True)):
            if end.empty:
                continue
            row = end.iloc[0]
            axes.errorbar(
                row["bits"],
                row["score"],
                xerr=_error(row, "bits"),
                yerr=_error(row, "score"),
                color=style.colour,
                marker=style.marker,
                markersize=5,
                markerfacecolor=style.colour if filled else "white",
                elinewidth=0.7,
                linestyle="none",
                zorder=4 if filled else 3,
                label=f"_{kind} {'best' if filled else 'top'}",
            )
    shown = rows[rows["is_best"] | rows["is_top"]]
    left, right = _around(shown["bits_low"].min(), shown["bits_high"].max(), LEAST_BITS)
    bottom, top = _around(shown["score_low"].min(), shown["score_high"].max(), LEAST_SCORES)
    # No room above the greatest score but for the marks.
    beyond = max(0.0, top - METRICS[rows["metric"].iloc[0]].limits[1] - 0.1 * (top - bottom))
    bottom, top = bottom - beyond, top - beyond
    axes.set_xlim(max(left, 0), right)
    axes.set_ylim(bottom, top)
    # Where the marks are far from what needs no states, the facet shows their differences instead.
    if bottom <= rows["chance"].iloc[0]:
        draw_baseline(axes, rows["chance"], "majority")
    if uniform <= right:
        axes.axvline(uniform, color=CHANCE_COLOUR, linestyle=":", linewidth=1, zorder=1)
    axes.set_xlabel("bits per label (less is better)")


def _around(low: float, high: float, least: float) -> tuple[float, float]:
    """Ends of an axis that holds these values and is at least so long."""
    missing = max(0.0, least - (high - low)) / 2
    room = 0.08 * (high - low + 2 * missing)
    return low - missing - room, high + missing + room


def _error(row: pd.Series, name: str) -> np.ndarray:
    """Lengths of the two arms of an error bar, shape (2, 1)."""
    return np.array([[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]]).clip(min=0)


def _legend(drawing: Figure, styles: Mapping[str, LineStyle], bits: bool) -> int:
    """Returns its number of rows."""
    handles: list = [
        Line2D([], [], color=style.colour, linestyle=style.dash, marker=style.marker, markersize=4)
        for style in styles.values()
    ]
    labels = list(styles)
    handles.append(Patch(facecolor="#888888", alpha=0.25))
    labels.append("95 % interval")
    if bits:
        for name, face in (("best layer", "#888888"), ("topmost block", "white")):
            handles.append(Line2D([], [], color="#888888", marker="o", markerfacecolor=face, linestyle="none"))
            labels.append(name)
    handles.append(Line2D([], [], color=CHANCE_COLOUR, linestyle=":", linewidth=1))
    labels.append("majority; uniform code" if bits else "majority")
    columns = min(len(labels), max(2, int(drawing.get_figwidth() / 1.45)))
    drawing.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.4)
    return ceil(len(labels) / columns)
