"""The table of trained routes for reading: a row for each route and question."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words

# The questions of layerwise.compare.routes in words.
WORDS = {
    "answers": "its answers − answers without it",
    "top": "probe of the top − that without it",
    "below": "probe of the top − best layer below without it",
    "control": "its answers − control",
    "trained probe": "control − probe of the top without it",
}


def route_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: see :mod:`layerwise.compare.routes`.
    """
    note = (
        "Test scores × 100 of the model with the route and without it, and their differences with 95 % intervals over "
        f"images. {HOLDS_FOR} Parameters: trained in the route / in the control, a probe of the topmost block without "
        "the route that was trained in the same way on the same items. Where the control is as good, the route has "
        f"brought nothing that the top did not hold. {HOW_TESTED} A dash: there are {TOO_FEW}."
    )
    sections = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["base"],
                "Prompt": rows["prompt"],
                "Route": [_route(row) for row in rows.itertuples()],
                "Compared": [_compared(row) for row in rows.itertuples()],
                "Parameters": [f"{row.parameters:,} / {row.control_parameters:,}" for row in rows.itertuples()],
                "First": [number(100 * value, ".1f") for value in rows["first"]],
                "Second": [number(100 * value, ".1f") for value in rows["second"]],
                "Difference": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.1), ("Prompt", 0.08), ("Route", 0.14), ("Compared", 0.2))
        sections.append(Section(title, shown, note, tuple(shown.columns[4:]), texts, row_names=3))
    return sections


def _route(row) -> str:
    # "from" is a keyword, so that pandas names the field by its place.
    source = row[row._fields.index("kind") + 1]
    told = [row.kind] * (row.route != row.kind) + [f"from block {source}"] * bool(source)
    return row.route + (f" ({', '.join(told)})" if told else "")


def _compared(row) -> str:
    return WORDS[row.question] + (f" (layer {row.best_layer})" if row.question == "below" else "")
