"""Write the project's Markdown as pages of the website.

Every page keeps its place in the repository, so that its links work on a code host and on the website. Files that pages
link to become pages, too: a file of code is shown, and a folder lists its files.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layerwise.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).with_name("zensical.toml")
STYLE = Path(__file__).with_name("website.css")
# A link or a picture: its text, and where it leads, without a title.
LINK = re.compile(r"(?<!\\)\[([^\]\[]*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"^( *)(```+)[^\n]*\n.*?^ *\2 *$", re.MULTILINE | re.DOTALL)
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:")
LANGUAGES = {".yaml": "yaml", ".py": "python", ".smk": "python", ".sh": "bash", ".toml": "toml", ".cff": "yaml"}
# Files as large as this are downloaded rather than shown.
LARGEST_SHOWN = 100_000
# The website's start page, by what it is in the repository.
START = {"README.md": "index.md"}


def sources(root: Path = ROOT) -> list[Path]:
    """The Markdown of the website, relative to the repository: what users and contributors read."""
    named = [root / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found = [*named, *sorted((root / "docs").glob("*.md")), root / "config/README.md", root / "results/README.md"]
    return [path.relative_to(root) for path in found]


def links(text: str) -> Iterator[re.Match[str]]:
    """The links of Markdown, outside of code."""
    code = [match.span() for match in FENCED.finditer(text)]
    code += [match.span() for match in re.finditer(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", text) if "\n\n" not in match[0]]
    # Code within a link's text is not code around a link.
    for match in LINK.finditer(text):
        if not any(start <= match.start() and match.end() <= end for start, end in code):
            yield match


def adapted(text: str) -> str:
    """Markdown of a code host for the website, which asks for more: four spaces within a list, a blank line before one.

    Comments are left out.
    """
    written: list[str] = []
    fence, shift, before = "", 0, ""
    for line in text.splitlines():
        opened = re.match(r" *(```+)", line)
        spaces = len(line) - len(line.lstrip())
        if not fence:
            if re.fullmatch(r" *<!-- .* -->", line):
                continue
            # Two spaces of a bullet and three of a number are one level.
            shift = 4 * -(-spaces // 3) - spaces if spaces else 0
            begins = re.match(r"([-*]|\d+\.) ", line)
            if begins and before and not re.match(r" |#|([-*]|\d+\.) ", before):
                written.append("")
        written.append(" " * shift + line if line.strip() else line)
        if opened and (not fence or line.strip() == fence):
            fence = "" if fence else opened[1]
        before = line
    return "\n".join(written) + "\n"


def write_pages(folder: Path, root: Path = ROOT) -> None:
    """Write all pages but the gallery, and what they link to.

    Args:
        folder: where they go; it is made anew.
        root: of the repository.

    Raises:
        InputError: a page is not in the website's navigation, or a link leads nowhere.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(STYLE, folder / STYLE.name)
    pages = sources(root)
    listed = set(_files(tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["project"]["nav"]))
    for page in pages:
        if START.get(str(page), str(page)) not in listed:
            raise InputError(f"{page}: is not in the website's navigation; add it to `nav` in {SETTINGS.name}")
    # The gallery links to every study.
    wanted = {path.relative_to(root) for path in (root / "config").rglob("*.yaml")}
    for page in pages:
        text = (root / page).read_text(encoding="utf-8")
        text = _linked(text, page, root, set(pages), wanted)
        _write(folder / START.get(str(page), str(page)), adapted(text))
    written: set[Path] = set()
    while left := wanted - written:
        for target in sorted(left):
            written.add(target)
            _write_target(folder, target, root, wanted)


def _linked(text: str, page: Path, root: Path, pages: set[Path], wanted: set[Path]) -> str:
    """A page whose links lead to pages of the website. What must become one is added to ``wanted``."""
    parts, end = [], 0
    for match in links(text):
        address, _, anchor = match[2].partition("#")
        if OUTSIDE.match(match[2]) or not address:
            continue
        target = Path(os.path.normpath(page.parent / address))
        if not (root / target).exists():
            line = text.count("\n", 0, match.start()) + 1
            raise InputError(f"{page}: line {line} links to {address}, which does not exist; correct the link")
        if target in pages:
            place = START.get(str(target), str(target))
        else:
            wanted.add(target)
            place = str(_page_of(target, root))
        here = START.get(str(page), str(page))
        address = os.path.relpath(place, Path(here).parent)
        parts += [text[end : match.start()], f"[{match[1]}]({address}{'#' + anchor if anchor else ''})"]
        end = match.end()
    return "".join([*parts, text[end:]])


def _page_of(target: Path, root: Path) -> Path:
    """The page that shows a file or a folder; a large file is its own."""
    if (root / target).is_dir():
        return target / "index.md"
    return target if (root / target).stat().st_size > LARGEST_SHOWN else Path(f"{target}.md")


def _write_target(folder: Path, target: Path, root: Path, wanted: set[Path]) -> None:
    source, page = root / target, folder / _page_of(target, root)
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.is_file())
        wanted |= {path.relative_to(root) for path in files}
        names = [(path.name, _page_of(path.relative_to(root), root).name) for path in files]
        _write(page, f"# `{target}`\n\n" + "".join(f"- [{name}]({address})\n" for name, address in names))
    elif page.name == source.name:
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, page)
    else:
        code = source.read_text(encoding="utf-8")
        _write(page, f"# `{target}`\n\n````{LANGUAGES.get(source.suffix, 'text')}\n{code.rstrip()}\n````\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _files(nav: Iterable[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from _files(value)
