"""Which of the models that the workflow trains an entry of ``models`` is, and with which seeds."""

from typing import Any

from layerwise.errors import InputError


def embedded_name(config: dict[str, Any], model: str) -> str | None:
    """Which of ``embedded_models`` a model entry is: the one that it names, or the only one. None for another source.

    Raises:
        InputError: when there is none of that name, or it names none of several.
    """
    entry, known = config["models"][model], list(config["embedded_models"])
    if entry["source"] != "embedded":
        return None
    if not known:
        raise InputError(
            f"models.{model}: the source `embedded` is a model that the workflow trains, and the config names none; "
            "write `embedded_models: {shapes: {}}`"
        )
    if "embedded" not in entry and len(known) > 1:
        raise InputError(
            f"models.{model}: say which model it is, `embedded: NAME`; embedded_models has {', '.join(known)}"
        )
    name = entry.get("embedded", known[0])
    if name not in known:
        raise InputError(f"models.{model}.embedded: there is no {name!r}; embedded_models has {', '.join(known)}")
    return name


def training_of(config: dict[str, Any], embedded: str) -> dict[str, Any]:
    """How one of ``embedded_models`` is trained, its seed filled in."""
    return {"seed": config["seed"]} | config["embedded_models"][embedded]


def seed_of(config: dict[str, Any], model: str) -> int:
    """What draws the weights of a model entry with random weights."""
    return config["models"][model].get("seed", config["seed"])
