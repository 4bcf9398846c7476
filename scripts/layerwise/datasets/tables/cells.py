"""What a row of a table holds."""

from typing import Any, NamedTuple


class Picture(NamedTuple):
    """A picture in a cell: its file's content, its path, or both. A cell without either is None."""

    content: bytes | None
    path: str | None

    def __repr__(self) -> str:
        # Messages show cells, and must not show megabytes.
        held = "None" if self.content is None else f"<{len(self.content)} bytes>"
        return f"Picture(content={held}, path={self.path!r})"


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        where: the row as messages name it: ``my.csv, row 7``; in JSON lines ``my.jsonl, line 7``; in JSON ``my.json,
            record 7`` or ``my.json, key 'a7'``. The header of a CSV is row 1, and the first row of a Parquet file is
            row 2 too.
        cells: by column: text, number, truth value, :class:`Picture` or None, or lists and mappings of these.
    """

    where: str
    cells: dict[str, Any]
