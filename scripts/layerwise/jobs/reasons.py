"""Say in one line why Snakemake runs a job: which files, and which entries of its params.

Snakemake prints every file that is missing or new, and both values of each param that changed. Our params hold whole
config entries as JSON, so a single changed key would print kilobytes.
"""

import ast
import json
import logging
import re
from contextlib import suppress
from typing import Any

# How many files of a list are named, and how many characters of a value are shown.
FILES, VALUE = 3, 40
_LISTS = (
    "Missing output files",
    "Incomplete output files",
    "Updated input files",
    "Input files updated by another job",
)
_PARAMS = re.compile(r"(Params have changed since last execution): .*?before: (.*)", re.DOTALL)


def shorten_reasons() -> None:
    """Make Snakemake's log print reasons as :func:`short` gives them."""

    def shorten(record: logging.LogRecord) -> bool:
        reason = getattr(record, "reason", None)
        if isinstance(reason, str):
            record.__dict__["reason"] = short(reason)
        return True

    logging.getLogger("snakemake.logging").addFilter(shorten)


def short(reason: str) -> str:
    """One of Snakemake's reasons, with a few files of each list and only the entries of params that changed."""
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
    changed = [
        _difference(key, old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    ]
    if old_rest != new_rest:
        changed.append(_difference("other params", old_rest, new_rest))
    return f"{title}: {', '.join(changed)}"


def _sides(values: str) -> list[tuple[dict[str, Any], list[Any]]]:
    """The params before and now; nothing when they cannot be parsed."""
    # A value may contain the words that separate the two sides.
    for word in re.finditer(" now: ", values):
        with suppress(ValueError, SyntaxError):
            return [_entries(side.strip()) for side in (values[: word.start()], values[word.end() :])]
    return []


def _entries(side: str) -> tuple[dict[str, Any], list[Any]]:
    """Entries of the params on one side that are JSON objects or a code digest; then all other params."""
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
    """A key that changed, with both values where they are short. For mappings, the changed keys within them."""
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        return ", ".join(_difference(f"{key}.{name}", old.get(name), new.get(name)) for name in changed)
    before, now = (json.dumps(value, default=str) for value in (old, new))
    return f"{key} ({before} before, {now} now)" if max(len(before), len(now)) <= VALUE else key
