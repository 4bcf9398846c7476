"""What a model allows of several pictures per text, checked before its weights are needed and without torch."""

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, FAMILIES, family_of
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
    if pictures > 1 and (why := family_of(model_type).one_picture):
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
