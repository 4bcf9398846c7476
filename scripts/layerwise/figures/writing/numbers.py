"""The table of numbers for reading: the best layer of each cell beside the topmost block."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.best_layers import ranges
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, p_in_words


def number_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task: R² times 100, intervals in brackets.

    Args:
        table: see :mod:`layerwise.compare.numbers`.
    """
    note = (
        f"Test R² × 100 with 95 % intervals over images. {HOLDS_FOR} The best layer is chosen on the validation split "
        "(embeddings = 0; the lowest of equals). p: two-sided, corrected over all rows by Holm's method. A dash: the "
        "best layer is the topmost, or there are too few images or shared texts for a test. As good: layers that are "
        "not worse than the best one at the level of 5 %, corrected over the row's layers. Selectivity: the best "
        "layer's R² less that of permuted numbers. Training mean: always giving the mean of the training items. "
        "Error: the best layer's mean absolute error, in the numbers' own unit."
    )
    sections = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Best layer": [
                    f"{best} / {top}" for best, top in zip(rows["best_layer"], rows["top_layer"], strict=True)
                ],
                "Best": with_interval(rows, "best"),
                "Top block": with_interval(rows, "top"),
                "Best − top": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
                "As good": [ranges(layers) or "–" for layers in rows["not_worse"]],
                "Selectivity": [number(100 * value, ".1f") for value in rows["selectivity"]],
                "Final norm": [number(100 * value, ".1f") for value in rows["norm"]],
                "Training mean": [number(100 * value, ".1f") for value in rows["training_mean"]],
            }
        )
        if rows["error"].notna().any():
            unit = rows["unit"].iloc[0]
            shown[f"Error ({unit})" if unit else "Error"] = _errors(rows)
        mean = ", mean over labels" if rows["label"].iloc[0] == "macro" else ""
        names = (("Model", 0.12), ("Prompt", 0.11))
        title = f"{task}: {metric_name('r2')}{mean}"
        sections.append(Section(title, shown, note, tuple(shown.columns[2:]), names, row_names=2))
    return sections


def number_sentence(row: Mapping[str, Any]) -> str:
    """One row as a plain sentence, such as "count (prompt short): llava reads it best in block 3 (R² 0.81 [...])...".

    Args:
        row: of the table.
    """
    score, low, high, top, mean = (
        number(row[name], ".2f") for name in ("best", "best_low", "best_high", "top", "training_mean")
    )
    best = int(row["best_layer"])
    where = "the topmost block" if best == row["top_layer"] else f"block {best}" if best else "the embeddings"
    said = f"{row['task']} (prompt {row['prompt']}): {row['model']} reads it best in {where} "
    said += f"({metric_name('r2')} {score} [{low}, {high}])"
    said += f", in the topmost block {top}" if best != row["top_layer"] else ""
    return f"{said}; always giving the mean of the training items gives {mean}."


def _errors(rows: pd.DataFrame) -> list[str]:
    """Mean absolute errors with their intervals, as they are."""
    parts = ([number(value, ".3g") for value in rows[name]] for name in ("error", "error_low", "error_high"))
    return [f"{value} [{low}, {high}]" for value, low, high in zip(*parts, strict=True)]
