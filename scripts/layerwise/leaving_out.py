"""Run a study without some of its models, for instance one that failed, and say so wherever its figures are shown."""

from typing import Any

from layerwise.embedded_models import embedded_name, seed_of
from layerwise.errors import InputError


def leave_out(config: dict[str, Any]) -> list[str]:
    """Take the models that ``leave_out`` names out of a validated config, wherever it speaks of them.

    A model's versions with an intervention go with it, as they are shown beside it.

    Returns:
        The names that were taken out, sorted.

    Raises:
        InputError: when a model is not there, or none is left.
    """
    named, models = set(config["leave_out"]), config["models"]
    if unknown := sorted(named - set(models)):
        raise InputError(f"leave_out: there is no model {unknown[0]!r}; models has {', '.join(models)}")
    runs = {name: _what_runs(config, name) for name in models}
    sources = {runs[name] for name in named if "intervention" not in models[name]}
    named |= {name for name, entry in models.items() if "intervention" in entry and runs[name] in sources}
    if named == set(models):
        raise InputError("leave_out: there is no model left; leave out fewer")
    # Models that nobody is left to need are not trained.
    trained = {name: embedded_name(config, name) for name in models}
    for name in {trained[name] for name in named} - {trained[name] for name in models if name not in named} - {None}:
        del config["embedded_models"][name]
    flow = config["flow"]
    had_flows = bool(flow["models"])
    for name in named:
        del models[name]
        flow["models"].pop(name, None)
    # Questions that nobody is left to answer.
    if had_flows and not flow["models"]:
        flow["questions"].clear()
    sites = config["states"]["sites_of"]
    if "models" in sites:
        sites["models"] = [name for name in sites["models"] if name not in named]
    return sorted(named)


def said_of(left_out: list[str]) -> str:
    """The note on a figure or table that models are missing from; nothing where none is."""
    return f"Partial: without {', '.join(left_out)}." if left_out else ""


def _what_runs(config: dict[str, Any], name: str) -> tuple[str | int | None, ...]:
    entry = config["models"][name]
    seed = seed_of(config, name) if entry["weights"] == "random" else None
    return entry["source"], embedded_name(config, name), entry.get("revision"), entry["weights"], seed
