"""Read tables of any data set: CSV, TSV, JSON, JSON lines and Parquet, with the pictures that Parquet cells may hold.

Rows are streamed, because a table of pictures may be larger than memory. A table of text that is needed as a whole
comes from :func:`read_table`.
"""

from layerwise.datasets.tables.cells import Picture, Row
from layerwise.datasets.tables.columns import (
    check_columns,
    check_readable,
    class_names,
    column_names,
    holds_pictures,
    parted_by,
)
from layerwise.datasets.tables.files import table_files
from layerwise.datasets.tables.reading import read_cells, read_rows, read_table

__all__ = [
    "Picture",
    "Row",
    "check_columns",
    "check_readable",
    "class_names",
    "column_names",
    "holds_pictures",
    "parted_by",
    "read_cells",
    "read_rows",
    "read_table",
    "table_files",
]
