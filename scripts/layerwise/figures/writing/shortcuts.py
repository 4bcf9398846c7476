"""Best layers beside shortcuts, for reading."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words

# What the columns of :mod:`layerwise.compare.shortcuts` are called, in their order.
NAMES = {
    "words": "Words",
    "picture": "Picture",
    "sum": "Words + picture",
    "product": "Words × picture",
    "text": "Text alone",
}


def sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: see :mod:`layerwise.compare.shortcuts`.
    """
    note = (
        "Test scores × 100 with 95 % intervals over images. Best layer - shortcut: the best layer less the shortcut "
        f"that is best on validation. {HOLDS_FOR} {HOW_TESTED} A dash among the shortcuts: the decoder has no "
        f"tokens of the image, or the model was asked no prompt without it. A dash among p-values: there are {TOO_FEW}."
    )
    found = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame({"Model": rows["model"], "Prompt": rows["prompt"]})
        for column, name in NAMES.items():
            cells = with_interval(rows, column)
            shown[name] = ["–" if missing else cell for cell, missing in zip(cells, rows[column].isna(), strict=True)]
        shown["Best layer"] = with_interval(rows, "best")
        shown["Best shortcut"] = [NAMES[name].lower() for name in rows["shortcut"]]
        shown["Best layer - shortcut"] = with_interval(rows, "difference", sign="+")
        shown["p (Holm)"] = list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"]))
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.1), ("Prompt", 0.08), ("Best shortcut", 0.07))
        numbers = tuple(name for name in shown.columns[2:] if name != "Best shortcut")
        found.append(Section(title, shown, note, numbers, texts, row_names=2))
    return found
