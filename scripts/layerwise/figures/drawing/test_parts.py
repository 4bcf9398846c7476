"""Scores by layer on parts of the test items: per model a band for seen texts, and one for the text alone."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.compare.inputs import Task
from layerwise.compare.parts import ALL, RIGHT, SEEN, UNSEEN, WRONG
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    CHANCE,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    drawing_width,
    label_edges,
    lay_out,
)
from layerwise.figures.drawing.layers import AXES, draw_line, share_axes
from layerwise.figures.drawing.style import LineStyle, draw_reason, wrap_name
from layerwise.figures.names import metric_name

STYLES = {
    ALL: LineStyle("#777777", "o", "-", 0.9),
    SEEN: LineStyle("#0072B2", "s", "-"),
    UNSEEN: LineStyle("#D55E00", "^", "-"),
    WRONG: LineStyle("#CC79A7", "D", "-"),
    RIGHT: LineStyle("#009E73", "v", "-"),
}
# What each band of a model shows.
BANDS = {
    "items whose text was seen or unseen in training": (ALL, SEEN, UNSEEN),
    "items that the text alone gets wrong or right": (ALL, WRONG, RIGHT),
}
TEXT_ONLY = "without the image, on the same items"
ONE_ANSWER = (
    "the items that the text alone gets wrong or right are not shown apart, because one of the two parts would have a "
    "single class, as where the text alone gives all items the same answer"
)
# Baselines nearer to each other are one line.
LEAST_APART = 0.005
DASHED = LineStyle("#777777", "", (0, (2, 2)), 1.0)


def draw_test_parts(table: pd.DataFrame, task: Task) -> Figure:
    """Draw a task: for each model up to two bands, a facet for each prompt, a line for each part.

    In the colour of a part, a dashed line is the score, on the same items, of the probes that read the same words
    without the image, and a dotted one that of the majority baseline.

    If one of the parts that the text alone gets wrong or right would have a single class, neither is drawn. A task that
    has no other parts gives only this reason.

    Args:
        table: see :mod:`layerwise.compare.test_parts`.
        task: its description.

    Raises:
        InputError: the task is not scored in parts.
    """
    table = table[table["task"] == task.task]
    bands = {
        f"{model}: {question}": (of_model, parts)
        for model, of_model in table.groupby("model", sort=False)
        for question, parts in BANDS.items()
        if of_model["part"].isin(parts[1:]).any()
    }
    if not bands and (table["text_only_prompt"] != "").any():
        return draw_reason(f"{task.task}: {ONE_ANSWER}")
    if not bands:
        raise InputError(f"the comparison `test-parts` has no part of the task {task.task}")
    blocks = {title: _prompts(rows, parts) for title, (rows, parts) in bands.items()}
    drawn = [
        part for part in STYLES if any(part in parts for _, parts in bands.values()) and part in set(table["part"])
    ]
    legend = {"all test items" if part == ALL else part: STYLES[part] for part in drawn}
    legend |= {TEXT_ONLY: DASHED} if table["text_only"].notna().any() else {}

    width = max(drawing_width(blocks), 6.5)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    legend_rows = draw_legend(drawing, legend, {}, "majority baseline, on the same items")
    laid_out = lay_out(drawing, dict.fromkeys(bands, task), blocks, legend_rows, width, AXES["layer"])
    for title, band, grid in laid_out:
        rows, parts = bands[title]
        band.suptitle(wrap_name(f"{task.task}, {title}", int(width * 12)), x=0.01, ha="left", fontsize=9, weight="bold")
        for axes, prompt in zip(grid.flat, blocks[title], strict=False):
            axes.set_title(wrap_name(prompt, NAME_WIDTH))
            of_facet = rows[(rows["prompt"] == prompt) & rows["part"].isin(parts)]
            for place, part in enumerate(parts):
                _draw_part(axes, of_facet[of_facet["part"] == part], part, place)
            _draw_majority(axes, of_facet)
        for axes in grid.flat[len(blocks[title]) :]:
            axes.remove()
        label_edges(grid, len(blocks[title]), f"test {metric_name(task.metric)}")
    share_axes([band for _, band, _ in laid_out], "layer", 3, int(table["n_layers"].max()))
    return drawing


def _prompts(rows: pd.DataFrame, parts: Sequence[str]) -> list[str]:
    """The prompts that have some of the parts beside all items."""
    return list(rows.loc[rows["part"].isin(parts[1:]), "prompt"].unique())


def _draw_majority(axes: Axes, rows: pd.DataFrame) -> None:
    """The majority baseline of all items with its value, and those of parts where they differ from it."""
    of_part = rows.drop_duplicates("part").set_index("part")["majority"]
    draw_baseline(axes, [of_part[ALL]], "majority, all items:")
    for part, value in of_part.items():
        if abs(value - of_part[ALL]) > LEAST_APART:
            axes.axhline(value, color=STYLES[str(part)].colour, linestyle=":", linewidth=1, label=CHANCE, zorder=1)


def _draw_part(axes: Axes, rows: pd.DataFrame, part: str, place: int) -> None:
    draw_line(axes, rows, STYLES[part], "layer", place, part)
    blocks = rows[rows["layer"] <= rows["n_layers"]].sort_values("layer")
    # All items are the mean of their parts; a dashed line of theirs would only fill the facet.
    if part != ALL and blocks["text_only"].notna().any():
        axes.plot(
            blocks["layer"],
            blocks["text_only"],
            color=STYLES[part].colour,
            linestyle=DASHED.dash,
            linewidth=DASHED.width,
            label=f"_text only {part}",
            zorder=2.5,
        )
