"""Say in a line why Snakemake runs a job: which files, and which entries of its params.

Snakemake prints all files that are missing or new, and both values of every param that changed. Ours hold whole entries
of the config as JSON, so that one changed key takes kilobytes.
"""

import ast
import json
import logging
import re
from contextlib import suppress
from typing import Any

# Files of a list that are named, and characters of a value that is shown.
FILES, VALUE = 3, 40
_LISTS = (
    "Missing output files",
    "Incomplete output files",
    "Updated input files",
    "Input files updated by another job",
)
_PARAMS = re.compile(r"(Params have changed since last execution): .*?before: (.*)", re.DOTALL)


def shorten_reasons() -> None:
    """Have Snakemake's log say reasons as :func:`short` does."""

    def shorten(record: logging.LogRecord) -> bool:
        if isinstance(getattr(record, "reason", None), str):
            record.reason = short(record.reason)
        return True

    logging.getLogger("snakemake.logging").addFilter(shorten)


def short(reason: str) -> str:
    """A reason of Snakemake's, with a few files of each list, and of params only the entries that changed."""
    before_params, found, params = reason.partition("Params have changed")
    parts = [_some_files(part) for part in before_params.split("; ") if part]
    return "; ".join([*parts, *([_changed(found + params)] if found else [])])


def _some_files(part: str) -> str:
    title, found, files = part.partition(": ")
    names = files.split(", ")
    if title not in _LISTS or not found or len(names) <= FILES:
        return part
    return f"{title}: {', '.join(sorted(names)[:FILES])} and {len(names) - FILES} more"


def _changed(part: str) -> str:
    if not (match := _PARAMS.match(part)):
        return part
    title, values = match.groups()
    sides = _sides(values)
    if not sides:
        return title
    (old, old_rest), (new, new_rest) = sides
    said = [
        _difference(key, old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    ]
    if old_rest != new_rest:
        said.append(_difference("other params", old_rest, new_rest))
    return f"{title}: {', '.join(said)}"


def _sides(values: str) -> list[tuple[dict[str, Any], list[Any]]]:
    """What was before, and what is now; nothing where it cannot be read."""
    # A value may hold the word that stands between both.
    for word in re.finditer(" now: ", values):
        with suppress(ValueError, SyntaxError):
            return [_entries(side.strip()) for side in (values[: word.start()], values[word.end() :])]
    return []


def _entries(side: str) -> tuple[dict[str, Any], list[Any]]:
    """The entries of all params of one side that are JSON objects or a digest of code, and the other params."""
    entries: dict[str, Any] = {}
    rest = []
    for value in [] if side == "<nothing exclusive>" else ast.literal_eval(f"[{side}]"):
        if isinstance(value, str) and value.startswith("{"):
            entries |= json.loads(value)
        elif isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value):
            entries["code"] = value
        else:
            rest.append(value)
    return entries, rest


def _difference(key: str, old: Any, new: Any) -> str:
    """The key, of mappings the keys in them, with both values where they are short."""
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        return ", ".join(_difference(f"{key}.{name}", old.get(name), new.get(name)) for name in changed)
    before, now = (json.dumps(value, default=str) for value in (old, new))
    return f"{key} ({before} before, {now} now)" if max(len(before), len(now)) <= VALUE else key
