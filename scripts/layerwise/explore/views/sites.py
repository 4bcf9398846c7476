"""Where in a block is it read: at its output, at what attention and MLP add, and in its best head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    import pandas as pd

    from layerwise.compare.inputs import CELL
    from layerwise.compare.rows import headline_scores
    from layerwise.figures.drawing.sites import LINES

    sites = given.comparison("within-blocks")
    sites = sites[(sites["site"] != "heads") | sites["best"]].drop(columns=["best", "above_chance"])
    tasks = {name: task for name, task in given.tasks.items() if name in set(sites["task"])}
    outputs = headline_scores(given.comparison("headline"), tasks, "test").assign(site="block", head=0)
    outputs = outputs[outputs["layer"] <= outputs["n_layers"]]
    chance = sites.drop_duplicates(CELL)[[*CELL, "chance"]]
    found = pd.concat([outputs.merge(chance, on=CELL)[sites.columns], sites], ignore_index=True)
    return found.assign(line=found["site"].map(LINES))


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.sites import LINES
    from layerwise.figures.drawing.style import line_styles

    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("value", "test score"),
        line_styles(name for name in LINES.values() if name in set(rows["line"])),
        [
            drawing.said("line", "read at"),
            drawing.said("layer", "layer"),
            drawing.said("head", "head (0: none)"),
            drawing.said("value", "test score", ".3f"),
            drawing.said("chance", "majority baseline", ".3f"),
        ],
        baseline="chance",
    )


VIEW = View(
    place=9,
    title="Attention, MLP or the block's output?",
    reading="What attention and MLP add in each block, read by a probe of their own, beside the block's output. Of the "
    "heads it is the one that is best on validation. The dotted line is the majority baseline.",
    reads=("within-blocks", "headline", "tasks"),
    exists=lambda study: bool(study.sites),
    rows=rows,
    chart=chart,
    picks={"layer": "layer"},
)
