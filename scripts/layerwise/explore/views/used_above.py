"""Is an erased concept read again from other tokens? What probes find above the block where it was erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    return given.comparison("used-above")


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    # Below the interval's end a probe is not above chance, and a share of what it finds says nothing.
    share = "(datum.erased - datum.chance) / (datum.free - datum.chance)"
    base = alt.Chart(drawing.ROWS).transform_calculate(
        share=f"datum.free_low > datum.chance ? {share} : null",
        interval=drawing.interval("erased_low", "erased_high"),
        unchanged=drawing.interval("free_low", "free_high"),
        controls=drawing.interval("control_least", "control_greatest"),
    )
    colour = alt.Color("share:Q", title="share that is still found").scale(scheme="cividis", domain=[0, 1], clamp=True)
    return drawing.map_chart(
        base,
        alt.X("above:O", title="read in block").axis(labelAngle=0, labelOverlap=True),
        drawing.blocks_upwards("block", "erased in block"),
        colour.legend(drawing.gradient()),
        [
            drawing.said("block", "erased in block"),
            drawing.said("above", "read in block"),
            drawing.said("erased", "score after erasing", ".3f"),
            drawing.INTERVAL,
            drawing.said("free", "score with nothing erased", ".3f"),
            drawing.said("unchanged", "its 95 % interval"),
            drawing.said("control", "after erasing random directions", ".3f"),
            drawing.said("controls", "least to greatest"),
            drawing.said("chance", "majority baseline", ".3f"),
            drawing.said("metric", "metric"),
            drawing.said("n", "items", "d"),
            drawing.said("n_images", "images", "d"),
        ],
        number="isValid(datum.share) ? format(100 * datum.erased, '.0f') : '–'",
        dark="datum.share < 0.55",
        frame="datum.above === layer",
        height=drawing.height_of(rows, "block", VIEW.follows),
    )


VIEW = View(
    place=42,
    title="Is it read again higher up?",
    reading="The concept is erased in one block (rows), and probes read that block and those above it (columns). "
    "Light: still found, read again from other tokens; dark: gone. – says that the probe found nothing there anyway.",
    reads=("used-above",),
    exists=lambda study: bool(study.used),
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model"),
    picks={"above": "layer"},
)
