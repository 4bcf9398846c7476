"""What layers are like: a facet for each measure, a line for each model; and maps of debiased CKA, layer by layer."""

from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from layerwise.errors import InputError
from layerwise.figures.drawing.facets import FACET_INCHES, draw_legend
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import line_styles, wrap_name

# By measure: what its axis says, and whether it is logarithmic.
MEASURES = {
    "norm": ("norm of a state", True),
    "largest": ("largest absolute entry", True),
    "outliers": ("entries beyond 6 sd, per state", False),
    "variance-share": ("variance in 1 % of dimensions", False),
    "cosine": ("mean cosine of two items", False),
    "cosine-rest": ("mean cosine without the largest 1 % of dimensions", False),
}
SHARES = {"variance-share", "cosine", "cosine-rest"}
COLUMNS = 3
MAP_INCHES = 2.1
COLOURS = "YlGnBu"
NOT_DEFINED = "#D9D9D9"
# The maps show how alike layers are to a probe.
SCALING = "standardised"


def draw_likeness(measures: pd.DataFrame, likeness: pd.DataFrame, stimuli: str) -> Figure:
    """Draw one stimulus set: its first prompt, at the position that probes read. Of several draws the first is shown.

    Args:
        measures: see :mod:`layerwise.compare.layer_measures`.
        likeness: see :mod:`layerwise.compare.layer_likeness`.
        stimuli: name of the set.

    Raises:
        InputError: No layer of the set was measured.
    """
    measures = first_shown(measures[measures["stimuli"] == stimuli])
    if measures.empty:
        raise InputError(f"no layer was measured over {stimuli}; leave the figure out, or see `likeness`")
    measures = measures[(measures["layer"] <= measures["n_layers"]) & _first_draws(measures)]
    maps = _maps(likeness, measures)
    models = list(measures["model"].unique())
    styles = line_styles(models, measures.loc[measures["weights"] == "random", "model"].unique())
    # A single map is no wider than others.
    rows, across = ceil(len(MEASURES) / COLUMNS), 4 if len(maps) > COLUMNS else COLUMNS
    down = max(1, ceil(len(maps) / across))
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(COLUMNS * (FACET_INCHES[0] + 0.2))
    legend_rows = draw_legend(drawing, styles, {}, None, norm=False)
    heights = [rows * FACET_INCHES[1] + 0.5, down * (MAP_INCHES + 0.3) + 0.4]
    drawing.set_figheight(sum(heights) + 0.2 * legend_rows)
    drawing.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05)
    upper, lower = drawing.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    first = measures.iloc[0]
    what = f"{stimuli}: {first['prompt']} (position {first['position']}, {first['n']} items)"
    upper.suptitle(wrap_name(what, 80), x=0.01, ha="left", fontsize=9, fontweight="bold")
    for axes, measure in zip(upper.subplots(rows, COLUMNS).flat, MEASURES, strict=True):
        _draw_measure(axes, measures[measures["measure"] == measure], measure, styles)
    upper.supxlabel(AXES["layer"], fontsize=8)
    lower.suptitle("debiased CKA of two layers", x=0.01, ha="left", fontsize=9, fontweight="bold")
    grid = lower.subplots(down, across, squeeze=False)
    for axes, (names, rows_of) in zip(grid.flat, maps.items(), strict=False):
        _draw_map(axes, *names, rows_of)
    for axes in grid.flat[len(maps) :]:
        axes.remove()
    shown = list(grid.flat[: len(maps)])
    bar = lower.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), ax=shown, extend="min", aspect=30, pad=0.02)
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)
    return drawing


def first_shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first prompt and position that there are."""
    if rows.empty:
        return rows
    first = rows.iloc[0]
    return rows[(rows["prompt"] == first["prompt"]) & (rows["position"] == first["position"])]


def _first_draws(rows: pd.DataFrame) -> pd.Series:
    """Whether a row is of no draw of random weights, or of the first."""
    first = rows[rows["draw_of"] != ""].drop_duplicates("draw_of").set_index("draw_of")["model"]
    return (rows["draw_of"] == "") | (rows["model"] == rows["draw_of"].map(first))


def _maps(likeness: pd.DataFrame, measures: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """By two models the rows of their layers: each with itself, then with its twin, then with others."""
    at = {column: measures[column].iloc[0] for column in ("stimuli", "prompt", "position")} | {"scaling": SCALING}
    rows = likeness[(likeness[list(at)] == pd.Series(at)).all(axis=1) & ~likeness["draw"]]
    rows = rows[(rows["layer"] <= rows["n_layers"]) & (rows["other_layer"] <= rows["other_n_layers"])]
    order = {"itself": 0, "twin": 1, "model": 2}
    rows = rows.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable")
    return dict(list(rows.groupby(["model", "other"], sort=False)))


def _draw_measure(axes: Axes, rows: pd.DataFrame, measure: str, styles: dict) -> None:
    title, logarithmic = MEASURES[measure]
    axes.set_title(wrap_name(title, 26))
    for place, (model, style) in enumerate(styles.items()):
        draw_line(axes, rows[rows["model"] == model], style, "layer", place, model)
    if logarithmic and (rows["value"] > 0).any():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif measure in SHARES:
        axes.set_ylim(min(-0.05, rows["low"].min()), 1.05)
    else:
        axes.set_ylim(0, max(1, 1.05 * rows["value"].max()))
    axes.set_xlim(-0.3, rows["n_layers"].max() + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _draw_map(axes: Axes, model: str, other: str, rows: pd.DataFrame) -> None:
    values = rows.pivot(index="layer", columns="other_layer", values="value")
    extent = (-0.5, values.shape[1] - 0.5, -0.5, values.shape[0] - 0.5)
    axes.set_facecolor(NOT_DEFINED)
    axes.imshow(values, origin="lower", extent=extent, aspect="auto", cmap=COLOURS, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set_title(wrap_name(f"{model}, itself" if model == other else f"{model} and {other}", 26), fontsize=7.5)
    axes.set_ylabel(wrap_name(f"layer of {model}", 26), fontsize=6.5)
    axes.set_xlabel(wrap_name(f"layer of {other}", 26), fontsize=6.5)
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(nbins=6, integer=True))
