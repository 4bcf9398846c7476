"""Figures of information flow: what blocked attention does to the answer, and in which layer the answer appears."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Given
from layerwise.figures.drawing.facets import CHANCE_COLOUR, draw_legend, grid_columns, label_edges, only_band
from layerwise.figures.drawing.style import LineStyle, draw_reason, line_styles
from layerwise.flow.results import read_flow_description

FACET_INCHES = (2.5, 1.9)


@dataclass(frozen=True)
class _Lines:
    """The lines of a figure: a name and a style for each value of ``line`` in the rows, and what the axes show."""

    names: Mapping[Any, str]
    styles: Mapping[Any, LineStyle]
    x: str
    y: str
    baseline: str | None = None


def draw_changes(given: Given, flows: Mapping[str, str]) -> Figure:
    """Draw the change of the answer's probability by window: one facet per type of question, one line per flow.

    A band is the 95 % interval over images at each place.

    Args:
        given: the changes and the description of one model and set of questions.
        flows: the flows to show, and their names.

    Returns:
        The drawing. Where there is nothing to show it gives only the reason.
    """
    description, changes = read_flow_description(given.path("description")), given.comparison("flow-changes")
    if changes.empty:
        return _unanswered(description)
    shown = changes[changes["flow"].isin(flows)].rename(columns={"window": "x"})
    if shown.empty:
        reasons = "; ".join(description["without_object_patches"])
        return _nothing(description, f"no question has the flows {', '.join(flows.values())} ({reasons})")
    lines = _Lines(
        names=flows,
        styles=line_styles(flows),
        x="block at the centre of the window in which attention is blocked",
        y="change in the answer's\nprobability (%)",
        baseline="no change",
    )
    cell = description["cell"]
    windows = f", windows of {cell['window']} block{'s' * (cell['window'] > 1)}"
    return _draw(shown.assign(line=shown["flow"]), lines, description, windows)


def draw_tracing(given: Given, lines: Mapping[tuple[bool, str], str]) -> Figure:
    """Draw the probability of the answer's first token by layer: one facet per type of question.

    A band is the 95 % interval over images at each place. Lines without the final norm are dashed.

    Args:
        given: the tracing and the description of one model and set of questions.
        lines: by ``norm`` and ``casing`` of the tracing, the names of the lines.

    Returns:
        The drawing. Where there is nothing to show it gives only the reason.
    """
    description, tracing = read_flow_description(given.path("description")), given.comparison("flow-tracing")
    if tracing.empty:
        return _unanswered(description)
    shown = tracing.rename(columns={"layer": "x"})
    shown["line"] = list(zip(shown["norm"], shown["casing"], strict=True))
    colours = line_styles(dict.fromkeys(casing for _, casing in lines))
    styles = {
        (norm, casing): LineStyle(colours[casing].colour, colours[casing].marker, "-" if norm else (0, (2, 1.5)))
        for norm, casing in lines
    }
    x, y = "layer (0: embedding output)", "probability of the\nanswer's first token"
    return _draw(shown, _Lines(lines, styles, x, y), description)


def _draw(rows: pd.DataFrame, lines: _Lines, description: Mapping[str, Any], windows: str = "") -> Figure:
    types = [kind for kind in description["types"] if kind in set(rows["type"])]
    columns = grid_columns(max(len(types), 1)) if len(types) != 6 else 3
    n_rows = ceil(len(types) / columns)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(max(4.6, columns * FACET_INCHES[0] + 0.6))
    legend = {lines.names[key]: style for key, style in lines.styles.items()}
    legend_rows = draw_legend(drawing, legend, {}, lines.baseline, norm=False)
    drawing.set_figheight(n_rows * FACET_INCHES[1] + 0.6 + 0.18 * legend_rows)
    band = only_band(drawing)
    cell = description["cell"]
    band.suptitle(f"{cell['model']} on {cell['questions']}{windows}", x=0.01, ha="left", fontsize=9, fontweight="bold")
    grid = band.subplots(n_rows, columns, squeeze=False, sharey=True)
    for axes, kind in zip(grid.flat, types, strict=False):
        of_kind = rows[rows["type"] == kind]
        axes.set_title(_title(kind, of_kind, description["types"][kind]))
        if lines.baseline:
            axes.axhline(0, color=CHANCE_COLOUR, linestyle=":", linewidth=1, zorder=1)
        for key, style in lines.styles.items():
            _draw_line(axes, of_kind[of_kind["line"] == key], style, lines.names[key])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    for axes in grid.flat[len(types) :]:
        axes.remove()
    label_edges(grid, len(types), lines.y)
    band.supxlabel(lines.x, fontsize=8)
    return drawing


def _unanswered(description: Mapping[str, Any]) -> Figure:
    return _nothing(description, "it answered no question rightly, and nothing was measured")


def _nothing(description: Mapping[str, Any], reason: str) -> Figure:
    """A figure that only gives the reason why there is nothing to show."""
    cell = description["cell"]
    return draw_reason(f"{cell['model']} on {cell['questions']}: {reason}")


def _title(kind: str, rows: pd.DataFrame, counts: Mapping[str, int]) -> str:
    n = int(rows["n"].max())
    return f"{kind} ({n} of {counts['asked']} questions)"


def _draw_line(axes: Axes, rows: pd.DataFrame, style: LineStyle, name: str) -> None:
    rows = rows.sort_values("x")
    axes.plot(
        rows["x"],
        rows["mean"],
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker,
        markevery=max(1, ceil(len(rows) / 9)),
        label=name,
        zorder=3,
    )
    axes.fill_between(rows["x"], rows["low"], rows["high"], color=style.colour, alpha=0.15, linewidth=0, zorder=2)
