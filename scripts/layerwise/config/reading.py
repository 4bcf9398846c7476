"""Read and check the config of a study. Each error is reported in one line that also says how to fix it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from layerwise.config.base import Section
from layerwise.config.draws import expand_draws
from layerwise.config.sections import section_at, step_into
from layerwise.config.study import StudyConfig
from layerwise.errors import InputError

# What a value must be, by the type of pydantic's error.
MUST_BE = {
    "string_type": "text; put quotes round it",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
# Longest value that a message repeats.
SHOWN = 60
# The same mistake in more places than these is one line.
MOST_PLACES = 3


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        InputError: when the file is missing, or holds no YAML mapping.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path of the config file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold keys and values such as `models:`, found {type(config).__name__}")
    return config


def merge(config: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Merge ``more`` into ``config`` at every depth, as Snakemake merges several config files."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = dict(value) if isinstance(value, Mapping) else value


def validate(config: Mapping[str, Any], context: object = None) -> StudyConfig:
    """Check a config and fill in its defaults; entries with ``seeds`` become several models.

    Args:
        config: what the YAML files of a study say together.
        context: see :class:`layerwise.config.base.FromStudy`.

    Raises:
        InputError: with one line for each error, which begins with the path of its key.
    """
    if unfit := list(_unfit(config, [])):
        raise InputError("the config has values that JSON does not allow:\n" + "\n".join(f"  {line}" for line in unfit))
    if "embedded_model" in config:
        settings = yaml.safe_dump(config["embedded_model"], default_flow_style=True, width=1000).split("\n")[0]
        raise InputError(
            f"embedded_model: the key has a new form; write `embedded_models: {{shapes: {settings}}}`. If you define "
            "several, also write `embedded: NAME` in the entries of `models`"
        )
    try:
        checked = StudyConfig.model_validate(dict(config), context=context, by_alias=True, by_name=False)
    except ValidationError as error:
        lines = _together({_explain(detail, config) for detail in error.errors(include_url=False)})
        raise InputError("the config cannot be used:\n" + "\n".join(f"  {line}" for line in lines)) from None
    return expand_draws(checked)


def _together(lines: Iterable[str]) -> list[str]:
    """One line for what is wrong in many places, as an anchor of YAML puts one mistake into many entries."""
    places: dict[str, list[str]] = {}
    for line in sorted(lines):
        where, said = line.split(": ", 1)
        places.setdefault(said, []).append(where)
    return sorted(
        f"{where}: {said}{f' (and in {len(found) - 1} other places)' if len(found) > MOST_PLACES else ''}"
        for said, found in places.items()
        for where in (found[:1] if len(found) > MOST_PLACES else found)
    )


def _unfit(value: Any, path: list[str]) -> Iterator[str]:
    """Values that YAML allows but a config cannot hold: for each a line with its path and the fix."""
    where = ".".join(path) or "top level"
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                yield f"{where}: YAML reads the key {key!r} as {_kind_of(key)}; put quotes round it"
            yield from _unfit(entry, [*path, str(key)])
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            yield from _unfit(entry, [*path, str(place)])
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: must be a finite number, not {value}"
    elif not (value is None or isinstance(value, str | int | float)):
        yield f"{where}: YAML reads {value} as {_kind_of(value)}; put quotes round it"


def _kind_of(value: object) -> str:
    words = {bool: "true or false", type(None): "nothing", int: "a number", float: "a number"}
    return words.get(type(value), f"a {type(value).__name__}")


def _explain(error: ErrorDetails, config: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a line that a user can act on."""
    kind, place, given = error["type"], list(error["loc"]), error["input"]
    key = str(place.pop()) if kind in ("extra_forbidden", "missing") else ""
    of_key = place[-1:] == ["[key]"]
    path, tags = _path(place[:-2] if of_key else place, config)
    where = ".".join(map(str, path)) or "top level"
    read_as = f" of the kind {tags[-1]}" if tags else ""
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{where}: unknown key {key!r}{_known(key, section_at(StudyConfig, path, config), read_as)}"
    if kind == "missing":
        return f"{where}: the key {key!r} is missing{f' (needed{read_as})' if tags else ''}"
    if kind == "union_tag_not_found":
        return f"{where}: the key {context['discriminator']} is missing"
    if kind == "union_tag_invalid":
        key = context["discriminator"].strip("'")
        where, given = f"{where}.{key}", given[key]
    if given is None and not of_key:
        return f"{where}: has no value; give it one, or leave the key out"
    if kind == "union_tag_invalid":
        return f"{where}: {_shown(given)} is not one of {context['expected_tags'].replace(chr(39), '')}"
    if kind == "literal_error":
        known = context["expected"].replace("'", "").replace(" or ", ", ")
        return f"{where}: {_shown(given)} is not one of {known}"
    if of_key:
        return f"{where}: the name {_shown(given)} {error['msg']}"
    if kind in MUST_BE:
        return f"{where}: must be {MUST_BE[kind]}; found {_shown(given)}"
    if "must" in context:
        quotes = context["must"].startswith("text") and isinstance(given, bool | int | float)
        return f"{where}: {error['msg']}, not {_shown(given)}{'; put quotes round it' if quotes else ''}"
    return f"{where}: {error['msg']}"


def _path(place: Sequence[str | int], config: Any) -> tuple[list[str | int], list[str]]:
    """Split pydantic's path of an error into keys of the config and the kinds that it read their entries as."""
    path: list[str | int] = []
    tags: list[str] = []
    for step in place:
        if (isinstance(config, Mapping) and step in config) or (isinstance(config, list) and isinstance(step, int)):
            config = step_into(config, step)
            path.append(step)
        else:
            tags.append(str(step))
    return path, tags


def _known(key: str, section: type[Section] | None, read_as: str) -> str:
    if section is None:
        return ""
    known = [field.alias or name for name, field in section.model_fields.items()]
    close = get_close_matches(key, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint}; known keys{read_as}: {', '.join(known)}"


def _shown(value: object) -> str:
    said = repr(value)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
