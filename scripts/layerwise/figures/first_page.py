"""The sentences on the first page of the report. Without pandas, because the Snakefile asks whenever it plans."""

import csv
import re
from pathlib import Path

# Characters that reStructuredText gives a meaning to.
MARKUP = re.compile(r"[\\`*_|<>]")


def quoted(table: str | Path) -> list[str]:
    """The sentences of the table "Which layer knows it?" that stand for a task and model, for reStructuredText.

    Args:
        table: its CSV, with the columns ``sentence`` and ``first_page``.

    Returns:
        None of a table that is not there yet.
    """
    if not Path(table).exists():
        return []
    with Path(table).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["first_page"] == "True"]
    return [MARKUP.sub(lambda found: "\\" + found[0], row["sentence"]) for row in rows]
