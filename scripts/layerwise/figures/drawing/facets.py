"""Figures of many facets: a band of facets per task, a grid of facets, baselines, one legend."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import LineStyleType

from layerwise.compare.inputs import Task
from layerwise.figures.drawing.style import CHANCE_COLOUR, LineStyle, wrap_name

FACET_INCHES = (2.3, 1.75)
MAX_COLUMNS = 4
# More bands than this stand side by side if they are narrow, so that the figure fits on a page.
MAX_STACKED = 4
NAME_WIDTH = 26
# An axis of scores reaches at least this far above the baseline, so that noise at chance looks flat.
LEAST_RANGE = 0.2
# Labels that start with an underscore stay out of legends.
CHANCE = "_chance"
# Share of a facet's height that stays free for the name of the baseline.
LABEL_ROOM = 0.16
# Of the lines at what shortcuts reach.
SHORTCUT_DASH: LineStyleType = (0, (3, 1, 1, 1))
SHORTCUT_WIDTH = 0.7


def lay_out(
    drawing: Figure,
    tasks: Mapping[str, Task],
    blocks: Mapping[str, Sequence[str]],
    legend_rows: int,
    width: float,
    x_label: str,
) -> list[tuple[str, SubFigure, np.ndarray]]:
    """Divide a drawing into a titled band per task, and each band into a grid with a place for every facet.

    Args:
        drawing: of the given width, in inches; its height is set here.
        tasks: descriptions.
        blocks: by task, the names of its facets.
        legend_rows: lines of text of the legend.
        width: inches.
        x_label: of the x axes of all facets.

    Returns:
        Per task its name, its band and its axes, shape (rows, columns); places without a facet are to be removed.
    """
    columns, beside = _columns(blocks), _bands_beside(blocks)
    rows = [ceil(len(facets) / columns) for facets in blocks.values()]
    heights = [max(rows[start : start + beside]) for start in range(0, len(rows), beside)]
    drawing.set_figheight(sum(heights) * FACET_INCHES[1] + 0.35 * len(heights) + 0.45 + 0.16 * legend_rows)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.04, hspace=0.02, wspace=0.03)
    places = drawing.subfigures(len(heights), beside, height_ratios=[n + 0.22 for n in heights], squeeze=False).flat
    found = []
    for i, (band, name) in enumerate(zip(places, blocks, strict=False)):
        title = wrap_name(task_title(tasks[name]), int(width * 10 / beside))
        band.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        found.append((name, band, band.subplots(heights[i // beside], columns, squeeze=False)))
    # On the lowest bands: on the figure it would overlap the legend.
    for _, band, _ in found[-beside:]:
        band.supxlabel(x_label, fontsize=8)
    return found


def lay_out_grid(drawing: Figure, n_facets: int, legend_rows: int) -> tuple[SubFigure, list[Axes]]:
    """One grid for facets that share no axis, such as those of different tasks. It sets the size of the drawing.

    Args:
        drawing: empty, without a size.
        n_facets: how many.
        legend_rows: lines of text of the legend.

    Returns:
        The part of the drawing above the legend, and its axes.
    """
    columns = grid_columns(n_facets)
    rows = ceil(n_facets / columns)
    drawing.set_figheight(rows * (FACET_INCHES[1] + 0.25) + 0.35 + 0.16 * legend_rows)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05, hspace=0.02, wspace=0.03)
    band = only_band(drawing)
    grid = band.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[n_facets:]:
        axes.remove()
    return band, list(grid.flat[:n_facets])


def only_band(drawing: Figure) -> SubFigure:
    """One band that fills a drawing, above its legend."""
    return drawing.subfigures(1, 1, squeeze=False)[0, 0]


def drawing_width(blocks: Mapping[str, Sequence[str]]) -> float:
    """Inches that a row of bands takes."""
    return max(4.2, _columns(blocks) * _bands_beside(blocks) * FACET_INCHES[0] + 0.5)


def _columns(blocks: Mapping[str, Sequence[str]]) -> int:
    """Facets side by side in each band: the fewest that need the fewest rows."""
    rows = {n: sum(ceil(len(facets) / n) for facets in blocks.values()) for n in range(1, MAX_COLUMNS + 1)}
    return min(rows, key=lambda n: (rows[n], n))


def _bands_beside(blocks: Mapping[str, Sequence[str]]) -> int:
    """Bands side by side."""
    return max(1, MAX_COLUMNS // _columns(blocks)) if len(blocks) > MAX_STACKED else 1


def limit_facet(axes: Axes, shown: Iterable[pd.DataFrame], baseline: float) -> None:
    """Make room for all rows (``low``, ``high``), and below them for the name of the dotted line."""
    rows = pd.concat(list(shown))
    low, high = min(rows["low"].min(), baseline), rows["high"].max()
    axes.set_ylim(low - LABEL_ROOM * (high - low), high + 0.06 * (high - low))


def grid_width(n_facets: int) -> float:
    """Inches that a grid of facets with tick labels of their own takes."""
    return max(5.2, grid_columns(n_facets) * (FACET_INCHES[0] + 0.2) + 0.3)


def grid_columns(n_facets: int) -> int:
    """Wrap many facets into rows of equal length: six become two rows of three, not four and two."""
    return ceil(n_facets / ceil(n_facets / MAX_COLUMNS))


def task_title(task: Task) -> str:
    """A task with its question and, if it has several labels, their number."""
    labels = f", mean over {len(task.labels)} labels" if task.headline_label == "macro" else ""
    return f"{task.task} ({task.question} question{labels})"


def draw_baseline(axes: Axes, values: Iterable[float], name: str, above: bool = False) -> None:
    """A dotted line with its value. Cells that were scored on different items have different baselines.

    The name is at the lower edge of the facet, or at the upper edge (``above``) where low values are good. The caller
    keeps LABEL_ROOM of the axis free there, so that no marker covers the name.
    """
    distinct = sorted({round(value, 6) for value in values})
    for value in distinct:
        axes.axhline(value, color=CHANCE_COLOUR, linestyle=":", linewidth=1, label=CHANCE, zorder=1)
    axes.annotate(
        f"{name} {', '.join(f'{value:.2f}' for value in distinct)}",
        (1, 1 if above else 0),
        xycoords="axes fraction",
        xytext=(-2, -2 if above else 2),
        textcoords="offset points",
        ha="right",
        va="top" if above else "bottom",
        fontsize=6.5,
        color=CHANCE_COLOUR,
    )


def label_edges(grid: np.ndarray, n_facets: int, y_label: str) -> None:
    """Keep tick labels on the outer facets only. The lowest facet of a column may be above an empty place."""
    n_columns = grid.shape[1]
    for i, axes in enumerate(grid.flat[:n_facets]):
        axes.tick_params(labelleft=i % n_columns == 0, labelbottom=i + n_columns >= n_facets)
        if i % n_columns == 0:
            axes.set_ylabel(y_label)


def draw_legend(
    drawing: Figure,
    styles: Mapping[str, LineStyle],
    notes: Mapping[str, str],
    baseline: str | None,
    norm: bool = True,
    wider: bool = False,
    shortcuts: bool = False,
) -> int:
    """Put the legend below the facets, as wide as the figure allows. Returns its number of lines of text.

    ``notes`` says what the legend adds to names, such as those of models with random weights.
    """
    handles: list = []
    labels: list[str] = []
    for name, style in styles.items():
        handles.append(
            Line2D([], [], color=style.colour, linestyle=style.dash, linewidth=style.width, marker=style.marker)
        )
        labels.append(wrap_name(f"{name} ({notes[name]})" if name in notes else name, 40))
    band = (Patch(facecolor="#888888", alpha=0.25), Line2D([], [], color="#888888"))
    handles.append(band)
    labels.append("95 % interval")
    if wider:
        handles.append(Patch(facecolor="#888888", alpha=0.18))
        labels.append("with training redrawn")
    if norm:
        handles.append(Line2D([], [], color="#888888", marker="o", markerfacecolor="white", linestyle="none"))
        labels.append("final norm")
    if baseline:
        handles.append(Line2D([], [], color=CHANCE_COLOUR, linestyle=":", linewidth=1))
        labels.append(baseline)
    if shortcuts:
        handles.append(Line2D([], [], color=CHANCE_COLOUR, linestyle=SHORTCUT_DASH, linewidth=SHORTCUT_WIDTH))
        labels.append("shortcut")
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
