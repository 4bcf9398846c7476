"""The examples of docs/extending.md: which file each block belongs to, and how to add it.

A line before a block says where it goes: a file of its own (```` `path`: ````), a place in a file (```` In `path`,
after `text`: ````: behind the first line that holds the text), or the study's file. Other blocks show how to use
something.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).resolve().parent.parent / "docs/extending.md"
STUDY = "my-study.yaml"
SECTION = re.compile(r"## (.+)")
BLOCK = re.compile(r"```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN_FILE = re.compile(r"`([^`]+)`:")
PLACE = re.compile(r"In `([^`]+)`, after `([^`]+)`:")
IN_STUDY = "In the study file:"


@dataclass(frozen=True)
class Block:
    """A block of the page.

    Attributes:
        section: the heading above it.
        file: where it goes.
        text: what it holds.
        after: text of the line that it goes behind; None for a file of its own.
    """

    section: str
    file: str
    text: str
    after: str | None = None


def blocks(page: str | None = None) -> list[Block]:
    """All blocks of the page that go somewhere, in its order.

    Args:
        page: its text. Default: that of docs/extending.md.
    """
    page = PAGE.read_text(encoding="utf-8") if page is None else page
    found = []
    for section, text in zip(*[iter(SECTION.split(f"\n{page}")[1:])] * 2, strict=True):
        for block in BLOCK.finditer(text):
            before = text[: block.start()].rstrip().rsplit("\n", 1)[-1]
            if before == IN_STUDY:
                found.append(Block(section, STUDY, block[1]))
            elif own := OWN_FILE.fullmatch(before):
                found.append(Block(section, own[1], block[1]))
            elif place := PLACE.fullmatch(before):
                found.append(Block(section, place[1], block[1], place[2]))
    return found


def add_code(folder: Path, *sections: str) -> None:
    """Add to a copy of the project what the page says, but for the study's file.

    Args:
        folder: of the copy.
        sections: headings of what to add. Default: all.

    Raises:
        ValueError: when a file that is to be made is there, or the text of a place is not.
    """
    for block in blocks():
        path = folder / block.file
        if block.file == STUDY or (sections and block.section not in sections):
            continue
        if block.after is None:
            if path.exists():
                raise ValueError(f"{block.file} is there already")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            continue
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        place = next((number for number, line in enumerate(lines, 1) if block.after in line), None)
        if place is None:
            raise ValueError(f"{block.file} has no line with {block.after}")
        path.write_text("".join([*lines[:place], block.text, *lines[place:]]), encoding="utf-8")


def added_to(study: dict[str, Any]) -> dict[str, Any]:
    """A study with all that the page adds to its file."""
    for block in blocks():
        if block.file == STUDY:
            study = _merged(study, yaml.safe_load(block.text))
    return study


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    return new
