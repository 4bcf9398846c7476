"""What a model allows of several pictures per text, checked before its weights are needed and without torch."""

import json
from pathlib import Path

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, FAMILIES, family_of, stated_type
from layerwise.several_pictures import places, shown


def check_pictures(where: str, model_type: str, pictures: int) -> None:
    """Refuse more pictures per text than a model takes.

    Args:
        where: what is said first: the key of the model, or its type.
        model_type: as transformers or its adapter names it.
        pictures: how many a text shows.

    Raises:
        InputError: saying why, and what to do.
    """
    refuse_several(where, pictures, family_of(model_type).one_picture)


def refuse_several(where: str, pictures: int, why: str) -> None:
    """Refuse several pictures in a text if there is a reason; see :func:`check_pictures`.

    Raises:
        InputError: saying why, and what to do.
    """
    if pictures > 1 and why:
        raise InputError(
            f"{where} is to be shown {pictures} pictures in a text, and takes one: {why}; leave it out of these tasks "
            "(its `tasks`), or name in its `prompts` those that show one"
        )


def check_placed(model_type: str, prompt: str) -> None:
    """Refuse a place in a prompt, for adapters that put the one picture where the conversation has it.

    Raises:
        InputError: quoting the prompt.
    """
    if places(prompt):
        raise InputError(
            f"the prompt {shown(prompt)!r} places its picture, and a model of type {model_type} has it before the "
            "text; leave the place out"
        )


def one_picture_by_adapter(adapter: str) -> str:
    """Why all families that run on an adapter take one picture; empty where some take several."""
    reasons = [row.one_picture for row in (DEFAULT, *FAMILIES.values()) if row.adapter == adapter and not row.refused]
    return reasons[0] if reasons and all(reasons) else ""


def one_picture_by_folder(source: str) -> str:
    """Why the model in a local folder takes one picture; empty if it takes several, or if there is no such folder.

    A model of the hub is known once its files are here: its jobs refuse it then.
    """
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
        return family_of(stated_type(config)).one_picture
    except (OSError, ValueError, AttributeError, TypeError):
        # Whoever registers the model says what is wrong with the file.
        return ""
