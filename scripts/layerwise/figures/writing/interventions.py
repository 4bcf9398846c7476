"""Table 3 for reading: the topmost block with an intervention and without it."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words


def effect_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: see :mod:`layerwise.compare.interventions`.
    """
    note = (
        "Test scores × 100 of the topmost block with 95 % intervals over images, of the model with the intervention "
        f"and as it is. {HOLDS_FOR} {HOW_TESTED} A dash: there are {TOO_FEW}."
    )
    sections = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["base"],
                "Intervention": rows["intervention"],
                "Prompt": rows["prompt"],
                "Top block": with_interval(rows, "changed"),
                "As it is": with_interval(rows, "as_it_is"),
                "Difference": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.14), ("Intervention", 0.2), ("Prompt", 0.1))
        sections.append(Section(title, shown, note, tuple(shown.columns[3:]), texts, row_names=3))
    return sections
