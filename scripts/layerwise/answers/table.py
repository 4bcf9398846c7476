"""The table of answers of a cell of hidden states: how probable the model's answers are, layer by layer.

``results/answers/{model}/{stimuli}/{prompt}.parquet`` has a row per layer and item:

- ``layer``: 0 for the embedding output, then the blocks, read through the final norm; the last is the final norm's own
  output, which is what the model says
- ``item_id``
- ``scores``: for each class the log probability of its answers, among the answers of all classes; shape (K,), float32
- ``mass``: the probability of all answers together, among all tokens; NaN where it was not computed

Its metadata name the classes, and the tokens that count for each.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.errors import InputError

COLUMNS = ["layer", "item_id", "scores", "mass"]
KEY = b"layerwise.answers"


@dataclass(frozen=True)
class Answers:
    """A table of answers.

    Attributes:
        classes: in the order of ``scores``.
        tokens: for each class the tokens that count, each with ``id`` and ``text``.
        cell: what the answers were made from: digests of the states' model and stimuli, the prompt.
        table: its rows.
    """

    classes: list[str]
    tokens: dict[str, list[dict[str, Any]]]
    cell: dict[str, Any]
    table: pd.DataFrame

    def margins(self, classes: list[str], rows: pd.DataFrame | None = None) -> np.ndarray:
        """Margins of some classes alone, as probes have them: shape (n, 1) for two classes, else (n, K).

        Args:
            classes: of a task, in the order of its class indices.
            rows: of the table. Default - all.
        """
        scores = np.stack((self.table if rows is None else rows)["scores"].to_numpy())
        chosen = scores[:, [self.classes.index(name) for name in classes]]
        return chosen[:, 1:] - chosen[:, :1] if len(classes) == 2 else chosen


def write_answers(path: str | Path, answers: Answers) -> None:
    """Write a table of answers."""
    table = pa.Table.from_pandas(answers.table[COLUMNS], preserve_index=False)
    said = {"classes": answers.classes, "tokens": answers.tokens, "cell": answers.cell}
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(said)}), path)


def read_answers(path: str | Path) -> Answers:
    """Read a table of answers.

    Raises:
        InputError: when the file is missing, or is no such table.
    """
    try:
        table = pq.read_table(path)
        said = json.loads(table.schema.metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as answers ({error}); delete it and run again") from error
    return Answers(said["classes"], said["tokens"], said["cell"], table.to_pandas())
