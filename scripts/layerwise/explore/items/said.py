"""What a model says of some items: the class of its most probable answer, and what it wrote."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.special import softmax

from layerwise.answers.table import KEY, Answers
from layerwise.errors import InputError
from layerwise.probes.metrics.margins import predicted


def said(path: Path, classes: list[str], item_ids: pd.Index) -> pd.DataFrame | None:
    """The class that a model says of each item, at the top.

    Only the rows of these items are kept, for a table of answers has each item in every layer.

    Args:
        path: of a table of answers.
        classes: of the task.
        item_ids: the items.

    Returns:
        A row per item, in their order: ``said`` (class), ``p`` (its probability among the answers of these classes).
        None if the answers are those of other classes.

    Raises:
        InputError: the file is missing or damaged, or lacks an item or some of the classes.
    """
    try:
        top = pc.max(pq.read_table(path, columns=["layer"])["layer"])
        asked = (pc.field("layer") == top) & pc.field("item_id").isin(item_ids.unique().tolist())
        rows = pq.read_table(path, columns=["layer", "item_id", "scores", "mass"], filters=asked)
        told = json.loads(pq.read_schema(path).metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as answers ({error}); delete it and run again") from error
    if not set(classes) & set(told["classes"]):
        return None
    if missing := [name for name in classes if name not in told["classes"]]:
        raise InputError(f"{path}: has no answers for {', '.join(missing)}; name words for all classes in `answers`")
    answers = Answers(told["classes"], told["tokens"], told["cell"], rows.to_pandas())
    table = answers.table.set_index("item_id")
    if len(unknown := item_ids.difference(table.index)):
        raise InputError(f"{path}: has no answer for item {unknown[0]!r}; delete it and run again")
    table = table.loc[item_ids].reset_index()
    margins = answers.margins(classes, table)
    found = predicted(margins)
    logits = np.concatenate([np.zeros_like(margins), margins], axis=1) if len(classes) == 2 else margins
    p = softmax(logits.astype(np.float64), axis=1)[np.arange(len(found)), found]
    return pd.DataFrame({"said": np.asarray(classes, dtype=object)[found], "p": p})


def written(path: Path, item_ids: pd.Index) -> pd.DataFrame:
    """What a model wrote about each item.

    Returns:
        A row per item, in their order: ``written`` (text), ``written_class`` (that it says; empty where it says none).

    Raises:
        InputError: the file is missing or damaged, or lacks an item.
    """
    try:
        asked = pc.field("item_id").isin(item_ids.unique().tolist())
        rows = pq.read_table(path, columns=["item_id", "text", "class"], filters=asked).to_pandas().set_index("item_id")
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as written answers ({error}); delete it and run again") from error
    if len(unknown := item_ids.difference(rows.index)):
        raise InputError(f"{path}: has no answer for item {unknown[0]!r}; delete it and run again")
    rows = rows.loc[item_ids]
    return pd.DataFrame({"written": rows["text"].to_numpy(), "written_class": rows["class"].fillna("").to_numpy()})
