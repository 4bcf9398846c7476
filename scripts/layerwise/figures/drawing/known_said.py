"""What layers know and what a model says: one band per task, one facet per prompt, one model per figure."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Given, Task
from layerwise.compare.readings import SAID, SHARES, THRESHOLD, WRITTEN
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    drawing_width,
    label_edges,
    lay_out,
)
from layerwise.figures.drawing.layers import AXES, draw_line, share_axes
from layerwise.figures.drawing.style import LineStyle, wrap_name
from layerwise.figures.names import metric_name

PROBE = "probe of the layer (known)"
STYLES = {
    PROBE: LineStyle("#0072B2", "o", "-"),
    THRESHOLD: LineStyle("#D55E00", "s", "-"),
    SAID: LineStyle("#D55E00", "^", (0, (3, 2)), 0.8),
    WRITTEN: LineStyle("#000000", "*", "none"),
}
LEGEND = {
    THRESHOLD: "answer read off the layer, at threshold",
    SAID: "answer read off the layer, as said",
    WRITTEN: "answer as the model wrote it",
}
# Of the four shares, from the bottom of the stack.
COLOURS = dict(zip(SHARES, ("#009E73", "#E69F00", "#56B4E9", "#C9C9C9"), strict=True))
X_LABEL = f"{AXES['layer']};  says = what the model itself answers"
# Beyond the last block, the models' own answers stand side by side.
SAYS_GAP, SAYS_STEP = 0.14, 0.05


def draw_known_and_said(given: Given, model: str) -> Figure:
    """Draw the test score of each layer's probe and of the answers read off it, and the model's own on the right.

    Args:
        given: the headline scores, ``said`` and the tasks.
        model: its name.

    Raises:
        InputError: the model says nothing.
    """
    said = _of_model(given.comparison("said"), model)
    said = said[said["split"] == "test"]
    tasks, blocks = _facets(said, given.tasks)
    headline = given.comparison("headline")
    headline = headline[headline["model"] == model]
    probes = headline_scores(headline, tasks, "test")
    # The topmost block and the final norm say the same; the place beside the blocks is for the model's own answer.
    probes = probes[probes["layer"] <= probes["n_layers"]].assign(answer=PROBE)
    chance = majority_scores(headline, tasks)
    answers = [_headline(said, task) for task in tasks.values()]
    rows = pd.concat([probes, *answers], ignore_index=True)

    shown = [answer for answer in STYLES if answer in set(rows["answer"])]
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    styles = {LEGEND.get(answer, answer): STYLES[answer] for answer in shown}
    legend_rows = draw_legend(drawing, styles, {}, "majority baseline", norm=False)
    bands = lay_out(drawing, tasks, blocks, legend_rows, width, X_LABEL)
    for name, _, grid in bands:
        for axes, prompt in zip(grid.flat, blocks[name], strict=False):
            axes.set_title(wrap_name(prompt, NAME_WIDTH))
            of_facet = rows[(rows["task"] == name) & (rows["prompt"] == prompt)]
            for place, answer in enumerate(shown):
                line = of_facet[of_facet["answer"] == answer]
                by_layer = line[line["layer"] <= line["n_layers"]]
                # Only one of two lines of almost the same height has a band.
                bounds = {"low": by_layer["value"], "high": by_layer["value"]} if answer == SAID else {}
                draw_line(axes, by_layer.assign(**bounds), STYLES[answer], "layer", place, answer)
                _draw_own(axes, line[line["layer"] > line["n_layers"]], STYLES[answer], place)
            draw_baseline(
                axes, chance.loc[(chance["task"] == name) & (chance["prompt"] == prompt), "value"], "majority"
            )
        _tidy(grid, len(blocks[name]), f"test {metric_name(tasks[name].metric)}")
    deepest = int(rows["n_layers"].max())
    share_axes([band for _, band, _ in bands], "layer", len(shown), deepest)
    for _, band, _ in bands:
        for axes in band.axes:
            _mark_own(axes, deepest)
    return drawing


def draw_known_not_said(given: Given, model: str, answer: str) -> Figure:
    """Draw the four shares of test items as stacked areas by layer.

    Args:
        given: ``known-said`` and the tasks.
        model: its name.
        answer: how the model's answer is read.

    Raises:
        InputError: the model says nothing.
    """
    shares = _of_model(given.comparison("known-said"), model)
    tasks, blocks = _facets(shares, given.tasks)
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    handles: list = [Patch(facecolor=colour) for colour in COLOURS.values()]
    handles.append(Line2D([], [], color="black", linestyle=":", linewidth=1))
    names = [*COLOURS, "known and said, if independent"]
    columns = 3 if width < 7 else 5
    drawing.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    bands = lay_out(drawing, tasks, blocks, -(-len(names) // columns), width, AXES["layer"])
    for name, _, grid in bands:
        of_task = shares[(shares["task"] == name) & (shares["label"] == tasks[name].headline_label)]
        of_task = of_task[(of_task["answer"] == answer) & (of_task["layer"] <= of_task["n_layers"])]
        for axes, prompt in zip(grid.flat, blocks[name], strict=False):
            axes.set_title(wrap_name(prompt, NAME_WIDTH))
            _draw_shares(axes, of_task[of_task["prompt"] == prompt])
        _tidy(grid, len(blocks[name]), "share of test items")
    return drawing


def _draw_shares(axes: Axes, rows: pd.DataFrame) -> None:
    by_layer = rows.pivot(index="layer", columns="share", values="value")
    axes.stackplot(by_layer.index, *(by_layer[share] for share in SHARES), colors=list(COLOURS.values()), linewidth=0)
    both = rows[rows["share"] == SHARES[0]].sort_values("layer")
    axes.plot(both["layer"], both["independent"], color="black", linestyle=":", linewidth=1, label="independent")
    axes.set_xlim(0, by_layer.index.max())
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(visible=False)


def _draw_own(axes: Axes, rows: pd.DataFrame, style: LineStyle, place: int) -> None:
    """The model's own answer: a filled marker with its interval, to the right of the blocks."""
    for row in rows.itertuples():
        axes.errorbar(
            [_own_x(row.n_layers) + SAYS_STEP * row.n_layers * (place - 2)],
            [row.value],
            yerr=[[max(0.0, row.value - row.low)], [max(0.0, row.high - row.value)]],
            color=style.colour,
            marker=style.marker,
            markersize=6 if style.marker == "*" else 4,
            linestyle="none",
            elinewidth=0.8,
            label=f"_own {row.answer}",
            zorder=4,
        )


def _own_x(last: int) -> float:
    return last + max(1.0, SAYS_GAP * last)


def _mark_own(axes: Axes, deepest: int) -> None:
    ticks = [tick for tick in axes.get_xticks() if tick <= deepest]
    own = _own_x(deepest)
    # A tick too close to the word would touch it.
    kept = [tick for tick in ticks if own - tick > 0.12 * deepest]
    axes.set_xticks([*kept, own], [*(f"{tick:.0f}" for tick in kept), "says"])


def _of_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    rows = table[table["model"] == model]
    if rows.empty:
        raise InputError(f"nothing that model {model!r} says was scored; it has none of the prompts with `answers`")
    return rows


def _facets(rows: pd.DataFrame, tasks: dict[str, Task]) -> tuple[dict[str, Task], dict[str, Sequence[str]]]:
    """The tasks among some rows, in the order given, and the prompts of each."""
    there = {name: task for name, task in tasks.items() if name in set(rows["task"])}
    return there, {name: list(rows.loc[rows["task"] == name, "prompt"].unique()) for name in there}


def _headline(said: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Scores of answers that stand for the whole task. Written answers have accuracy alone."""
    of_task = said[(said["task"] == task.task) & (said["label"] == task.headline_label)]
    return of_task[of_task["metric"] == task.metric]


def _tidy(grid, n_facets: int, y_label: str) -> None:
    for axes in grid.flat[n_facets:]:
        axes.remove()
    label_edges(grid, n_facets, y_label)
