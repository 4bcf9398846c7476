"""The files of a trained route: the route itself, and what a probe in its place finds.

``{route}.safetensors``: see :mod:`layerwise.models.interventions.route_paths`.

``{route}.control.parquet`` has the columns of a probe's predictions (docs/formats.md), with the number of the last
block as ``layer``. Its metadata say what the route and the probe are, and what they were trained on.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.errors import InputError

KEY = b"layerwise.route"


class RouteFiles(NamedTuple):
    """The files of a route, by what they hold. The route is written last."""

    control: Path
    route: Path


def write_control(path: Path, predictions: pd.DataFrame, about: dict[str, Any]) -> None:
    """Write the held-out predictions of the probe, and what is known of it and of the route."""
    table = pa.Table.from_pandas(predictions, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about)}), path)


def read_control_about(path: str | Path) -> dict[str, Any]:
    """What the file of a control says of the route and the probe.

    Raises:
        InputError: when the file is missing, or is no such file.
    """
    try:
        return json.loads(pq.read_schema(path).metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a route's control ({error}); delete it and run again") from error


def control_cell(path: str | Path) -> tuple[str, str, str, str]:
    """Model, task, prompt and route of a control, as its path names them. Contents hold no names."""
    path = Path(path)
    model, task, prompt = path.parts[-4:-1]
    return model, task, prompt, path.name.removesuffix(".control.parquet")
