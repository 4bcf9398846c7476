"""Run a study without some of its models, for instance one that failed, and say so wherever its figures are shown."""

from typing import Any

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
    sources = {_what_runs(entry) for name, entry in models.items() if name in named and "intervention" not in entry}
    named |= {name for name, entry in models.items() if "intervention" in entry and _what_runs(entry) in sources}
    if named == set(models):
        raise InputError("leave_out: there is no model left; leave out fewer")
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


def _what_runs(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["source"], str(entry.get("revision")), entry["weights"]
