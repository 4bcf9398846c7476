"""The measures of a cell: ``results/likeness/{model}/{stimuli}/{prompt}.parquet``.

It has a row per position, layer and measure. Columns: ``position``; ``layer`` (0 for the embedding output),
``layer_name``, ``n_layers`` (blocks of the model); ``width``; ``n_items``; and those of
:class:`layerwise.likeness.measures.Measured`.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from layerwise.errors import InputError
from layerwise.likeness.measures import Measured

COLUMNS = ["position", "layer", "layer_name", "n_layers", "width", "n_items", *Measured._fields]


def read_measures(path: str | Path) -> pd.DataFrame:
    """Read the measures of a cell.

    Raises:
        InputError: when the file is missing, or is no such table.
    """
    try:
        return pd.read_parquet(path, columns=COLUMNS)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as measures of layers ({error}); delete it and run again") from error
