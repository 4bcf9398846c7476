"""Which class checks which part of a config."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from layerwise.config.base import OneOf, Section
from layerwise.config.models import ByKind


def section_at(root: type[Section], path: Sequence[str | int], config: Any) -> type[Section] | None:
    """The class of the section at a path of a config; None if no section is there."""
    found: Any = root
    for step in path:
        found = _choose(found, config)
        if isinstance(found, type) and issubclass(found, Section):
            fields = {field.alias or name: field.annotation for name, field in found.model_fields.items()}
            found = fields.get(str(step))
        elif get_origin(found) in (dict, list):
            found = get_args(found)[-1]
        else:
            return None
        config = step_into(config, step)
    found = _choose(found, config)
    return found if isinstance(found, type) and issubclass(found, Section) else None


def step_into(config: Any, step: str | int) -> Any:
    """What a config has under a key or at a place of a list; None if it has no such thing."""
    if isinstance(config, Mapping):
        return config.get(step)
    return config[step] if isinstance(config, list) and isinstance(step, int) and step < len(config) else None


def _choose(annotation: Any, config: Any) -> Any:
    """An annotation without what is optional; of the classes of several kinds the one that ``config`` is of."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        entries = next((mark.entries() for mark in marks if isinstance(mark, OneOf)), None)
        entries = next(((mark.section(),) for mark in marks if isinstance(mark, ByKind)), entries)
        return _choose(Union[entries] if entries else inner, config)  # noqa: UP007
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    kinds = [_choose(part, config) for part in get_args(annotation) if part is not type(None)]
    return next((kind for kind in kinds if _is_of(kind, config)), kinds[0])


def _is_of(kind: Any, config: Any) -> bool:
    """Whether a mapping is read as this: as entries by name, or as a class whose words, or whose own key, it has."""
    if get_origin(kind) is dict:
        return isinstance(config, Mapping)
    if not (isinstance(kind, type) and issubclass(kind, Section) and isinstance(config, Mapping)):
        return False
    if (key := getattr(kind, "known_by", None)) is not None:
        return key in config
    fields = kind.model_fields
    words = {name: fields[name].annotation for name in ("kind", "format", "about") if name in fields}
    return all(config.get(name) in get_args(word) for name, word in words.items() if get_origin(word) is Literal)
