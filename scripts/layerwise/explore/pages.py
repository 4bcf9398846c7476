"""Read the pages of figures and tables, which :mod:`layerwise.figures` wrote."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from layerwise.errors import InputError

_TABLE = re.compile(r"<h1>(?P<title>.*?)</h1>\n(?P<body>.*)</body>", re.DOTALL)
_FIGURE = re.compile(
    r"<title>(?P<title>.*?)</title>.*<img src=\"data:image/png;base64,(?P<picture>[^\"]*)\".*"
    r"<figcaption>\n(?P<caption>.*)\n</figcaption>",
    re.DOTALL,
)


@dataclass(frozen=True)
class TablePage:
    """The page of a table: its title and its sections, both HTML."""

    title: str
    sections: str


@dataclass(frozen=True)
class FigurePage:
    """The page of a figure: its title and its caption, both HTML, and the picture, a PNG."""

    title: str
    caption: str
    picture: bytes


def read_table_page(path: Path) -> TablePage:
    """Read the page of a table, see :func:`layerwise.figures.writing.sections.to_html`.

    Raises:
        InputError: The file is not such a page.
    """
    found = _found(_TABLE, path)
    return TablePage(found["title"], found["body"])


def read_figure_page(path: Path) -> FigurePage:
    """Read the page of a figure, see :func:`layerwise.figures.page.figure_page`.

    Raises:
        InputError: The file is not such a page.
    """
    found = _found(_FIGURE, path)
    return FigurePage(found["title"], found["caption"], base64.b64decode(found["picture"]))


def _found(pattern: re.Pattern[str], path: Path) -> re.Match[str]:
    try:
        found = pattern.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a page ({error}); delete it and run again") from error
    if not found:
        raise InputError(f"{path}: is not a page of this workflow; delete it and run again")
    return found
