"""Where results go: a page of Markdown for people and a line of JSON for each number, both written at once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Results:
    """The files of one section. Every line is on disk before the next measurement begins.

    Attributes:
        folder: where all sections write.
        section: the name of this one.
    """

    def __init__(self, folder: Path, section: str):
        self.folder, self.section = folder, section

    def line(self, text: str = "") -> None:
        """Add a line of Markdown."""
        with open(self.folder / "results.md", "a") as page:
            page.write(text + "\n")

    def table(self, *columns: str) -> None:
        """Begin a table. All columns but the first are numbers."""
        self.line()
        self.line(f"| {' | '.join(columns)} |")
        self.line("| --- |" + " ---: |" * (len(columns) - 1))

    def row(self, cells: Sequence[str], **numbers: Any) -> None:
        """Add a row to the table, and its numbers in full to the records."""
        self.line(f"| {' | '.join(cells)} |")
        self.record(**numbers)

    def record(self, **numbers: Any) -> None:
        """Add a line of JSON."""
        with open(self.folder / "results.jsonl", "a") as records:
            records.write(json.dumps({"section": self.section} | numbers) + "\n")


def recorded(folder: Path, section: str) -> list[dict[str, Any]]:
    """What a section has recorded so far."""
    path = folder / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [record for record in map(json.loads, lines) if record["section"] == section]
