"""Figures of information flow: what blocked attention does to the answer, and in which layer the answer appears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.figures.facets import CHANCE_COLOUR, draw_legend, grid_columns, label_edges
from layerwise.figures.flow_means import lowest, means
from layerwise.figures.style import LineStyle, line_styles, wrap_name

FACET_INCHES = (2.5, 1.9)


@dataclass(frozen=True)
class FlowFigure:
    """What a figure shows.

    Attributes:
        lines: by their key in the tables, their names.
        x, y: axis labels.
        baseline: what the dotted line at 0 means; None without one.
        traced: whether it shows layers' probabilities rather than blocked windows.
    """

    lines: Mapping[object, str]
    x: str
    y: str
    baseline: str | None
    traced: bool = False


def arrow(flow: str) -> str:
    return flow.replace("->", " \N{RIGHTWARDS ARROW} ")


CHANGE = "change in the answer's\nprobability (%)"
CENTRE = "block at the centre of the window in which attention is blocked"
FIGURES = {
    "knockout": FlowFigure(
        {name: arrow(name) for name in ("question->last", "image->last", "image->question", "last->last")},
        CENTRE,
        CHANGE,
        "no change",
    ),
    "objects": FlowFigure(
        {
            "object->question": "patches of the object \N{RIGHTWARDS ARROW} question",
            "other->question": "other patches \N{RIGHTWARDS ARROW} question",
        },
        CENTRE,
        CHANGE,
        "no change",
    ),
    "tracing": FlowFigure(
        {
            (True, "lower"): "lower case",
            (True, "capitalised"): "capitalised",
            (False, "lower"): "lower case, without final norm",
            (False, "capitalised"): "capitalised, without final norm",
        },
        "layer (0: embedding output)",
        "probability of the\nanswer's first token",
        None,
        traced=True,
    ),
}


def draw_flow(
    figure: str,
    changes: pd.DataFrame,
    tracing: pd.DataFrame,
    description: Mapping[str, Mapping],
    resamples: int,
    seed: int,
) -> Figure:
    """Draw one of ``FIGURES``: one facet per type of question, all on the same axes.

    A band is the 95 % interval over images at each place.

    Args:
        figure: a key of ``FIGURES``.
        changes, tracing: see :mod:`layerwise.flow.results`.
        description: of the cell; it names the types in order, and how many questions were kept.
        resamples, seed: of the bootstrap.

    Returns:
        The drawing; where there is nothing to show, no more than the reason.
    """
    spec = FIGURES[figure]
    if tracing.empty:
        return _nothing(description, "it answered no question rightly, and nothing was measured")
    if spec.traced:
        found = means(tracing, ["norm", "casing"], "layer", "p", resamples, seed).rename(columns={"layer": "x"})
        found["line"] = list(zip(found["norm"], found["casing"], strict=True))
    else:
        wanted = changes[changes["flow"].isin(spec.lines)]
        if wanted.empty:
            reasons = "; ".join(description["without_object_patches"])
            return _nothing(description, f"no question has the flows {', '.join(spec.lines.values())} ({reasons})")
        found = means(wanted, ["flow"], "window", "change", resamples, seed).rename(columns={"window": "x"})
        found["line"] = found["flow"]
    types = [kind for kind in description["types"] if kind in set(found["type"])]
    styles = _styles(spec)
    columns = grid_columns(max(len(types), 1)) if len(types) != 6 else 3
    rows = ceil(len(types) / columns)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(max(4.6, columns * FACET_INCHES[0] + 0.6))
    legend = {spec.lines[key]: style for key, style in styles.items()}
    legend_rows = draw_legend(drawing, legend, (), spec.baseline, norm=False)
    drawing.set_figheight(rows * FACET_INCHES[1] + 0.6 + 0.18 * legend_rows)
    cell = description["cell"]
    blocks = f"{cell['window']} block{'s' * (cell['window'] > 1)}"
    window = "" if spec.traced else f", windows of {blocks}"
    band = drawing.subfigures(1, 1)
    band.suptitle(f"{cell['model']} on {cell['questions']}{window}", x=0.01, ha="left", fontsize=9, fontweight="bold")
    grid = band.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, kind in zip(grid.flat, types, strict=False):
        of_kind = found[found["type"] == kind]
        axes.set_title(_title(kind, of_kind, description["types"][kind]))
        if spec.baseline:
            axes.axhline(0, color=CHANCE_COLOUR, linestyle=":", linewidth=1, zorder=1)
        for key, style in styles.items():
            _draw_line(axes, of_kind[of_kind["line"] == key], style, spec.lines[key])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    for axes in grid.flat[len(types) :]:
        axes.remove()
    label_edges(grid, len(types), spec.y)
    band.supxlabel(spec.x, fontsize=8)
    return drawing


def _nothing(description: Mapping[str, Mapping], reason: str) -> Figure:
    """What stands in place of a figure with nothing to show."""
    drawing = Figure(layout="constrained", figsize=(4.6, 1.2))
    cell = description["cell"]
    text = f"{cell['model']} on {cell['questions']}: {reason}"
    drawing.text(0.02, 0.5, wrap_name(text, 70), va="center")
    return drawing


def _styles(spec: FlowFigure) -> dict[object, LineStyle]:
    """A colour and a marker per line; of what is shown without the final norm, the same colours, dashed."""
    if not spec.traced:
        return line_styles(spec.lines)
    colours = line_styles(dict.fromkeys(casing for _, casing in spec.lines))
    return {
        (norm, casing): LineStyle(colours[casing].colour, colours[casing].marker, "-" if norm else (0, (2, 1.5)))
        for norm, casing in spec.lines
    }


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


def strongest_windows(
    cells: Sequence[tuple[pd.DataFrame, Mapping[str, Mapping]]], flows: Sequence[str], resamples: int, seed: int
) -> pd.DataFrame:
    """Per cell, type and flow the window in which blocking lowers the answer's probability most.

    Args:
        cells: blocked runs and description of each model and set of questions.
        flows: in the order of the rows.
        resamples, seed: of the bootstrap.

    Returns:
        ``model``, ``questions``, ``type``, ``flow``, ``window`` (its centre), ``n_layers``, ``change`` with ``low`` and
        ``high`` (95 %, picking the window allowed for; NaN where no interval can be trusted), ``n`` questions and
        ``n_images``.
    """
    columns = ["model", "questions", "type", "flow", "window", "n_layers", "change", "low", "high", "n", "n_images"]
    parts = [pd.DataFrame(columns=columns)]
    for changes, description in cells:
        if changes.empty:
            continue
        strongest = lowest(changes, ["flow"], "window", "change", resamples, seed).rename(columns={"mean": "change"})
        cell = description["cell"]
        strongest.insert(0, "model", cell["model"])
        strongest.insert(1, "questions", cell["questions"])
        strongest["n_layers"] = int(changes["n_layers"].iloc[0])
        order = {"type": list(description["types"]), "flow": list(flows)}
        parts.append(strongest.sort_values(["type", "flow"], key=lambda column: column.map(order[column.name].index)))
    # Pandas takes a table without rows for one of no types.
    return pd.concat(parts[1:] or parts, ignore_index=True)[columns]
