"""A specification curve: effects in order above, the choices that each is made of below."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerwise.figures.drawing.style import PALETTE
from layerwise.figures.names import metric_name

BETTER, WORSE, NEITHER, NULL = PALETTE[0], PALETTE[1], "#8A8A8A", "#DDDDDD"
COLOURS = {1: BETTER, -1: WORSE, 0: NEITHER}
# By choice, the title of its rows. Kinds of probes and their penalties are one block.
TITLES = {
    "metric": "metric",
    "probe": "probe",
    "C": "penalty (C)",
    "states": "states",
    "train_share": "training images",
    "split": "split",
    "prompt": "prompt",
}
# Levels that are not sorted by name: what the study does comes first.
FIRST = ("by validation", "standardised", "own", "logistic")
LEVEL_INCHES = 0.15


def draw_curve(rows: pd.DataFrame) -> Figure:
    """Draw the curve of one model and task.

    Args:
        rows: of :mod:`layerwise.compare.specifications`, in the order of their effects.
    """
    rows = rows.sort_values("rank")
    blocks = {choice: levels for choice in TITLES if len(levels := _levels(rows, choice)) > 1}
    n_levels = sum(map(len, blocks.values())) + 0.6 * max(len(blocks) - 1, 0)
    below = max(LEVEL_INCHES * n_levels, 0.3)
    drawing = Figure(figsize=(7.2, 3.3 + below), layout="constrained")
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=[2.0, below])
    _effects(upper, rows)
    _choices(lower, rows, blocks)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1, label=label)
        for colour, label in (
            (BETTER, "layer below the top better"),
            (WORSE, "topmost block better"),
            (NEITHER, "neither shown"),
        )
    ]
    handles.append(
        Line2D(
            [], [], color="black", marker="D", markersize=4, fillstyle="none", linestyle="", label="as the study does"
        )
    )
    if rows["null_low"].notna().any():
        handles.append(Patch(color=NULL, label="95 % of curves with layers swapped by chance"))
    drawing.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7, handlelength=1.4)
    return drawing


def _effects(axes: Axes, rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    if rows["null_low"].notna().any():
        band = rows.dropna(subset="null_low")
        axes.fill_between(
            band["rank"], 100 * band["null_low"], 100 * band["null_high"], color=NULL, step="mid", linewidth=0
        )
    axes.axhline(0, color="black", linewidth=0.8)
    for significant, colour in COLOURS.items():
        of = rows[rows["significant"] == significant]
        axes.vlines(of["rank"], 100 * of["low"], 100 * of["high"], color=colour, linewidth=0.9, alpha=0.7)
        axes.plot(of["rank"], 100 * of["effect"], "o", color=colour, markersize=3)
    own = rows[rows["own"]]
    axes.plot(own["rank"], 100 * own["effect"], "D", color="black", fillstyle="none", markersize=6)
    axes.axhline(100 * first["median"], color="black", linestyle="--", linewidth=0.8)
    axes.annotate(
        f"median {100 * first['median']:+.2f}",
        (1, 100 * first["median"]),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )
    axes.set_ylabel("best layer below the top\nless topmost block, × 100")
    axes.set_title(
        f"{first['model']}, {first['task']}: is some layer below the top better than the topmost block?\n"
        + _in_words(rows),
        loc="left",
        fontsize=8,
    )
    axes.grid(axis="x", visible=False)
    axes.tick_params(axis="x", length=0)


def _in_words(rows: pd.DataFrame) -> str:
    first, count = rows.iloc[0], len(rows)
    said = f"{100 * first['share_above']:.0f} % of {count} specifications say so"
    if not first["tested"]:
        return f"{said}; too few images (or texts) for a test"
    said += (
        f", {100 * first['share_better']:.0f} % significantly (p {_equals(first['p_share'])}); "
        f"{100 * first['share_worse']:.0f} % say the opposite significantly\n"
        f"median effect {100 * first['median']:+.2f} (p {_equals(first['p_median'])})"
    )
    return said


def _equals(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _choices(axes: Axes, rows: pd.DataFrame, blocks: dict[str, list[str]]) -> None:
    y, ticks, labels = 0.0, [], []
    for choice, levels in blocks.items():
        moved = rows[f"moved_by_{choice}"].iloc[0]
        share = "" if np.isnan(moved) else f"\n{100 * moved:.0f} %"
        axes.annotate(
            TITLES[choice] + share,
            (1, y + (len(levels) - 1) / 2),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
        )
        for level in levels:
            has = rows[rows[choice].astype(str) == level]
            axes.axhline(y, color="#EEEEEE", linewidth=0.6, zorder=0)
            for significant, colour in COLOURS.items():
                of = has[has["significant"] == significant]
                axes.plot(of["rank"], np.full(len(of), y), "|", color=colour, markersize=7, markeredgewidth=1.3)
            ticks.append(y)
            labels.append(_named(choice, level))
            y += 1
        y += 0.6
    axes.annotate(
        "share of the\neffects' variance",
        (1, 1),
        xycoords="axes fraction",
        xytext=(3, 2),
        textcoords="offset points",
        va="bottom",
        fontsize=6,
        style="italic",
    )
    axes.set_yticks(ticks, labels, fontsize=6.5)
    axes.set_ylim(y - 0.6, -0.9)
    axes.set_xlim(0.2, len(rows) + 0.8)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("specification, in the order of its effect")


def _levels(rows: pd.DataFrame, choice: str) -> list[str]:
    levels = rows[choice].astype(str).unique()
    by_number = choice in ("C", "train_share")

    def key(level: str) -> tuple[int, float, str]:
        number = float(level) if by_number and level[0].isdigit() else 0.0
        # All images come before shares of them.
        number = -number if choice == "train_share" else number
        return (0 if level in FIRST else 2 if level == "none" else 1), number, level

    return sorted(levels, key=key)


def _named(choice: str, level: str) -> str:
    """A level for reading."""
    if choice == "metric":
        return metric_name(level)
    if choice == "train_share":
        return "all" if float(level) == 1 else f"{100 * float(level):g} %"
    if choice == "split":
        return "the task's" if level == "own" else f"seed {level}"
    return level
