"""Concepts erased and steered: effects by block, between tasks, and what probes read above."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from layerwise.errors import InputError
from layerwise.figures.drawing.facets import NAME_WIDTH, grid_width, lay_out_grid
from layerwise.figures.drawing.style import CHANCE_COLOUR, DASHES, PALETTE, LineStyle, wrap_name

OWN = LineStyle(PALETTE[0], "o", "-", 1.8)
TWIN = LineStyle("#000000", "", ":", 1.2)
CONTROL_COLOUR = "#8A8A8A"
# For other concepts: without the blue of the own one and the black of the twin.
COLOURS = len(PALETTE) - 2
X_LABEL = "block whose output is changed"
# Shares of margins, and how they are drawn.
PARTS = {
    "completeness": LineStyle(PALETTE[1], "s", "-"),
    "selectivity": LineStyle(PALETTE[2], "^", (0, (4, 2))),
    "product": LineStyle(PALETTE[0], "o", "-", 2.0),
}
SHARES = "Blues"
FOUND = "cividis"
EMPTY = "#EDEDED"
# In deeper models marks are smaller, and cells of a map hold no numbers.
MOST_NUMBERED = 12


def draw_erased(used: pd.DataFrame, across: pd.DataFrame, model: str) -> Figure:
    """Draw the effect of erasing by block: one facet per task and prompt of a model.

    Args:
        used, across: see :mod:`layerwise.compare.used` and :mod:`layerwise.compare.used_across`.
        model: its name.

    Raises:
        InputError: nothing was erased in the model.
    """
    erased = used[used["change"] == "erase"]
    rows = _of_model(erased, model)
    foreign = across[(across["model"] == model) & ~across["own"]]
    others = {
        str(name): LineStyle(PALETTE[1 + place % COLOURS], "", DASHES[place // COLOURS % len(DASHES)], 0.9)
        for place, name in enumerate(foreign["of"].unique())
    }
    twins = set(" ".join(rows["twins"].unique()).split())
    handles = {
        "own concept, with 95 % interval": (_band(OWN.colour), _line(OWN)),
        "used here": Line2D([], [], color=OWN.colour, marker="o", linestyle="none", markersize=6),
        "random directions: mean, least to greatest": (_band(CONTROL_COLOUR), Line2D([], [], color=CONTROL_COLOUR)),
    }
    handles |= {f"concept of {name}": _line(style) for name, style in others.items()}
    handles |= {"own concept, in the untrained twin": _line(TWIN)} if twins else {}
    drawing, facets = _facets(rows, handles, X_LABEL)
    for axes, (task, prompt), of_cell in facets:
        of_cell = of_cell.sort_values("block")
        x = of_cell["block"]
        axes.fill_between(
            x, of_cell["control_least"], of_cell["control_greatest"], color=CONTROL_COLOUR, alpha=0.3, lw=0
        )
        axes.plot(x, of_cell["control"], color=CONTROL_COLOUR, linewidth=1, label="_control")
        here = foreign[(foreign["task"] == task) & (foreign["prompt"] == prompt)]
        for name, of_other in here.groupby("of", sort=False):
            by_block = of_other.sort_values("block")
            style = others[str(name)]
            axes.plot(
                by_block["block"], by_block["effect"], color=style.colour, linewidth=style.width, label=f"_{name}"
            )
        for twin in sorted(twins):
            of_twin = erased[(erased["model"] == twin) & (erased["task"] == task) & (erased["prompt"] == prompt)]
            by_block = of_twin.sort_values("block")
            axes.plot(
                by_block["block"], by_block["effect"], color=TWIN.colour, linestyle=":", linewidth=1.2, label="_twin"
            )
        axes.fill_between(x, of_cell["effect_low"], of_cell["effect_high"], color=OWN.colour, alpha=0.2, lw=0)
        axes.plot(x, of_cell["effect"], color=OWN.colour, linewidth=OWN.width, label="_own", zorder=4)
        _mark(axes, x, of_cell["effect"], of_cell["used"], OWN)
        axes.axhline(0, color=CHANCE_COLOUR, linewidth=0.8, zorder=1)
        _draw_all_of_it(axes, of_cell)
        axes.set_ylabel("fall of the right answer's\nmargin (log odds)", fontsize=7)
    return drawing


def draw_steered(used: pd.DataFrame, model: str) -> Figure:
    """Draw how far steering moves the margin of the second class, by block: a line per strength.

    Only tasks of two classes are steered. Without any, the figure says so.

    Args:
        used: see :mod:`layerwise.compare.used`.
        model: its name.

    Raises:
        InputError: nothing was changed in the model.
    """
    rows = _of_model(used, model)
    rows = rows[rows["change"] == "steer"]
    if rows.empty:
        drawing = Figure(layout="constrained", figsize=(4.6, 1.0))
        text = f"{model}: nothing was steered, because no task has two classes"
        drawing.text(0.02, 0.5, wrap_name(text, 70), va="center")
        return drawing
    styles = _strength_styles(sorted(rows["strength"].unique()))
    most = max(styles, key=abs)
    handles: dict[str, Any] = {signed(strength): _line(style) for strength, style in styles.items()}
    handles |= {"followed here": Line2D([], [], color="#444444", marker="o", linestyle="none", markersize=6)}
    handles |= {f"random directions at ±{abs(most):g}": _band(CONTROL_COLOUR), "95 % interval": _band("#B0A0C8")}
    drawing, facets = _facets(rows, handles, X_LABEL)
    for axes, _, of_cell in facets:
        for strength, style in styles.items():
            line = of_cell[of_cell["strength"] == strength].sort_values("block")
            sign, x = np.sign(strength), line["block"]
            if abs(strength) == abs(most):
                ends = sign * line["control_least"], sign * line["control_greatest"]
                axes.fill_between(x, *ends, color=CONTROL_COLOUR, alpha=0.25, lw=0)
            axes.fill_between(
                x, sign * line["effect_low"], sign * line["effect_high"], color=style.colour, alpha=0.2, lw=0
            )
            axes.plot(
                x, sign * line["effect"], color=style.colour, linewidth=style.width, label=f"_{strength:g}", zorder=4
            )
            _mark(axes, x, sign * line["effect"], line["used"], style)
        axes.axhline(0, color=CHANCE_COLOUR, linewidth=0.8, zorder=1)
        axes.set_ylabel("margin of the second class\nmoved by (log odds)", fontsize=7)
    return drawing


def draw_shares(used: pd.DataFrame, model: str) -> Figure:
    """Draw completeness and selectivity of erasing and their product by block.

    Args:
        used: see :mod:`layerwise.compare.used`.
        model: its name.

    Raises:
        InputError: nothing was erased in the model.
    """
    rows = _of_model(used[used["change"] == "erase"], model)
    drawing, facets = _facets(rows, {name: _line(style) for name, style in PARTS.items()}, X_LABEL)
    for axes, _, of_cell in facets:
        by_block = of_cell.sort_values("block")
        for name, style in PARTS.items():
            axes.plot(
                by_block["block"],
                by_block[name],
                color=style.colour,
                marker=style.marker,
                linestyle=style.dash,
                linewidth=style.width,
                label=f"_{name}",
            )
        axes.set_ylim(-0.04, 1.04)
        axes.set_ylabel("share", fontsize=7)
        if by_block["completeness"].isna().all():
            _note(axes, "the model does not answer")
    return drawing


def draw_across(used: pd.DataFrame, across: pd.DataFrame) -> Figure:
    """Draw which task's answer each erased concept takes: a map per trained model, concepts down, tasks across.

    A row is of the block in which erasing takes most of the concept's own answer beyond random directions.

    Args:
        used, across: see :mod:`layerwise.compare.used` and :mod:`layerwise.compare.used_across`.
    """
    twins = " ".join(used["twins"].unique()).split()
    models = [str(model) for model in across["model"].unique() if model not in twins]
    peaks = used[used["peak"]]
    blocks = {
        (row.model, f"{row.task}/{row.prompt}"): int(row.block) for row in peaks.itertuples() if row.model in models
    }
    tables = {model: across[across["model"] == model] for model in models}
    concepts = {model: [of for name, of in blocks if name == model] for model in models}
    cells = {
        model: list(rows[["task", "prompt"]].drop_duplicates().itertuples(index=False, name=None))
        for model, rows in tables.items()
    }
    wide, high = max(map(len, cells.values())), max(map(len, concepts.values()))
    beside = min(len(models), 3)
    down = -(-len(models) // beside)
    drawing = Figure(layout="constrained")
    drawing.set_size_inches(max(4.2, beside * (1.9 + 0.62 * wide)), down * (1.5 + 0.4 * high) + 0.3)
    grid = drawing.subplots(down, beside, squeeze=False)
    scale = Normalize(0, 1)
    for axes, model in zip(grid.flat, models, strict=False):
        _draw_map(axes, tables[model], {of: blocks[model, of] for of in concepts[model]}, cells[model], scale)
        axes.set_title(wrap_name(model, NAME_WIDTH), fontweight="bold")
    for axes in grid.flat[len(models) :]:
        axes.remove()
    drawing.supxlabel("task that is answered", fontsize=8)
    drawing.supylabel("concept that is erased (block)", fontsize=8)
    bar = drawing.colorbar(ScalarMappable(scale, SHARES), ax=list(grid.flat[: len(models)]), aspect=20, pad=0.02)
    bar.set_ticks([0, 0.5, 1], labels=["nothing", "half", "all"])
    bar.set_label("share of the margin taken", fontsize=7)
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    return drawing


def draw_above(above: pd.DataFrame, model: str) -> Figure:
    """Draw what kept probes still find above each erased block: a map per task and prompt.

    Args:
        above: see :mod:`layerwise.compare.used_above`.
        model: its name.

    Raises:
        InputError: nothing was erased in the model.
    """
    rows = _of_model(above, model)
    grey = Patch(facecolor=EMPTY, edgecolor="#8A8A8A", linewidth=0.5)
    handles = {"probe at chance in the unchanged run": grey} if (rows["free_low"] <= rows["chance"]).any() else {}
    drawing, facets = _facets(rows, handles, "block that is read")
    scale, n_layers = Normalize(0, 1), int(rows["n_layers"].max())
    edge = 0.4 if n_layers <= MOST_NUMBERED else 0.0
    found = []
    for axes, _, of_cell in facets:
        found.append(axes)
        for row in of_cell.itertuples():
            # Below the interval's end a probe is not above chance, and a share of what it finds says nothing.
            known = row.free_low > row.chance
            share = float(np.clip((row.erased - row.chance) / (row.free - row.chance), 0, 1)) if known else np.nan
            colour = colormaps[FOUND](scale(share)) if known else EMPTY
            place = (row.above - 0.5, row.block - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, edgecolor="white", linewidth=edge))
            if n_layers <= MOST_NUMBERED and known:
                ink = "#222222" if share > 0.55 else "white"
                axes.annotate(
                    *(f"{100 * row.erased:.0f}", (row.above, row.block)),
                    ha="center",
                    va="center",
                    fontsize=6,
                    color=ink,
                )
        axes.set_xlim(0.5, n_layers + 0.5)
        axes.set_ylim(0.5, n_layers + 0.5)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        axes.grid(visible=False)
        axes.set_ylabel("block where the\nconcept is erased", fontsize=7)
    band = found[0].figure
    bar = band.colorbar(ScalarMappable(scale, FOUND), ax=found, aspect=20, pad=0.01)
    bar.set_ticks([0, 0.5, 1], labels=["nothing", "half", "all"])
    bar.set_label("still found", fontsize=7)
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    return drawing


def _draw_map(
    axes: Axes, rows: pd.DataFrame, concepts: Mapping[str, int], cells: Sequence[tuple[str, str]], scale: Normalize
) -> None:
    labels = []
    for y, (concept, block) in enumerate(concepts.items()):
        of_concept = rows[rows["of"] == concept]
        labels.append(f"{wrap_name(concept.replace('/', ': '), 20)} ({block})")
        at = of_concept[of_concept["block"] == block].set_index(["task", "prompt"])
        for x, cell in enumerate(cells):
            if cell not in at.index:
                continue
            share = float(at.loc[cell, "completeness"])
            colour = EMPTY if np.isnan(share) else colormaps[SHARES](scale(share))
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.6))
            if bool(at.loc[cell, "own"]):
                axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, linewidth=1.2, zorder=4))
            said = "–" if np.isnan(share) else f"{100 * share:.0f}"
            ink = "white" if share > 0.55 else "#222222"
            axes.annotate(*(said, (x, y)), ha="center", va="center", fontsize=7, color=ink, zorder=5)
    axes.set_xlim(-0.5, len(cells) - 0.5)
    axes.set_ylim(len(concepts) - 0.5, -0.5)
    axes.set_xticks(range(len(cells)), [wrap_name(f"{task}: {prompt}", 12) for task, prompt in cells], fontsize=6.5)
    axes.set_yticks(range(len(concepts)), labels, fontsize=6.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _facets(
    rows: pd.DataFrame, handles: Mapping[str, Any], x_label: str
) -> tuple[Figure, list[tuple[Axes, tuple[str, str], pd.DataFrame]]]:
    """A grid with a facet for each task and prompt, and a legend below it."""
    cells = [(keys, of_cell) for keys, of_cell in rows.groupby(["task", "prompt"], sort=False)]
    drawing = Figure(layout="constrained")
    width = grid_width(len(cells))
    drawing.set_figwidth(width)
    columns = max(1, int(width / (0.065 * max(map(len, handles), default=0) + 0.6)))
    columns = min(max(len(handles), 1), columns)
    if handles:
        drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False)
    band, grid = lay_out_grid(drawing, len(cells), -(-len(handles) // columns))
    for axes, ((task, prompt), of_cell) in zip(grid, cells, strict=True):
        axes.set_title(wrap_name(f"{task}: {prompt}", NAME_WIDTH))
        axes.set_xlim(0.6, int(of_cell["n_layers"].max()) + 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    band.supxlabel(x_label, fontsize=8)
    return drawing, [(axes, keys, of_cell) for axes, (keys, of_cell) in zip(grid, cells, strict=True)]


def _of_model(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    found = rows[rows["model"] == model]
    if found.empty:
        raise InputError(f"no concept was changed in model {model!r} in this way; see `used` in the study file")
    return found


def _mark(axes: Axes, x: pd.Series, y: pd.Series, used: pd.Series, style: LineStyle) -> None:
    """Filled marks where the verdict holds, open ones elsewhere."""
    size = 1.0 if len(x) <= MOST_NUMBERED else 0.65
    for holds in (False, True):
        at = used.to_numpy(bool) == holds
        axes.plot(
            x[at],
            y[at],
            style.marker,
            markersize=size * (5.5 if holds else 3.5),
            markeredgewidth=size,
            markeredgecolor=style.colour,
            markerfacecolor=style.colour if holds else "white",
            linestyle="none",
            label="_used" if holds else "_not used",
            zorder=5,
        )


def _draw_all_of_it(axes: Axes, rows: pd.DataFrame) -> None:
    """A dashed line at the free margin: an effect as great takes all of it."""
    if not bool(rows["answers"].iloc[0]):
        _note(axes, "the model does not answer")
        return
    free = float(rows["free"].iloc[0])
    axes.axhline(free, color=CHANCE_COLOUR, linestyle=(0, (1, 2)), linewidth=1, zorder=1)
    axes.annotate(
        # On the left, because effects grow with the block.
        *(f"all of the margin: {free:.2f}", (0, free)),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=6.5,
        color=CHANCE_COLOUR,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        zorder=6,
    )
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, free + 0.14 * (max(high, free) - low)))


def _note(axes: Axes, text: str) -> None:
    axes.annotate(text, (0.5, 0.94), xycoords="axes fraction", ha="center", va="top", fontsize=6.5, color=CHANCE_COLOUR)


def _strength_styles(strengths: Sequence[float]) -> dict[float, LineStyle]:
    """From orange for the most negative strength to purple for the most positive, in shades that differ in grey."""
    most, styles = max(map(abs, strengths)), {}
    for place, strength in enumerate(strengths):
        shade = 0.5 + np.sign(strength) * (0.2 + 0.25 * abs(strength) / most)
        styles[strength] = LineStyle(to_hex(colormaps["PuOr"](shade)), "osD^vP"[place % 6], "-")
    return styles


def signed(strength: float) -> str:
    return f"steered by {strength:+g} SD".replace("-", "−")


def _line(style: LineStyle) -> Line2D:
    return Line2D(
        [], [], color=style.colour, linestyle=style.dash, linewidth=style.width, marker=style.marker, markersize=4
    )


def _band(colour: str) -> Patch:
    return Patch(facecolor=colour, alpha=0.3)
