"""Models against the language models that they were made from, for reading."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words


def sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: see :mod:`layerwise.compare.language_models`.
    """
    note = (
        "Test scores × 100 with 95 % intervals over images, of the multimodal model and of the language model that it "
        f"was made from, in prompts without an image. {HOLDS_FOR} {HOW_TESTED} A dash: there are {TOO_FEW}."
    )
    found = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Made from": rows["base"],
                "Prompt": rows["prompt"],
                "At": rows["at"],
                "Layers": [f"{ours}, {theirs}" for ours, theirs in zip(rows["layer"], rows["base_layer"], strict=True)],
                "Model's score": with_interval(rows, "score"),
                "Language model's": with_interval(rows, "base_score"),
                "Difference": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.12), ("Made from", 0.12), ("Prompt", 0.1))
        found.append(Section(title, shown, note, tuple(shown.columns[4:]), texts, row_names=3))
    return found
