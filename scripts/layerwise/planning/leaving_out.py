"""Run a study without some of its models, for instance one that failed, and say so wherever its figures are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from layerwise.embedded_models import embedded_name, seed_of
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.config.lens import Lens
    from layerwise.config.likeness import Likeness
    from layerwise.config.models import Model
    from layerwise.config.pooled import Pooled
    from layerwise.config.probes import KindsOf
    from layerwise.config.specifications import Specifications
    from layerwise.config.states import SitesOf
    from layerwise.config.study import StudyConfig
    from layerwise.config.tower import Tower
    from layerwise.config.used import Used

# Sections that may name the models that they are about.
Naming = TypeVar("Naming", "SitesOf", "KindsOf", "Likeness", "Specifications", "Used", "Lens", "Tower", "Pooled")


def leave_out(config: StudyConfig) -> tuple[StudyConfig, list[str]]:
    """The config without the models that ``leave_out`` names, wherever it speaks of them.

    A model's versions with an intervention go with it, as they are shown beside it. The name of an entry with ``seeds``
    stands for all its draws.

    Returns:
        The config, and the names that were taken out, sorted.

    Raises:
        InputError: when a model is not there, or none is left.
    """
    models = config.models
    draws: dict[str, set[str]] = {}
    for name, entry in models.items():
        draws.setdefault(entry.draw_of or name, set()).add(name)
    named = set[str]().union(*(draws.get(name, {name}) for name in config.leave_out))
    if unknown := sorted(named - set(models)):
        raise InputError(f"leave_out: there is no model {unknown[0]!r}; models has {', '.join(models)}")
    if not named:
        return config, []
    runs = {name: _what_runs(config, name) for name in models}
    sources = {runs[name] for name in named if models[name].intervention is None}
    named |= {name for name, entry in models.items() if entry.intervention is not None and runs[name] in sources}
    left = {name: _compared_with(entry, named) for name, entry in models.items() if name not in named}
    if not left:
        raise InputError("leave_out: there is no model left; leave out fewer")
    # Models that nobody is left to need are not trained.
    needed, unneeded = ({embedded_name(config, name) for name in names} for names in (left, named))
    trained = {name: entry for name, entry in config.embedded_models.items() if name not in unneeded - needed}
    asked = {name: entry for name, entry in config.flow.models.items() if name not in named}
    # Questions that nobody is left to answer.
    questions = {} if config.flow.models and not asked else config.flow.questions
    changed = {
        "models": left,
        "embedded_models": trained,
        "flow": config.flow.model_copy(update={"models": asked, "questions": questions}),
        "states": config.states.model_copy(update={"sites_of": _without(config.states.sites_of, named)}),
        "probes": config.probes.model_copy(update={"kinds_of": _without(config.probes.kinds_of, named)}),
        "likeness": _without(config.likeness, named),
        "specifications": None if config.specifications is None else _without(config.specifications, named),
        "used": None if config.used is None else _without_routes(_without(config.used, named), named),
        "lens": None if config.lens is None else _without(config.lens, named),
        "tower": None if config.tower is None else _without(config.tower, named),
        "pooled": None if config.pooled is None else _without(config.pooled, named),
    }
    return config.model_copy(update=changed), sorted(named)


def said_of(left_out: list[str]) -> str:
    """The note on a figure or table that models are missing from; empty if none is."""
    return f"Partial: without {', '.join(left_out)}." if left_out else ""


def _without(section: Naming, names: set[str]) -> Naming:
    """A section of the config without some models, if it names its models."""
    if section.models is None:
        return section
    return section.model_copy(update={"models": [name for name in section.models if name not in names]})


def _without_routes(used: Used, names: set[str]) -> Used:
    """The section without the routes of some models."""
    left = {name: route for name, route in used.routes.items() if route.model not in names}
    return used.model_copy(update={"routes": left})


def _compared_with(entry: Model, names: set[str]) -> Model:
    """A model's entry without the language model that it was made from, if that is one of these."""
    if entry.made_from not in names:
        return entry
    left = entry.model_copy(update={"made_from": None})
    left._draw_of = entry.draw_of
    return left


def _what_runs(config: StudyConfig, name: str) -> tuple[str | int | None, ...]:
    entry = config.models[name]
    seed = seed_of(config, name) if entry.weights == "random" else None
    return entry.source, embedded_name(config, name), entry.revision, entry.weights, seed
