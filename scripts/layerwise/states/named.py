"""Call a model's own code on items, so that an error names the item, its picture and the model's type."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pandas as pd
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.explained import said_by
from layerwise.models.frozen import FrozenModel
from layerwise.models.memory import lacking_memory
from layerwise.several_pictures import each, joined
from layerwise.states.images import read_images
from layerwise.stimuli.modalities import BLANK

log = logging.getLogger(__name__)

Made = TypeVar("Made")


def prepare_rows(model: FrozenModel, rows: pd.DataFrame) -> Any:
    """Inputs of a batch, on the host; see :meth:`FrozenModel.prepare`.

    Args:
        model: the model.
        rows: ``item_id``, ``image``, ``prompt``.

    Raises:
        InputError: naming the item whose picture or prompt the model's processor refuses, or the items that it accepts
            alone but not together.
    """

    def prepare(some: pd.DataFrame) -> Any:
        return model.prepare(list(map(read_images, some["image"])), list(some["prompt"]))

    return naming(model, "prepare", prepare, rows)


def prepare_group(model: FrozenModel, rows: pd.DataFrame) -> Any:
    """Inputs of prompts about the same pictures; see :meth:`FrozenModel.prepare_shared`.

    Raises:
        InputError: as :func:`prepare_rows`.
    """

    def prepare(some: pd.DataFrame) -> Any:
        return model.prepare_shared(read_images(some["image"].iat[0]), list(some["prompt"]))

    return naming(model, "prepare", prepare, rows)


def run_rows(
    model: FrozenModel, rows: pd.DataFrame, positions: Sequence[str], prepared: Any | None = None
) -> dict[str, Tensor]:
    """States of a batch; see :meth:`FrozenModel.states`.

    Args:
        model: the model.
        rows: ``item_id``, ``image``, ``prompt``.
        positions: token positions and sites to read.
        prepared: their inputs, if they have been prepared.

    Raises:
        InputError: naming the items on which the model fails, or for which it does not give one state each.
    """
    inputs = prepare_rows(model, rows) if prepared is None else prepared

    def run(some: pd.DataFrame) -> dict[str, Tensor]:
        return model.run(inputs if some is rows else prepare_rows(model, some), positions)

    return _one_each(model, rows, naming(model, "run", run, rows))


def run_group(model: FrozenModel, rows: pd.DataFrame, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
    """States of prepared prompts about one image; see :meth:`FrozenModel.run_shared`.

    Raises:
        InputError: as :func:`run_rows`.
    """
    return run_groups(model, [rows], [prepared], positions)[0]


def run_groups(
    model: FrozenModel, groups: Sequence[pd.DataFrame], prepared: Sequence[Any], positions: Sequence[str]
) -> list[dict[str, Tensor]]:
    """States of prepared prompts about each of several images; see :meth:`FrozenModel.run_several`.

    Raises:
        InputError: as :func:`run_rows`.
    """
    try:
        states = model.run_several(prepared, positions)
    except Exception as error:
        if lacking_memory(error) is not None or isinstance(error, InputError | FloatingPointError):
            raise
        if len(groups) > 1 and "CUDA error" not in str(error):
            # One image at a time, to find the one at fault.
            for rows, one in zip(groups, prepared, strict=True):
                run_group(model, rows, one, positions)
        raise InputError(
            f"a model of type {model.model_type} cannot run the items {_items(pd.concat(groups))} over their "
            f"{'image' if len(groups) == 1 else 'images'}: {said_by(error)}; give the model's entry `sharing: never`"
        ) from error
    return [_one_each(model, rows, made) for rows, made in zip(groups, states, strict=True)]


def _one_each(model: FrozenModel, rows: pd.DataFrame, states: dict[str, Tensor]) -> dict[str, Tensor]:
    for values in states.values():
        if len(values) != len(rows):
            raise InputError(
                f"a model of type {model.model_type} gives {len(values)} states for {len(rows)} inputs "
                f"({_items(rows)}): none belongs to an item, and this family cannot be read"
            )
    return states


def naming(model: FrozenModel, verb: str, make: Callable[[pd.DataFrame], Made], rows: pd.DataFrame) -> Made:
    """What ``make`` returns for rows. If it fails, they are tried one at a time to find the one at fault.

    Args:
        model: the model at work.
        verb: what it does with the items, for the message.
        make: calls the model's own code.
        rows: ``item_id``, ``image``, ``prompt``.

    Raises:
        InputError: naming the item, or the items that work alone but not together. Errors about lacking memory come
            through unchanged.
    """
    try:
        return make(rows)
    except Exception as error:
        # After a CUDA error, every later call fails too.
        if lacking_memory(error) is not None or "CUDA error" in str(error):
            raise
        failed = error
    at_fault = rows
    for i in range(len(rows)) if len(rows) > 1 else ():
        try:
            make(rows.iloc[i : i + 1])
        except Exception as error:
            at_fault, failed = rows.iloc[i : i + 1], error
            break
    raise _error(model, verb, make, at_fault, failed) from failed


def _error(
    model: FrozenModel, verb: str, make: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, error: Exception
) -> Exception:
    if isinstance(error, FloatingPointError):
        return error
    if isinstance(error, InputError):
        name = f"item {rows['item_id'].iat[0]}"
        return error if len(rows) > 1 or str(error).startswith(name) else InputError(f"{name}: {error}")
    if len(rows) > 1:
        return InputError(
            f"a model of type {model.model_type} can {verb} the items {_items(rows)} one at a time but not together: "
            f"{said_by(error)}; set its `batch_size` to 1"
        )
    return InputError(
        f"item {_items(rows)}: a model of type {model.model_type} cannot {verb} it: {said_by(error)}; "
        f"{_fix(make, rows)}"
    )


def _fix(make: Callable[[pd.DataFrame], Any], rows: pd.DataFrame) -> str:
    """The advice at the end of the message: whether plain grey pictures would work in place of these."""
    try:
        if _has_file(rows.iloc[0]):
            several = len(each(rows["image"].iat[0]))
            make(rows.assign(image=joined([BLANK] * several)))
            what = "the picture, or take it" if several == 1 else "one of the pictures, or take the item"
            return f"replace {what} out of the stimuli"
    except Exception as error:
        log.info("a plain grey picture fails too: %s", said_by(error))
    return "no picture is to blame: this family, or the files of its processor, cannot be used as they are"


def _items(rows: pd.DataFrame) -> str:
    shown = [
        f"{row.item_id} ({', '.join(each(row.image))})" if _has_file(row) else str(row.item_id)
        for row in rows.itertuples()
    ]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _has_file(row: Any) -> bool:
    return row.image is not None and set(each(row.image)) != {BLANK}
