"""Read a user's own stimuli: a CSV or Parquet file of image, text and labels."""

from pathlib import Path

import pandas as pd

from layerwise.errors import InputError


def read_table(file: str | Path, columns: list[str]) -> pd.DataFrame:
    """Read ``columns`` of ``file`` as text, one stimulus per row.

    Raises:
        InputError: when the file cannot be read, a column is missing, or a cell is empty (by its row: the header of
            a CSV is row 1).
    """
    file = Path(file)
    if file.suffix not in (".parquet", ".csv"):
        raise InputError(f"{file}: a table is a .csv or .parquet file")
    try:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            # Text throughout: an id like 007 stays what it is, and a caption "None" is no missing value.
            table = pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a table ({error})") from error
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{file}: there is no column {column!r}; it has {', '.join(map(str, table.columns))}")
        if (empty := table.index[table[column].isna()]).size:
            raise InputError(f"{file}, row {empty[0] + 2}: the column {column!r} is empty")
    if table.empty:
        raise InputError(f"{file}: the table has no rows")
    return table[columns].astype(str)
