"""Check every link of the built website: its file exists, and its anchor is on that page."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (name == "name" and tag == "a")):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def broken(folder: Path) -> Iterator[str]:
    """Say of each link within the website that leads nowhere on which page it is.

    Args:
        folder: of the built website.
    """
    # The page that is shown in place of a missing one has addresses from the root of a server.
    files = [path for path in sorted(folder.rglob("*.html")) if path.name != "404.html"]
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in files}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            shown = path.relative_to(folder.resolve())
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                yield f"{shown}: {link} leads to no file"
            # The page to play with keeps what one chose behind the number sign.
            elif (
                parts.fragment
                and "=" not in parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].anchors
            ):
                yield f"{shown}: {link} leads to no heading"
