"""Read the rows of tables: one by one, or as a whole."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.datasets.tables import parquet
from layerwise.datasets.tables.cells import Row
from layerwise.datasets.tables.columns import check_columns, check_readable, reader_of
from layerwise.datasets.tables.files import ending_of
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError


def read_rows(files: Sequence[Path], columns: Sequence[str]) -> Iterator[Row]:
    """The rows of all files, one after the other. The headers are checked at once, the rows read when asked for.

    Cells of CSV and TSV are text, empty ones None. In Parquet files, numbers of classes come as their names (see
    :func:`layerwise.datasets.tables.class_names`), and bytes, alone or with a path, as a
    :class:`~layerwise.datasets.tables.Picture`; times come as text. A number that is none (NaN) is None.

    Args:
        files: with the same columns, see :func:`layerwise.datasets.tables.table_files`.
        columns: to read; others are not looked at.

    Raises:
        InputError: as :func:`layerwise.datasets.tables.check_readable`; when a file cannot be read; or on a row with
            more cells than the header, a class without a name, or no JSON. It names the file, the row and the fix.
    """
    check_readable(files, columns)
    return chain.from_iterable(reader_of(file).rows(file, columns) for file in files)


def read_table(file: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read ``columns`` of ``file`` as text, one stimulus per row.

    Raises:
        InputError: when the file cannot be read, a column is missing or holds no text or numbers, or a cell is empty
            (by its row: the header of a CSV is row 1).
    """
    file = Path(file)
    check_columns(file, columns)
    if ending_of(file) == ".parquet":
        table = parquet.whole(file, columns)
        where = [f"{file}, row {number}" for number in range(2, len(table) + 2)]
    else:
        rows = [_of_text(row) for row in reader_of(file).rows(file, list(dict.fromkeys(columns)))]
        table = pd.DataFrame([row.cells for row in rows], columns=list(dict.fromkeys(columns)), dtype=object)
        where = [row.where for row in rows]
    if table.empty:
        raise InputError(f"{file}: the table has no rows")
    text = table[list(columns)].astype(str)
    for column in columns:
        if (empty := table.index[table[column].isna() | (text[column].str.strip() == "")]).size:
            raise InputError(f"{where[empty[0]]}: the column {column!r} is empty")
    return text


def read_cells(file: str | Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The cells of ``columns`` in ``file``, row by row, as they are. Of CSV and TSV, empty ones are empty text.

    Raises:
        InputError: as :func:`check_columns`, or when the file cannot be read.
    """
    file = Path(file)
    check_columns(file, columns)
    if ending_of(file) == ".parquet":
        yield from parquet.cells(file, columns)
        return
    is_text = ending_of(file) in (".csv", ".tsv")
    for row in reader_of(file).rows(file, list(dict.fromkeys(columns))):
        cells = [row.cells[column] for column in columns]
        yield ["" if cell is None else cell for cell in cells] if is_text else cells


def _of_text(row: Row) -> Row:
    for column, cell in row.cells.items():
        if isinstance(cell, dict | list):
            raise InputError(
                f"{row.where}: the column {column!r} holds {shown(cell)}, not text or a number; take another column"
            )
    return row
