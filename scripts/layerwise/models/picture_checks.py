"""What a model allows of several pictures per text, checked before its weights are needed and without torch."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def prepared_together(
    model_type: str, images: Sequence[Sequence[Any]], processed: Callable[..., Any], texts: Sequence[str], special: bool
) -> Iterator[None]:
    """Say what to do where a processor takes each of a text's pictures, but not all of them in one text.

    Some stack what they make of the pictures of a text, such as their tiles, and pictures of unlike sizes give unlike
    numbers of them.

    Args:
        model_type: as transformers names it.
        images: by text its pictures.
        processed: what is tried, and is tried again with one of the pictures in place of all.
        texts, special: its other arguments.

    Raises:
        InputError: in place of what the processor raises for one text, if it takes the text with each of its pictures
            in all places.
    """
    try:
        yield
    except Exception as error:
        from layerwise.models.explained import said_by

        unlike = len(images) == 1 and len({picture.size for picture in images[0]}) > 1
        if isinstance(error, InputError) or not unlike or not _takes_each(images[0], processed, texts, special):
            raise
        sizes = ", ".join(f"{width} x {height}" for width, height in (picture.size for picture in images[0]))
        raise InputError(
            f"a model of type {model_type} takes each of its {len(images[0])} pictures ({sizes} pixels), but not all "
            f"in one text: {said_by(error)}; give the pictures of an item one size, or leave the model out of these "
            "tasks (its `tasks`)"
        ) from error


def _takes_each(pictures: Sequence[Any], processed: Callable[..., Any], texts: Sequence[str], special: bool) -> bool:
    try:
        for picture in pictures:
            processed(texts, [[picture] * len(pictures)], special)
    except Exception:
        return False
    return True


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
