"""Refusals that several kinds of intervention share."""

from layerwise.errors import InputError
from layerwise.models.interventions.kind import How


def check_blocks(where: str, how: How, keys: tuple[str, ...], n_layers: int | None) -> None:
    """Refuse a block that the model does not have.

    Args:
        where: the key of the entry.
        how: the entry.
        keys: which of its keys name a block.
        n_layers: decoder blocks; None where they are not known yet.

    Raises:
        InputError: naming the key.
    """
    for key in keys:
        if n_layers is not None and how.get(key, 1) > n_layers:
            raise InputError(f"{where}.{key}: there is no block {how[key]}; the model has {n_layers}")
