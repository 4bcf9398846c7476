"""What is gained and lost between vision tower, projector and decoder, for reading."""

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words

PARTS = {"tower": "vision tower", "projector": "projector", "decoder": "decoder"}


def read_at(pooling: str, prompt: str) -> str:
    """Where the later part is read."""
    where = "image tokens, mean" if pooling == "image-mean" else "last token"
    return f"{where} ({prompt})" if prompt else where


def sections(table: pd.DataFrame) -> list[Section]:
    """A section per task.

    Args:
        table: see :mod:`layerwise.compare.tower_differences`.
    """
    note = (
        "Test scores × 100 with 95 % intervals over images, each part in the layer that is best on validation. In the "
        "tower it is the mean over the picture's patches, so that a difference from the image tokens' mean is of equal "
        "pooling; one from the last token is not. Later - earlier: below 0 where something is lost. "
        f"{HOLDS_FOR} {HOW_TESTED} A dash among p-values: there are {TOO_FEW}."
    )
    found = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Earlier": rows["first"].map(PARTS),
                "Later": rows["second"].map(PARTS),
                "Read at": list(map(read_at, rows["pooling"], rows["prompt"])),
                "Earlier layer": rows["first_layer"],
                "Earlier score": _scores(rows, "first"),
                "Later layer": rows["second_layer"],
                "Later score": _scores(rows, "second"),
                "Later - earlier": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        texts = (("Model", 0.1), ("Read at", 0.14), ("Earlier layer", 0.1), ("Later layer", 0.08))
        numbers = ("Earlier score", "Later score", "Later - earlier", "p (Holm)")
        found.append(Section(title, shown, note, numbers, texts, row_names=3))
    return found


def _scores(rows: pd.DataFrame, side: str) -> list[str]:
    renamed = rows.rename(columns={f"{side}_value": "score", f"{side}_low": "score_low", f"{side}_high": "score_high"})
    return with_interval(renamed, "score")
