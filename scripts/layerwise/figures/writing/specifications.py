"""Specification curves for reading: a row for each model and task."""

import numpy as np
import pandas as pd

from layerwise.figures.writing.sections import Section, number
from layerwise.figures.writing.words import TOO_FEW, p_in_words
from layerwise.probes.specifications import CHOICES

_NAMES = {"C": "penalty", "train_share": "training images"}


def curve_sections(table: pd.DataFrame) -> list[Section]:
    """One section, a row per model and task.

    Args:
        table: see :mod:`layerwise.compare.specifications`.
    """
    note = (
        "Effect: test score × 100 of the best layer below the top, chosen on validation, less that of the topmost "
        "block. Own: the effects of what the study itself does, one per prompt. Above 0, significantly better or "
        "worse: shares of the specifications. p of the median and of the share significantly better: from swaps of the "
        "two layers, the same in all specifications, or from drawn curves where images share texts; a dash if there "
        f"are {TOO_FEW}. Moved most by: the choice that explains most of the variance of the effects on its own."
    )
    rows = []
    for (model, task), curve in table.groupby(["model", "task"], sort=False):
        first = curve.iloc[0]
        moved = {_NAMES.get(choice, choice): first[f"moved_by_{choice}"] for choice in CHOICES}
        most = max(moved, key=lambda choice: np.nan_to_num(moved[choice]))
        rows.append(
            {
                "Model": model,
                "Task": task,
                "Specifications": f"{len(curve)} of {first['possible']}",
                "Own": ", ".join(number(100 * effect, "+.1f") for effect in curve.loc[curve["own"], "effect"]),
                "Median": number(100 * first["median"], "+.1f"),
                "p": p_in_words(first["p_median"], False),
                "Above 0": _percent(first["share_above"]),
                "Significantly better": _percent(first["share_better"]),
                "p of that share": p_in_words(first["p_share"], False),
                "Significantly worse": _percent(first["share_worse"]),
                "Moved most by": "–" if np.isnan(moved[most]) else f"{most} ({_percent(moved[most])})",
            }
        )
    shown = pd.DataFrame(rows)
    names = (("Model", 0.15), ("Task", 0.12))
    return [
        Section(
            "Best layer below the top less topmost block", shown, note, tuple(shown.columns[2:]), names, row_names=2
        )
    ]


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{number(100 * share, '.0f')} %"
