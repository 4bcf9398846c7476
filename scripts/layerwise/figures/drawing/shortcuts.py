"""Thin, named lines at what shortcuts reach, behind the scores by layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from layerwise.figures.drawing.facets import SHORTCUT_DASH, SHORTCUT_WIDTH
from layerwise.figures.drawing.style import CHANCE_COLOUR, LineStyle

NAME_SIZE = 5.5
# What the columns of :mod:`layerwise.compare.shortcuts` are called beside a line.
NAMES = {"words": "words", "picture": "picture", "sum": "words + picture", "product": "words × picture"}
NAMES |= {"text": "text alone"}
# Names closer to each other than this share of the axis stand in one line.
APART = 0.09
# Left of the final norm.
RIGHT = 0.82


@dataclass(frozen=True)
class _Level:
    """One line: its height, its name, and its colour."""

    value: float
    name: str
    colour: str


def levels(rows: pd.DataFrame, styles: Mapping[str, LineStyle]) -> list[_Level]:
    """The lines of one facet, from the lowest up: the words, which are the same for all models, and for each model its
    best shortcut, in the model's colour.

    Args:
        rows: of the facet, see :mod:`layerwise.compare.shortcuts`; may be empty.
        styles: of the models.
    """
    found = [_Level(value, NAMES["words"], CHANCE_COLOUR) for value in rows["words"].iloc[:1]]
    for row in rows[rows["shortcut"] != "words"].itertuples():
        if row.model in styles:
            found.append(_Level(row.shortcut_value, NAMES[row.shortcut], styles[row.model].colour))
    return sorted(found, key=lambda level: level.value)


def draw_levels(axes: Axes, found: list[_Level]) -> None:
    """Draw the lines of a facet. Call it before the axis has its limits, so that all lines are within them."""
    for level in found:
        line = axes.axhline(level.value, label=f"_shortcut {level.name}", zorder=1.5)
        line.set(color=level.colour, linestyle=SHORTCUT_DASH, linewidth=SHORTCUT_WIDTH)


def name_levels(axes: Axes, found: list[_Level]) -> None:
    """Write the names of the lines above them. Call it when the axis has its limits.

    They stand on the left, below which lines of models rise. Only the words are on the right: the lowest layers know no
    more than they do.
    """
    low, high = axes.get_ylim()
    together: list[list[_Level]] = []
    for level in found:
        if together and level.value - together[-1][-1].value < APART * (high - low):
            together[-1].append(level)
        else:
            together.append([level])
    for group in together:
        colours, names = {level.colour for level in group}, list(dict.fromkeys(level.name for level in group))
        left = names != [NAMES["words"]]
        axes.annotate(
            ", ".join(names),
            (0 if left else RIGHT, group[-1].value),
            xycoords=("axes fraction", "data"),
            xytext=(2, 1),
            textcoords="offset points",
            ha="left" if left else "right",
            va="bottom",
            fontsize=NAME_SIZE,
            color=colours.pop() if len(colours) == 1 else CHANCE_COLOUR,
            path_effects=[withStroke(linewidth=1.2, foreground="white")],
            zorder=5,
        )
