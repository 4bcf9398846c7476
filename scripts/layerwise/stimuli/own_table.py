"""Stimuli from a user's own table of image, text and labels."""

from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.datasets.disk import is_file
from layerwise.datasets.table import read_table, table_columns
from layerwise.datasets.text_files import shown as short
from layerwise.errors import InputError
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.parts import SPLITS


def build_table(entry: dict[str, Any]) -> Stimuli:
    """One item per row of the table; the image is the group that a split keeps together.

    Args:
        entry: the config entry of kind ``table``.

    Raises:
        InputError: on a missing column or image, an empty cell, a repeated id, or an unknown word in the split column.
    """
    file = Path(entry["file"])
    table = read_table(file, table_columns(entry))
    if "id_column" in entry and (repeated := table.index[table[entry["id_column"]].duplicated()]).size:
        raise InputError(
            f"{file}, row {repeated[0] + 2}: the id {short(table[entry['id_column']][repeated[0]])} is in a row above "
            "too; ids must be unique"
        )
    root = Path(entry.get("image_root", file.parent))
    images = table[entry["image_column"]]
    paths = [str(root / image) for image in images]
    for row, path in enumerate(paths):
        if not is_file(path):
            raise InputError(f"{file}, row {row + 2}: there is no image {path[:300]}; relative paths start from {root}")
    parts = table[entry["split_column"]] if "split_column" in entry else pd.Series("all", index=table.index)
    if "split_column" in entry and (unknown := table.index[~parts.isin(SPLITS)]).size:
        column, word = entry["split_column"], parts[unknown[0]]
        raise InputError(f"{file}, row {unknown[0] + 2}: {column!r} is {short(word)}, not one of {', '.join(SPLITS)}")
    if "split_column" in entry and (parts.groupby(images).nunique() > 1).any():
        image = parts.groupby(images).nunique().gt(1).idxmax()
        raise InputError(
            f"{file}: rows of the image {short(image)} are in different splits; images must not be shared by splits"
        )
    shown = pd.DataFrame({"item_id": table[entry["id_column"]] if "id_column" in entry else table.index.astype(str)})
    shown["image"] = paths
    if "text_column" in entry:
        shown["text"] = table[entry["text_column"]]
    # A blank at the end of a cell, which nobody sees, makes no class of its own.
    labels = {f"label:{column}": table[column].str.strip() for column in entry["labels"]}
    provenance = pd.DataFrame(
        {"item_id": shown["item_id"], "image_id": images, "group": images, "part": parts, **labels}
    )
    order = provenance.sort_values("image_id", kind="stable").index
    return Stimuli(
        shown=shown.loc[order].reset_index(drop=True),
        provenance=provenance.loc[order].reset_index(drop=True),
        categories=[],
        notes={},
    )
