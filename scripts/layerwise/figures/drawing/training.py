"""The training curve of a model that the workflow trains itself: loss and held-out accuracy over time."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.errors import InputError
from layerwise.figures.drawing.style import line_styles, wrap_name

COLUMNS = ["seconds", "step", "phase", "lesson", "metric", "value"]
METRICS = ("accuracy", "loss")
ALL_LESSONS = "all lessons"


def read_curve(path: str | Path) -> pd.DataFrame:
    """Read a training curve: CSV with the columns seconds, step, phase, lesson, metric ("loss" or "accuracy"), value.

    Raises:
        InputError: The file cannot be read, lacks a column, or has no rows.
    """
    try:
        curve = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a training curve ({error})") from error
    missing = [column for column in COLUMNS if column not in curve.columns]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    if curve.empty:
        raise InputError(f"{path}: holds no rows")
    if unknown := sorted(set(curve["metric"]) - set(METRICS)):
        raise InputError(f"{path}: the metric {unknown[0]!r} is none of {', '.join(METRICS)}")
    curve["lesson"] = curve["lesson"].fillna(ALL_LESSONS).astype(str)
    curve["phase"] = curve["phase"].fillna("").astype(str)
    return curve.sort_values("seconds", kind="stable", ignore_index=True)


def draw_training(curve: pd.DataFrame) -> Figure:
    """Draw held-out accuracy per lesson above and training loss below, over seconds, with the phases shaded."""
    lessons = list(curve["lesson"].unique())
    styles = line_styles(lessons)
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    for axes, metric, label in ((above, "accuracy", "held-out accuracy"), (below, "loss", "training loss")):
        rows = curve[curve["metric"] == metric]
        for lesson, of_lesson in rows.groupby("lesson", sort=False):
            style = styles[lesson]
            axes.plot(
                of_lesson["seconds"],
                of_lesson["value"],
                color=style.colour,
                linestyle=style.dash,
                # Losses come every few steps: markers would hide them.
                marker=style.marker if metric == "accuracy" else None,
                markevery=max(1, len(of_lesson) // 12),
                linewidth=1.4 if metric == "accuracy" else 0.8,
                label=lesson,
            )
        axes.set_ylabel(label)
    above.set_ylim(top=min(1.02, above.get_ylim()[1] + 0.02))
    below.set_xlabel("training time (s)")
    end = float(curve["seconds"].max())
    below.set_xlim(min(0.0, float(curve["seconds"].min())), 1.01 * end if end > 0 else 1.0)
    _shade_phases(curve, above, below)
    handles = {
        text: line for axes in (below, above) for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    names = [lesson for lesson in lessons if lesson in handles]
    longest = max(map(len, names))
    figure.legend(
        [handles[name] for name in names],
        [wrap_name(name, 40) for name in names],
        loc="outside lower center",
        ncols=min(len(names), max(1, int(6.4 / (0.062 * min(longest, 40) + 0.55)))),
        frameon=False,
    )
    return figure


def _shade_phases(curve: pd.DataFrame, above: Axes, below: Axes) -> None:
    """Shade every other phase and name it above the upper panel. A phase begins at the last measurement before it."""
    changes = curve["phase"].ne(curve["phase"].shift())
    starts = [*curve["seconds"].shift(fill_value=0.0)[changes], below.get_xlim()[1]]
    total = max(below.get_xlim()[1] - below.get_xlim()[0], 1e-9)
    for i, name in enumerate(curve.loc[changes, "phase"]):
        left, right = (below.get_xlim()[0] if i == 0 else starts[i]), starts[i + 1]
        for axes in (above, below):
            axes.axvspan(left, right, color="#EDEDED" if i % 2 else "#FAFAFA", linewidth=0, zorder=0, label="_phase")
        # About 11 characters fit on an inch, and the panel is about 5.6 inches wide.
        fits = int((right - left) / total * 60)
        narrow = fits < min(len(name), 8)
        above.annotate(
            name if narrow else wrap_name(name, fits),
            ((left + right) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="left" if narrow else "center",
            va="bottom",
            rotation=40 if narrow else 0,
            rotation_mode="anchor",
            fontsize=7.5,
        )
