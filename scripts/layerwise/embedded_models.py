"""Which of the models that the workflow trains an entry of ``models`` is, and with which seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.config.models import EmbeddedModel
    from layerwise.config.study import StudyConfig


def embedded_name(config: StudyConfig, model: str) -> str | None:
    """Which of ``embedded_models`` a model entry is: the one that it names, or the only one. None for another source.

    Raises:
        InputError: when there is none of that name, or it names none of several.
    """
    entry, known = config.models[model], list(config.embedded_models)
    if entry.source != "embedded":
        return None
    if not known:
        raise InputError(
            f"models.{model}: the source `embedded` is a model that the workflow trains, and the config names none; "
            "write `embedded_models: {shapes: {}}`"
        )
    if entry.embedded is None and len(known) > 1:
        raise InputError(
            f"models.{model}: say which model it is, `embedded: NAME`; embedded_models has {', '.join(known)}"
        )
    name = entry.embedded or known[0]
    if name not in known:
        raise InputError(f"models.{model}.embedded: there is no {name!r}; embedded_models has {', '.join(known)}")
    return name


def training_of(config: StudyConfig, embedded: str) -> EmbeddedModel:
    """How one of ``embedded_models`` is trained, its seed filled in."""
    entry = config.embedded_models[embedded]
    return entry if entry.seed is not None else entry.model_copy(update={"seed": config.seed})


def seed_of(config: StudyConfig, model: str) -> int:
    """What draws the weights of a model entry with random weights."""
    seed = config.models[model].seed
    return config.seed if seed is None else seed
