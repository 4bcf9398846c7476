"""The gallery: every figure of the study as the paper has it, with its caption and its files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerwise.explore.entry import Content, Part
from layerwise.figures.entry import Contents
from layerwise.figures.planning import flow_figures, pictures

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given

# Characters of pictures within the page. Later ones stay beside it.
WITHIN = 10_000_000


def read(study: Contents) -> list[str]:
    """What the gallery shows: figures of the whole study, and those of information flow in single models."""
    return [name for name, found in (("figures", pictures(study)), ("flow-figures", flow_figures(study))) if found]


def make(given: Given, views: Sequence[str]) -> Content:
    groups = {
        title: [_figure(path) for path in given.paths(name)]
        for name, title in (("figures", "Of the whole study"), ("flow-figures", "Information flow, by model"))
        if given.files.get(name)
    }
    left = WITHIN
    for figures in groups.values():
        # The report's titles begin with the places of the figures.
        figures.sort(key=lambda figure: figure["place"])
        for figure in figures:
            figure["picture"] = _data_url(figure.pop("dots")) if left > 0 else None
            left -= len(figure["picture"] or "")
    return Content({"groups": groups, "some_beside": left <= 0})


def _figure(path: Path) -> dict[str, Any]:
    """What the template shows of the figure of a page."""
    from markupsafe import Markup

    from layerwise.explore.pages import read_figure_page

    page = read_figure_page(path)
    place, _, title = page.title.partition(" ")
    if not place.isdigit():
        place, title = "", page.title
    return {
        "place": place,
        "title": Markup(title),
        "caption": Markup(page.caption),
        "dots": page.picture,
        "files": [path.with_suffix(f".{suffix}") for suffix in ("png", "svg", "pdf")],
    }


def _data_url(png: bytes) -> str:
    """The same dots as lossless WebP, within the page.

    Of the demo's 28 figures, 27 are smaller so than as SVG (3.3 MB together), and all are than as PNG (5.9 MB).
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, format="WEBP", lossless=True, quality=50, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


PART = Part(place=50, title="All figures", reads=read, exists=lambda study: bool(read(study)), make=make)
