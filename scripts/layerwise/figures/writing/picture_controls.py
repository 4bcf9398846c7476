"""What each picture of an item is worth, for reading."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words


def best_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of best layers: of each prompt that shows all pictures in order, and below it of its controls.

    Args:
        table: see :mod:`layerwise.compare.picture_controls`.
    """
    return table[table["is_best"]].reset_index(drop=True)


def sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: the rows of best layers.
    """
    note = (
        "Test scores × 100 with 95 % intervals over images, in the layer that is best for the row on validation. Lost: "
        "the score with all pictures in order less that of the row, on the same items. "
        f"{HOLDS_FOR} {HOW_TESTED} A dash: nothing is compared, or there are {TOO_FEW}."
    )
    found = []
    for task, rows in table.groupby("task", sort=False):
        lost = with_interval(rows, "difference", sign="+")
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Shown": rows["shown"],
                "Layer": rows["layer"],
                "Score": with_interval(rows.rename(columns={"low": "value_low", "high": "value_high"}), "value"),
                "Majority": [number(100 * value, ".1f") for value in rows["majority"]],
                "Lost": ["–" if own else value for own, value in zip(rows["control"] == "", lost, strict=True)],
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.12), ("Prompt", 0.12), ("Shown", 0.24))
        found.append(Section(title, shown, note, tuple(shown.columns[3:]), texts, row_names=3))
    return found
