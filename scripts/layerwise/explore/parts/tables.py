"""The tables: every table of the study, to sort, to filter and to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerwise.explore.entry import Content, Part
from layerwise.figures.planning import tables

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given


def make(given: Given, views: Sequence[str]) -> Content:
    from markupsafe import Markup

    from layerwise.explore.libraries import datatables
    from layerwise.explore.pages import read_table_page

    shown, data = {}, {}
    for path in given.paths("tables"):
        page = read_table_page(path)
        files = {suffix: path.with_suffix(f".{suffix}") for suffix in ("csv", "tex")}
        shown[path.stem] = {"title": Markup(page.title), "files": files}
        # A block for each table: the browser reads it when the table is opened.
        texts = {suffix: file.read_text(encoding="utf-8") for suffix, file in files.items()}
        data[f"table-{path.stem}"] = {"html": page.sections.replace("h2>", "h3>")} | texts
    return Content({"tables": shown}, data, [datatables()])


PART = Part(
    place=40,
    title="Tables",
    reads=lambda study: ("tables",),
    exists=lambda study: bool(tables(study)),
    make=make,
)
