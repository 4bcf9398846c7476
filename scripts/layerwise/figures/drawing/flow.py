"""Figures of information flow: what blocked attention does to the answer, and in which layer the answer appears."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from layerwise.figures.names import arrow
from layerwise.flow.results import flows_of_cell, read_flow_description

FACET_INCHES = (2.5, 1.9)
WINDOW = "block at the centre of the window in which attention is blocked"
CHANGE = "change in the answer's\nprobability (%)"


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
        return draw_unanswered(description)
    shown = changes[changes["flow"].isin(flows)].rename(columns={"window": "x"})
    if shown.empty:
        reasons = "; ".join(description["without_object_patches"])
        return _nothing(description, f"no question has the flows {', '.join(flows.values())} ({reasons})")
    lines = _Lines(
        names=flows,
        styles=line_styles(flows),
        x=WINDOW,
        y=CHANGE,
        baseline="no change",
    )
    rows = shown.assign(line=shown["flow"], facet=shown["type"])
    return _draw(rows, lines, description, _types(rows, description), _windows(description))


def draw_by_flow(given: Given, shows: Callable[[str], bool]) -> Figure:
    """Draw the change of the answer's probability by window: one facet per flow, one line per type of question.

    Args:
        given: see :func:`draw_changes`.
        shows: tells by a flow's name whether it is shown.
    """
    description, changes = read_flow_description(given.path("description")), given.comparison("flow-changes")
    if changes.empty:
        return draw_unanswered(description)
    flows = [flow for flow in flows_of_cell(description) if shows(flow)]
    shown = changes[changes["flow"].isin(flows)]
    if shown.empty:
        return _nothing(description, f"no question has the flows {', '.join(map(arrow, flows))}")
    return _draw_facets_of_flows(shown, description, flows, CHANGE)


def draw_differences(given: Given) -> Figure:
    """Draw the change of the logit difference by window: one facet per flow, one line per type of question.

    Args:
        given: the differences and the description of one model and set of questions.
    """
    description, changes = read_flow_description(given.path("description")), given.comparison("flow-differences")
    if changes.empty:
        if reasons := "; ".join(description["without_logit_difference"]):
            return _nothing(description, f"no logit difference could be measured ({reasons})")
        return draw_unanswered(description)
    return _draw_facets_of_flows(changes, description, flows_of_cell(description), "change in the\nlogit difference")


def _draw_facets_of_flows(
    changes: pd.DataFrame, description: Mapping[str, Any], flows: Sequence[str], y: str
) -> Figure:
    types = [kind for kind in description["types"] if kind in set(changes["type"])]
    facets = {flow: f"{arrow(flow)} ({_number(changes[changes['flow'] == flow])})" for flow in flows}
    lines = _Lines({kind: kind for kind in types}, line_styles(types), WINDOW, y, "no change")
    rows = changes.rename(columns={"window": "x"}).assign(line=changes["type"], facet=changes["flow"])
    return _draw(rows, lines, description, facets, _windows(description))


def _number(rows: pd.DataFrame) -> str:
    """How many questions some rows are means over."""
    n = int(rows.groupby("type")["n"].max().sum())
    return f"{n} question{'s' * (n != 1)}"


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
        return draw_unanswered(description)
    shown = tracing.rename(columns={"layer": "x"})
    shown["line"] = list(zip(shown["norm"], shown["casing"], strict=True))
    x, y = "layer (0: embedding output)", "probability of the\nanswer's first token"
    rows = shown.assign(facet=shown["type"])
    return _draw(rows, _Lines(lines, tracing_styles(lines), x, y), description, _types(rows, description))


def tracing_styles(lines: Iterable[tuple[bool, str]]) -> dict[tuple[bool, str], LineStyle]:
    """A colour for each way to write the answer; dashed without the final norm. By ``norm`` and ``casing``."""
    lines = list(lines)
    colours = line_styles(dict.fromkeys(casing for _, casing in lines))
    return {
        (norm, casing): LineStyle(colours[casing].colour, colours[casing].marker, "-" if norm else (0, (2, 1.5)))
        for norm, casing in lines
    }


def _types(rows: pd.DataFrame, description: Mapping[str, Any]) -> dict[str, str]:
    """The types of the questions in some rows, each with the title of its facet."""
    types = [kind for kind in description["types"] if kind in set(rows["type"])]
    return {kind: _title(kind, rows[rows["type"] == kind], description["types"][kind]) for kind in types}


def _windows(description: Mapping[str, Any]) -> str:
    width = description["cell"]["window"]
    return f", windows of {width} block{'s' * (width > 1)}"


def _draw(
    rows: pd.DataFrame, lines: _Lines, description: Mapping[str, Any], titles: Mapping[str, str], windows: str = ""
) -> Figure:
    """Draw a facet for each value of ``facet`` in the rows, by their titles."""
    facets = [facet for facet in titles if facet in set(rows["facet"])]
    columns = grid_columns(max(len(facets), 1)) if len(facets) != 6 else 3
    n_rows = ceil(len(facets) / columns)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(max(4.6, columns * FACET_INCHES[0] + 0.6))
    legend = {lines.names[key]: style for key, style in lines.styles.items()}
    legend_rows = draw_legend(drawing, legend, {}, lines.baseline, norm=False)
    drawing.set_figheight(n_rows * FACET_INCHES[1] + 0.6 + 0.18 * legend_rows)
    band = only_band(drawing)
    cell = description["cell"]
    band.suptitle(f"{cell['model']} on {cell['questions']}{windows}", x=0.01, ha="left", fontsize=9, fontweight="bold")
    grid = band.subplots(n_rows, columns, squeeze=False, sharey=True)
    for axes, facet in zip(grid.flat, facets, strict=False):
        of_facet = rows[rows["facet"] == facet]
        axes.set_title(titles[facet])
        if lines.baseline:
            axes.axhline(0, color=CHANCE_COLOUR, linestyle=":", linewidth=1, zorder=1)
        for key, style in lines.styles.items():
            _draw_line(axes, of_facet[of_facet["line"] == key], style, lines.names[key])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    for axes in grid.flat[len(facets) :]:
        axes.remove()
    label_edges(grid, len(facets), lines.y)
    band.supxlabel(lines.x, fontsize=8)
    return drawing


def draw_unanswered(description: Mapping[str, Any]) -> Figure:
    """A figure that says that a model answered nothing."""
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
