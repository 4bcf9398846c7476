"""Is it used? What erasing or steering a concept does to the answer, block by block, against random directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given

CHANGES = {"erase": "erased", "steer": "steered"}
ERASED = "own concept erased"
ENDS, LIMITS = ("_low", "_high"), ("_least", "_greatest")


def rows(given: Given) -> pd.DataFrame:
    import numpy as np

    from layerwise.figures.drawing.used import signed

    found = given.comparison("used")
    lines = [ERASED if row.change == "erase" else signed(row.strength) for row in found.itertuples()]
    without = np.where(found["missing"] == "", "no", "no verdict: " + found["missing"])
    verdicts = np.where(found["used"], "yes", without)
    # Steering is drawn as in the figure: which way the second class moves.
    sign = np.where(found["strength"] < 0, -1, 1)
    columns = [*(f"effect{end}" for end in ("", *ENDS)), *(f"control{end}" for end in ("", *LIMITS))]
    drawn = {f"drawn_{column}": sign * found[column] for column in columns}
    return found.assign(line=lines, verdict=verdicts, change=found["change"].map(CHANGES), **drawn)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.style import line_styles
    from layerwise.figures.drawing.used import CONTROL_COLOUR, OWN, signed

    strengths = sorted(rows.loc[rows["change"] == CHANGES["steer"], "strength"].unique())
    # Not the shades of the figure, whose ends cannot be told from one of the two pages.
    styles = {ERASED: OWN} | line_styles(map(signed, strengths))
    x, y = (
        drawing.layer_axis("block", "block whose output is changed"),
        drawing.score_axis("drawn_effect", "effect (log odds)"),
    )
    # The controls of the greatest strength stand for those of smaller ones.
    most = max(map(abs, strengths), default=0)
    controls = alt.Chart(drawing.ROWS).transform_filter(f"!datum.strength || abs(datum.strength) === {most:g}")
    controls = controls.encode(x=x, detail="line:N")
    band = controls.mark_area(color=CONTROL_COLOUR, opacity=0.2)
    band = band.encode(y=y.field("drawn_control_least"), y2=alt.Y2("drawn_control_greatest"))
    mean = controls.mark_line(color=CONTROL_COLOUR, size=1).encode(y=y.field("drawn_control"))
    return drawing.line_chart(
        x,
        y,
        styles,
        [
            drawing.said("line", "change"),
            drawing.said("block", "block"),
            drawing.said("effect", "effect (log odds)", ".3f"),
            drawing.said("control", "random directions, mean", ".3f"),
            drawing.said("control_least", "least of them", ".3f"),
            drawing.said("control_greatest", "greatest of them", ".3f"),
            drawing.said("draws", "random directions", "d"),
            drawing.said("free", "margin with nothing changed", ".3f"),
            drawing.said("p_value", "p (corrected)", ".3g"),
            drawing.said("verdict", "used here"),
            drawing.said("flips", "answers that change", ".1%"),
            drawing.said("accuracy", "right afterwards", ".1%"),
            drawing.said("n", "items", "d"),
            drawing.said("n_images", "images", "d"),
        ],
        low="drawn_effect_low",
        high="drawn_effect_high",
        below=[drawing.no_change(), band, mean],
    )


VIEW = View(
    place=40,
    title="Is it used?",
    reading="What the answer loses when the concept is taken out of a block's output (erased), or how far it moves "
    "when the output is pushed along it (steered). Grey: the same with random directions, least to greatest.",
    reads=("used",),
    exists=lambda study: bool(study.used),
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model", "change"),
    legend="line",
    picks={"block": "layer"},
)
