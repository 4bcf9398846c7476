"""The tables: every table of the study, to sort, to filter and to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from layerwise.explore.entry import Content, Part
from layerwise.figures.planning import tables

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given


def make(given: Given, views: Sequence[str]) -> Content:
    from markupsafe import Markup

    from layerwise.explore.libraries import datatables
    from layerwise.explore.pages import read_table_page

    # 0.6 MB that the browser runs when a table is opened. With 2,000 rows of 16 columns, pages of 50 rows are sorted in
    # half the time that all rows take; its fixed columns would take twice as long as `sticky` in tables.css does.
    shown: dict[str, Any] = {}
    data: dict[str, Any] = {"datatables": datatables()}
    for path in given.paths("tables"):
        page = read_table_page(path)
        files = {suffix: path.with_suffix(f".{suffix}") for suffix in ("csv", "tex")}
        shown[path.stem] = {"title": Markup(page.title), "files": files}
        # A block for each table: the browser reads it when the table is opened.
        texts = {suffix: file.read_text(encoding="utf-8") for suffix, file in files.items()}
        data[f"table-{path.stem}"] = {"html": _within_a_part(page.sections)} | texts
    return Content({"tables": shown}, data)


def _within_a_part(sections: str) -> str:
    """The sections with headings of the level that they have on the page, and long notes to open."""
    noted = sections.replace("<p>", '<details class="note"><summary>How to read it</summary><p>')
    return noted.replace("</p>", "</p></details>").replace("h2>", "h3>")


PART = Part(
    place=40,
    title="Tables",
    reads=lambda study: ("tables",),
    exists=lambda study: bool(tables(study)),
    make=make,
)
