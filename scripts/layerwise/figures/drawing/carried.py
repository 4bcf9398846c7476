"""Probes carried to other prompts, tasks and versions of a model: maps of source by target, and losses by layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Model, Task
from layerwise.compare.rows import headline_scores
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import LABEL_ROOM, NAME_WIDTH, draw_legend, grid_columns, grid_width, lay_out_grid
from layerwise.figures.drawing.layers import AXES
from layerwise.figures.drawing.style import line_styles, wrap_name
from layerwise.figures.names import metric_name

COLOURS = "RdBu"
CENTRES = {"source": "as fitted", "own": "re-centred"}
CELL_INCHES = (0.36, 0.27)
# A map with more columns has two panels in a row rather than four.
MANY = 9
OTHER_LABELS, OWN = "other labels", "own probe"
Target = tuple[str, str, str]


@dataclass(frozen=True)
class _Map:
    """What is shown together: the targets are columns, and rows are named by what the probes were fitted on.

    ``columns`` are model, task and prompt by name, ``rows`` the names of sources. The own probe of a target is in the
    row of the column's name, or in the row OWN.
    """

    title: str
    columns: dict[str, Target]
    rows: list[str]


def draw_matrix(
    carried: pd.DataFrame,
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    model: str,
) -> Figure:
    """Draw maps of test scores: sources by targets, at the target's best layer and its topmost block, and both centres.

    The own probe of a target is framed. Numbers are scores times 100; the colour is the place between chance (white)
    and all right (blue), or all wrong (red).

    Args:
        carried: see :mod:`layerwise.compare.carried`.
        scores: of all models, each draw of random weights by itself, for the own probes.
        tasks: task descriptions.
        models: model descriptions.
        model: name of a model without intervention; the map shows its states, and its versions that its probes read.

    Raises:
        InputError: Nothing is carried to or from the model.
    """
    carried = of_metric(carried, tasks)
    carried = carried.assign(row=row_names(carried), column=carried["task"] + ": " + carried["prompt"])
    maps = _maps(carried, tasks, models, model)
    if not maps:
        raise InputError(f"no kept probe is carried to or from {model}; leave the figure out, or set `carry`")
    own = _own_scores(scores, tasks)
    panels = [(at, centre) for at in ("best layer", "topmost block") for centre in CENTRES]
    across = 2 if max(len(each.columns) for each in maps) > MANY else 4
    down = ceil(len(panels) / across)
    heights = [down * (CELL_INCHES[1] * len(each.rows) + 1.0) + 0.3 for each in maps]
    left = 0.075 * min(30, max(len(row) for each in maps for row in each.rows)) + 0.2
    drawing = Figure(layout="constrained")
    width = across * max(1.6, max(CELL_INCHES[0] * len(each.columns) for each in maps)) + left + 0.9
    drawing.set_size_inches(width, sum(heights) + 0.35)
    drawing.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04, hspace=0.02, wspace=0.02)
    bands = drawing.subfigures(len(maps), 1, height_ratios=heights, squeeze=False)[:, 0]
    scale = Normalize(-1, 1)
    for band, each in zip(bands, maps, strict=True):
        band.suptitle(each.title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        grid = band.subplots(down, across, squeeze=False)
        for place, (axes, (at, centre)) in enumerate(zip(grid.flat, panels, strict=True)):
            axes.set_title(f"{at}, {CENTRES[centre]}", fontsize=7.5)
            _draw_map(axes, each, carried, centre, own, at, scale, named=place % across == 0)
    metrics = ", ".join(dict.fromkeys(metric_name(task.metric) for task in tasks.values()))
    _draw_bar(bands[-1], scale)
    drawing.supxlabel(
        f"states that are read, with their layer   (numbers: test {metrics} × 100;  framed: own probe)", fontsize=8
    )
    drawing.supylabel("probe fitted on", fontsize=8)
    return drawing


def draw_losses(carried: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model], model: str) -> Figure:
    """Draw what carried probes lose against the own probe, by layer: a facet for each target, a line for each source.

    Bands are 95 % intervals of re-centred probes; the thin line of the same colour is the probe as it was fitted.

    Args:
        carried: see :mod:`layerwise.compare.carried`.
        tasks: task descriptions.
        models: model descriptions.
        model: whose states are read; where they are read by none, those of its versions.

    Raises:
        InputError: Nothing is carried to or from the model.
    """
    rows = of_metric(carried, tasks)
    rows = rows[~rows["flipped"] & rows["layer"].between(0, rows["n_layers"])]
    of_model = rows[rows["model"] == model]
    if of_model.empty:
        of_model = rows[rows["source_model"] == model]
    if of_model.empty:
        raise InputError(f"no kept probe is carried to or from {model}; leave the figure out, or set `carry`")
    of_model = of_model.assign(row=row_names(of_model))
    targets = list(dict.fromkeys(zip(of_model["model"], of_model["task"], of_model["prompt"], strict=True)))
    styles = line_styles(list(of_model["row"].unique()), [f"{name} (same prompt)" for name in _random(models)])
    styles = {name: replace(style, marker="none") for name, style in styles.items()}
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(targets)))
    band, grid = lay_out_grid(drawing, len(targets), draw_legend(drawing, styles, {}, None, norm=False) + 1)
    for axes, target in zip(grid, targets, strict=True):
        _draw_loss(axes, of_model, target, styles, tasks[target[1]], model)
    low = min(axes.get_ylim()[0] for axes in grid)
    # Room for the note at the upper edge.
    high = max(axes.get_ylim()[1] for axes in grid)
    high += LABEL_ROOM * (high - low)
    for axes in grid:
        axes.set_ylim(low, high)
    for axes in grid[:: grid_columns(len(targets))]:
        axes.set_ylabel("loss (own − carried)", fontsize=7)
    band.supxlabel(f"{AXES['layer']}   (line and band: re-centred; dotted: as fitted)", fontsize=8)
    return drawing


def _draw_loss(axes: Axes, rows: pd.DataFrame, target: Target, styles: Mapping, task: Task, model: str) -> None:
    name, of_task, prompt = target
    here = rows[(rows["model"] == name) & (rows["task"] == of_task) & (rows["prompt"] == prompt)]
    version = "" if name == model else f", {name}"
    axes.set_title(wrap_name(f"{of_task}: {prompt}{version}", NAME_WIDTH))
    axes.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    for source, of_source in here.groupby("row", sort=False):
        style = styles[source]
        for centre, of_centre in of_source.groupby("centre"):
            line = of_centre.sort_values("layer")
            if centre == "source":
                axes.plot(line["layer"], line["loss"], color=style.colour, linestyle=":", linewidth=1, zorder=2)
                continue
            axes.plot(line["layer"], line["loss"], color=style.colour, linestyle=style.dash, zorder=3)
            axes.fill_between(
                line["layer"],
                line["loss_low"],
                line["loss_high"],
                color=style.colour,
                alpha=0.15,
                linewidth=0,
                zorder=2,
            )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.annotate(
        f"{metric_name(task.metric)}, guessing loses up to {here['own'].max() - here['chance'].iloc[0]:.2f}",
        (1, 1),
        xycoords="axes fraction",
        xytext=(-2, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=6.5,
        color="#444444",
    )


def of_metric(carried: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The rows in the tasks' own metrics."""
    return carried[carried["metric"] == carried["task"].map({name: task.metric for name, task in tasks.items()})]


def _random(models: Mapping[str, Model]) -> list[str]:
    return [name for name, model in models.items() if model.is_random]


def row_names(rows: pd.DataFrame) -> pd.Series:
    """What the probes of each row were fitted on, in words."""
    names = rows["source_task"] + ": " + rows["source_prompt"]
    names = names.where(rows["kind"] != "versions", rows["source_model"] + " (same prompt)")
    return names.where(rows["kind"] != "labels", OTHER_LABELS)


def _maps(carried: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model], model: str) -> list[_Map]:
    """A map for each set of tasks that exchange probes, and one of the model's versions."""
    found: list[_Map] = []
    of_model = carried[carried["model"] == model]
    among_prompts = of_model[of_model["kind"] != "versions"]
    for together in _together(among_prompts, tasks):
        rows = of_model[of_model["task"].isin(together)]
        columns = {
            f"{task}: {prompt}": (model, task, prompt)
            for task in together
            for prompt in rows.loc[rows["task"] == task, "prompt"].unique()
        }
        further = [name for name in rows["row"].unique() if name not in columns]
        # Prompts first, in the order of the columns; then other labels and the model that this is a version of.
        found.append(_Map(" and ".join(together), columns, [*columns, *further]))
    versions = carried[(carried["kind"] == "versions") & (carried["source_model"] == model)]
    columns = {
        f"{name}, {task}: {prompt}": (name, task, prompt)
        for name in models
        for task in tasks
        for prompt in versions.loc[(versions["model"] == name) & (versions["task"] == task), "prompt"].unique()
    }
    if columns:
        only = {name for name, _, _ in columns.values()}
        title = f"versions of {model}" + (f": {only.pop()}" if len(only) == 1 else "")
        found.append(_Map(title, columns, [OWN, f"{model} (same prompt)"]))
    return found


def _together(rows: pd.DataFrame, tasks: Mapping[str, Task]) -> list[list[str]]:
    """Tasks that exchange probes, in the order of the tasks."""
    sets = [{task} for task in tasks if task in set(rows["task"])]
    for one, other in set(zip(rows["task"], rows["source_task"], strict=True)):
        joined = [each for each in sets if each & {one, other}]
        sets = [each for each in sets if each not in joined] + [set().union(*joined)]
    in_order = [[task for task in tasks if task in each] for each in sets]
    return sorted((each for each in in_order if each), key=lambda each: list(tasks).index(each[0]))


def _own_scores(scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.Series:
    """Test scores of own probes, by model, task, prompt and layer."""
    return headline_scores(scores, tasks, "test").set_index(["model", "task", "prompt", "layer"])["value"]


def _draw_map(
    axes: Axes,
    shown: _Map,
    carried: pd.DataFrame,
    centre: str,
    own: pd.Series,
    at: str,
    scale: Normalize,
    named: bool,
) -> None:
    ticks = []
    for x, (name, (model, task, prompt)) in enumerate(shown.columns.items()):
        # With either centre: a target with too few items has one row, which says so.
        here = carried[(carried["model"] == model) & (carried["task"] == task) & (carried["prompt"] == prompt)]
        layer = int(here["best_layer"].iloc[0] if at == "best layer" else here["n_layers"].iloc[0])
        chance = here["chance"].dropna()
        ticks.append(f"{wrap_name(_short(name, shown), 16)} ({layer})")
        for y, row in enumerate(shown.rows):
            if row in (name, OWN):
                _draw_cell(axes, x, y, own[model, task, prompt, layer], chance.iloc[0] if len(chance) else 0.5, scale)
                axes.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, linewidth=1.2, zorder=4))
                continue
            of_row = here[here["row"] == row]
            scored = of_row[(of_row["layer"] == layer) & (of_row["centre"] == centre)].set_index("flipped")
            if False in scored.index:
                flipped = scored["value"].get(True)
                _draw_cell(axes, x, y, scored.loc[False, "value"], scored.loc[False, "chance"], scale, flipped)
            elif len(of_row):
                axes.annotate("few", (x, y), ha="center", va="center", fontsize=6, color="#888888")
    axes.set_xlim(-0.5, len(shown.columns) - 0.5)
    axes.set_ylim(len(shown.rows) - 0.5, -0.5)
    axes.set_xticks(range(len(ticks)), ticks, rotation=90, fontsize=6.5)
    axes.set_yticks(range(len(shown.rows)), [_short(row, shown) for row in shown.rows] if named else [])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_facecolor("#F3F3F3")
    _divide(axes, shown)


def _divide(axes: Axes, shown: _Map) -> None:
    """Lines between tasks."""
    groups = [(model, task) for model, task, _ in shown.columns.values()]
    for place in range(1, len(groups)):
        if groups[place] != groups[place - 1]:
            axes.axvline(place - 0.5, color="#444444", linewidth=1)
            if len(shown.rows) >= len(groups):
                axes.axhline(place - 0.5, color="#444444", linewidth=1)
    if len(shown.rows) > len(groups):
        axes.axhline(len(groups) - 0.5, color="#444444", linewidth=1)


def _short(name: str, shown: _Map) -> str:
    """A name without its model or task, where the map has only one."""
    if name in shown.columns and len({model for model, _, _ in shown.columns.values()}) == 1:
        name = f"{shown.columns[name][1]}: {shown.columns[name][2]}"
    alike = {task for _, task, _ in shown.columns.values()}
    return name.split(": ", 1)[-1] if len(alike) == 1 else name


def _draw_cell(
    axes: Axes, x: int, y: int, value: float, chance: float, scale: Normalize, flipped: float | None = None
) -> None:
    above = (value - chance) / (1 - chance) if value >= chance else (value - chance) / chance
    colour = colormaps[COLOURS](scale(above))
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.6, zorder=2))
    number = f"{100 * value:.0f}" + ("" if flipped is None else f" ({100 * flipped:.0f})")
    light = np.mean(colour[:3]) > 0.5
    axes.annotate(
        *(number, (x, y)),
        ha="center",
        va="center",
        fontsize=6 if flipped is None else 5,
        zorder=5,
        color="#222222" if light else "white",
    )


def _draw_bar(band: SubFigure, scale: Normalize) -> None:
    bar = band.colorbar(ScalarMappable(scale, COLOURS), ax=band.axes, aspect=20, pad=0.01)
    bar.set_ticks([-1, 0, 1], labels=["all wrong", "chance", "all right"])
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
