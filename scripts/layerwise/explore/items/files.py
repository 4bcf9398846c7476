"""The files of sampled test items, which the page is made from; docs/formats.md lists their columns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.explore.items.names import DESCRIPTION
from layerwise.jobs.command import finished_file
from layerwise.several_pictures import each

COLUMNS = {
    "items": ["task", "label", "item_id", "y", "truth", "drawn", "worst", "test_part", "pictures"],
    "texts": ["task", "prompt", "item_id", "text", "shown", "pictures"],
    "margins": ["model", "task", "prompt", "label", "item_id", "by_layer", "predicted"],
    "thumbnails": ["sha256", "media_type", "content", "address", "width", "height"],
}
COLUMNS["margins"] += ["said", "p", "written", "written_class"]
# Columns that may have no value in any row, so that only this says what they hold.
TYPES = {
    "y": pa.float64(),
    "truth": pa.string(),
    "test_part": pa.string(),
    "by_layer": pa.list_(pa.float32()),
    "predicted": pa.list_(pa.int16()),
    "said": pa.string(),
    "p": pa.float64(),
    "written": pa.string(),
    "written_class": pa.string(),
    "content": pa.binary(),
}


@dataclass(frozen=True)
class Sample:
    """Test items of a study that its page shows.

    Attributes:
        items: a row per task, label and item.
        texts: a row per task, prompt and item: what the model is shown.
        margins: a row per model, task, prompt, label and item: what the probes read and what the model says.
        thumbnails: a row per picture.
        description: what the tasks are, and how the items were chosen.
    """

    items: pd.DataFrame
    texts: pd.DataFrame
    margins: pd.DataFrame
    thumbnails: pd.DataFrame
    description: dict[str, Any]

    def only(self, kept: pd.Series) -> "Sample":
        """Some of the items, and what belongs to them.

        Args:
            kept: which rows of ``items``.
        """
        items = self.items[kept]
        texts = self.texts.merge(items[["task", "item_id"]].drop_duplicates(), on=["task", "item_id"])
        named = {one for cells in (items["pictures"], texts["pictures"]) for cell in cells for one in each(cell)}
        return replace(
            self,
            items=items.reset_index(drop=True),
            texts=texts,
            margins=self.margins.merge(items[["task", "label", "item_id"]], on=["task", "label", "item_id"]),
            thumbnails=self.thumbnails[self.thumbnails["sha256"].isin(named)].reset_index(drop=True),
        )


def write_sample(folder: str | Path, sample: Sample) -> None:
    """Write a sample."""
    for name, columns in COLUMNS.items():
        table = getattr(sample, name)[columns]
        schema = pa.schema([(column, TYPES.get(column) or pa.array(table[column]).type) for column in columns])
        with finished_file(Path(folder, f"{name}.parquet")) as file:
            pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), file)
    with finished_file(Path(folder, DESCRIPTION)) as file:
        file.write_text(json.dumps(sample.description, indent=2) + "\n", encoding="utf-8")


def read_sample(folder: str | Path) -> Sample:
    """Read a sample.

    Raises:
        InputError: a file is missing or damaged, or lacks a column.
    """
    tables = {}
    for name, columns in COLUMNS.items():
        path = Path(folder, f"{name}.parquet")
        try:
            tables[name] = pd.read_parquet(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from error
        if missing := [column for column in columns if column not in tables[name]]:
            raise InputError(f"{path}: lacks the columns {', '.join(missing)}; delete it and run again")
    return Sample(**tables, description=read_description(Path(folder, DESCRIPTION), "tasks", "pictures"))


def named_pictures(cells: Sequence[str]) -> list[str]:
    """The checksums of the pictures in some cells, each once."""
    return list(dict.fromkeys(one for cell in cells if cell for one in each(cell)))
