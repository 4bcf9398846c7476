"""Which sets of items are right as a whole, for reading."""

import pandas as pd

from layerwise.compare.readings import SAID, WRITTEN
from layerwise.figures.writing.sections import Section, number, with_interval

NOTE = (
    "Shares × 100 with 95 % intervals over images. All right: of the sets of items that belong together, those with "
    "all items right. If independent: what that share would be if each item were right with the accuracy of the row, "
    "whatever its partners are. The difference is above 0 where partners are right together, and below 0 where a right "
    "item tends to cost its partner, as when all items of a set get the same answer."
)
NONE = "No two test items have the same words and belong together, so there are no sets to be right as a whole."
ANSWERS = {SAID: "answer", WRITTEN: "written answer"}


def consistency_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task: each prompt's probe at its best layer, and the model's answers.

    Args:
        table: see :mod:`layerwise.compare.consistency`.
    """
    if table.empty:
        return [Section("Consistency", pd.DataFrame({"Sets": ["–"]}), NONE, ("Sets",))]
    best = table[table["is_best"]]
    return [_section(task, rows) for task, rows in best.groupby("task", sort=False)]


def _section(task: str, rows: pd.DataFrame) -> Section:
    rows = rows.sort_values(["model", "prompt"], key=lambda column: pd.factorize(column)[0], kind="stable")
    shares = rows.rename(columns={"low": "all_right_low", "high": "all_right_high"})
    layers = zip(rows["layer"], rows["n_layers"], strict=True)
    shown = pd.DataFrame(
        {
            "Model": rows["model"],
            "Prompt": rows["prompt"],
            "Of": [ANSWERS.get(reading, reading) for reading in rows["reading"]],
            "Layer": [f"{layer} / {last}" if layer <= last else "output" for layer, last in layers],
            "All right": with_interval(shares, "all_right"),
            "Accuracy": [number(100 * value, ".1f") for value in rows["accuracy"]],
            "If independent": [number(100 * value, ".1f") for value in rows["independent"]],
            "Difference": with_interval(rows, "difference", sign="+"),
            "Sets": rows["n_sets"],
            "Items": rows["n"],
        }
    )
    return Section(task, shown, NOTE, tuple(shown.columns[3:]), (("Model", 0.12), ("Prompt", 0.12)), row_names=3)
