"""Maps of what blocking single heads does to the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Given
from layerwise.figures.drawing.facets import only_band
from layerwise.figures.drawing.flow import draw_unanswered, draw_undiffering
from layerwise.figures.names import arrow
from layerwise.figures.writing.sections import number
from layerwise.flow.head_results import ALL
from layerwise.flow.results import read_flow_description

# Blue where the answer becomes less probable, red where it becomes more so.
COLOURS = "RdBu_r"
# A map of no more heads shows its numbers.
MOST_NUMBERS = 96
# Of a map, in inches: per head, per block, and at least.
PER_HEAD, PER_BLOCK, LEAST = 0.16, 0.13, (3.1, 1.7)


@dataclass(frozen=True)
class _Map:
    """What a map shows: the comparisons of all heads and of the strongest, what colours are, and a value's unit."""

    heads: str
    strongest: str
    colours: str
    unit: str
    digits: str


CHANGES = _Map("flow-heads", "flow-strongest-heads", "change of the answer's probability, %", " %", ".1f")
DIFFERENCES = _Map(
    "flow-head-differences", "flow-strongest-head-differences", "change of the logit difference", "", ".2f"
)


def draw_heads(given: Given) -> Figure:
    """Draw a map per flow, block by head: the mean change of the answer's probability, in percent.

    The strongest head has a frame, and its change stands above the map.

    Args:
        given: the changes, the strongest heads and the description of one model and set of questions.

    Returns:
        The drawing. Where there is nothing to show it gives only the reason.
    """
    description = read_flow_description(given.path("description"))
    if given.comparison(CHANGES.heads).empty:
        return draw_unanswered(description)
    return _draw_maps(given, CHANGES, description)


def draw_head_differences(given: Given) -> Figure:
    """Draw the same of the logit difference between the answer and its distractor.

    Args:
        given: the changes, the strongest heads and the description of one model and set of questions.
    """
    description = read_flow_description(given.path("description"))
    if given.comparison(DIFFERENCES.heads).empty:
        return draw_undiffering(description)
    return _draw_maps(given, DIFFERENCES, description)


def _draw_maps(given: Given, shown: _Map, description: Mapping[str, Any]) -> Figure:
    heads, strongest = given.comparison(shown.heads), given.comparison(shown.strongest)
    kind = ALL if ALL in set(heads["type"]) else heads["type"].iloc[0]
    heads = heads[(heads["type"] == kind) & (heads["layer"] > 0)]
    strongest = strongest[strongest["type"] == kind].set_index("flow")
    flows = list(dict.fromkeys(heads["flow"]))
    columns = min(len(flows), 3)
    rows = -(-len(flows) // columns)
    drawing = Figure(layout="constrained")
    wide, high = (max(least, 0.7 + n) for least, n in zip(LEAST, _inches(heads), strict=True))
    drawing.set_size_inches(max(4.6, columns * wide + 0.2), rows * (high + 0.5) + 0.9)
    band = only_band(drawing)
    band.suptitle(_title(description, kind, heads), x=0.01, ha="left", fontsize=9, fontweight="bold")
    grid = band.subplots(rows, columns, squeeze=False)
    for axes, flow in zip(grid.flat, flows, strict=False):
        of_flow = heads[heads["flow"] == flow]
        # Flows differ by far more than heads: on one scale the weaker map would be white.
        largest = float(of_flow["mean"].abs().max()) or 1.0
        scale = Normalize(-largest, largest)
        _draw_map(axes, of_flow, strongest.loc[flow], scale, shown.digits)
        free = f" (unblocked: {number(of_flow['free'].iloc[0], '.2f')})" if "free" in of_flow else ""
        axes.set_title(f"{arrow(flow)}{free}\n{_strongest(strongest.loc[flow], shown)}", fontsize=7.5)
        bar = band.colorbar(ScalarMappable(scale, COLOURS), ax=axes, aspect=25, pad=0.02)
        bar.ax.tick_params(labelsize=6.5)
        bar.outline.set_visible(False)
    for axes in grid.flat[len(flows) :]:
        axes.remove()
    band.supxlabel(f"attention head that is blocked   (colours: {shown.colours})", fontsize=8)
    return drawing


def _inches(heads: pd.DataFrame) -> tuple[float, float]:
    return PER_HEAD * int(heads["head"].max()), PER_BLOCK * int(heads["layer"].max())


def _title(description: Mapping[str, Any], kind: str, heads: pd.DataFrame) -> str:
    cell, n = description["cell"], int(heads["n"].max())
    return f"{cell['model']} on {cell['questions']}, one head blocked ({kind}: {n} question{'s' * (n != 1)})"


def _strongest(row: pd.Series, shown: _Map) -> str:
    """The strongest head in words."""
    change, low, high = (number(row[name], shown.digits) for name in ("change", "low", "high"))
    name = f"strongest: block {row['layer']}, head {row['head']}: {change}{shown.unit}"
    if np.isfinite(row["low"]):
        return f"{name} [{low}, {high}]"
    return f"{name} (no interval)"


def _draw_map(axes: Axes, rows: pd.DataFrame, strongest: pd.Series, scale: Normalize, digits: str) -> None:
    values = rows.pivot(index="layer", columns="head", values="mean")
    extent = (0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5)
    axes.imshow(values, origin="lower", extent=extent, aspect="auto", cmap=COLOURS, norm=scale)
    axes.grid(visible=False)
    axes.set_ylabel("block")
    for row in rows.itertuples() if len(rows) <= MOST_NUMBERS else ():
        light = np.mean(colormaps[COLOURS](scale(row.mean))[:3]) > 0.5
        text = number(row.mean, digits)
        axes.annotate(
            text, (row.head, row.layer), ha="center", va="center", fontsize=6, color="#222222" if light else "white"
        )
    corner = (strongest["head"] - 0.5, strongest["layer"] - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.2, clip_on=False))
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(nbins=8, integer=True))
