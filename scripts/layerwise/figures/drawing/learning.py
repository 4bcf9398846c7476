"""Learning curves: the test score of a cell's best layer by number of training images."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from layerwise.compare.inputs import Model, Task, language_models
from layerwise.compare.rows import majority_scores
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    LABEL_ROOM,
    LEAST_RANGE,
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    drawing_width,
    label_edges,
    lay_out,
)
from layerwise.figures.drawing.style import LineStyle, line_styles, paired_styles, wrap_name
from layerwise.figures.names import metric_name

# Least distance between two names of layers, as a share of the height of a facet.
NAME_GAP = 0.11


def draw_learning(
    curves: pd.DataFrame, headline: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]
) -> Figure:
    """Draw the test score against the number of training images, at the layer that is best on validation.

    One band per task, one facet per prompt, one line per model, with its layer at its end.

    Args:
        curves: Learning curves at the best layers, see :mod:`layerwise.compare.learning`.
        headline: Headline scores, for the baseline; see :mod:`layerwise.compare.headline`.
        tasks: Task descriptions.
        models: Model descriptions, in the order in which they get colours.

    Raises:
        InputError: A task has no baseline, or a model in the curves has no description.
    """
    baseline = majority_scores(headline, tasks)
    if unknown := sorted(set(curves["model"]) - set(models)):
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")

    random = {name: model.in_words for name, model in models.items() if model.is_random}
    styles, notes = paired_styles(line_styles(list(models), random), language_models(headline), random)
    styles = {name: style for name, style in styles.items() if name in set(curves["model"])}
    blocks = {name: list(baseline.loc[baseline["task"] == name, "prompt"].unique()) for name in tasks}
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    legend_rows = draw_legend(drawing, styles, notes, "majority baseline", norm=False)
    x_label = "training images (groups that a split keeps together);   L2: read at layer 2"
    bands = lay_out(drawing, tasks, blocks, legend_rows, width, x_label)
    for name, _, grid in bands:
        of_task, facets = curves[curves["task"] == name], blocks[name]
        lowest, highest = of_task["low"].min(), of_task["high"].max()
        for axes, prompt in zip(grid.flat, facets, strict=False):
            axes.set_title(wrap_name(prompt, NAME_WIDTH))
            for model, style in styles.items():
                line = of_task[(of_task["prompt"] == prompt) & (of_task["model"] == model)].sort_values("train_groups")
                axes.plot(
                    line["train_groups"],
                    line["value"],
                    color=style.colour,
                    linestyle=style.dash,
                    marker=style.marker,
                    label=model,
                    zorder=3,
                )
                axes.fill_between(
                    line["train_groups"],
                    line["low"],
                    line["high"],
                    color=style.colour,
                    alpha=0.15,
                    linewidth=0,
                    zorder=2,
                )
            chance = baseline.loc[(baseline["task"] == name) & (baseline["prompt"] == prompt), "value"]
            draw_baseline(axes, chance, "majority")
            axes.set_xscale("log", base=2)
            # Every second one, with that of all images.
            ticks = sorted(of_task["train_groups"].unique())[::-2]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            low, high = min(lowest, chance.min()), max(highest, chance.max() + LEAST_RANGE)
            axes.set_ylim(low - LABEL_ROOM * (high - low), high + 0.05 * (high - low))
            _name_layers(axes, of_task[of_task["prompt"] == prompt], styles)
        for axes in grid.flat[len(facets) :]:
            axes.remove()
        label_edges(grid, len(facets), f"test {metric_name(tasks[name].metric)}")
        # Tasks differ in their numbers of images.
        for axes in grid.flat[: len(facets)]:
            axes.tick_params(labelbottom=True)
    return drawing


def _name_layers(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    """Write the layer of each line to the right of its last point, stacked where lines end close together."""
    bottom, top = axes.get_ylim()
    ends = rows.loc[rows.groupby("model")["train_groups"].idxmax()].sort_values("value")
    height = -NAME_GAP
    for row in ends.itertuples():
        height = max((row.value - bottom) / (top - bottom), height + NAME_GAP)
        axes.annotate(
            f"L{row.layer}",
            (1, height),
            xycoords="axes fraction",
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=styles[row.model].colour,
        )
