"""What a model entry's ``intervention`` may say of a model, checked before its weights are needed.

Imports no torch: models are registered without it. :mod:`layerwise.models.intervening` carries interventions out.
"""

from collections.abc import Sequence
from typing import Any

from layerwise.errors import InputError
from layerwise.models.families import CUT_LEAKS, IMAGE_OUT_OF_REACH

THIRDS = ("lower", "middle", "upper")
# Kinds of blocks, as configurations of transformers name them, that carry states from token to token without scores
# that could be masked, or beside them.
WITHOUT_SCORES = ("linear_attention", "mamba", "conv", "moe", "hybrid", "hybrid_sliding")


def check_intervention(name: str, intervention: dict[str, Any], n_layers: int, model_type: str) -> None:
    """Refuse an intervention that this model does not allow.

    Args:
        name: of the model entry.
        intervention: see the schema; one kind.
        n_layers: decoder blocks.
        model_type: as transformers names it.

    Raises:
        InputError: naming the key.
    """
    ((kind, how),) = intervention.items()
    where = f"models.{name}.intervention.{kind}"
    if kind != "bypass" and model_type in IMAGE_OUT_OF_REACH:
        raise InputError(f"{where}: a model of type {model_type} allows none: {IMAGE_OUT_OF_REACH[model_type]}")
    if kind == "cut-image" and model_type in CUT_LEAKS:
        raise InputError(f"{where}: a model of type {model_type} allows none: {CUT_LEAKS[model_type]}")
    if kind == "cut-image":
        cut_blocks(how["blocks"], n_layers, f"{where}.blocks")
        return
    given = {key: how[key] for key in ("from", "into") if key in how}
    for key, block in given.items():
        if block > n_layers:
            raise InputError(f"{where}.{key}: there is no block {block}; the model has {n_layers}")
    if kind == "bypass" and how["from"] >= (into := how.get("into", n_layers)):
        raise InputError(f"{where}.from: block {how['from']} is not below block {into}, which it is routed into")


def check_scores(name: str, intervention: dict[str, Any], kinds: Sequence[str]) -> None:
    """Refuse to cut attention in blocks that have no scores between tokens, such as those of linear attention.

    Args:
        name: of the model entry.
        intervention: one that :func:`check_intervention` lets pass.
        kinds: of the model's blocks, as its configuration names them; empty where they are all of one kind.

    Raises:
        InputError: naming the key, these blocks, and those that could be cut.
    """
    if "cut-image" not in intervention or not kinds:
        return
    where = f"models.{name}.intervention.cut-image.blocks"
    cut = cut_blocks(intervention["cut-image"]["blocks"], len(kinds), where)
    if without := [block for block in cut if kinds[block - 1] in WITHOUT_SCORES]:
        could = [block for block, kind in enumerate(kinds, start=1) if kind not in WITHOUT_SCORES]
        raise InputError(
            f"{where}: attention between tokens cannot be cut in block {without[0]}, which is of the kind "
            f"{kinds[without[0] - 1]} ({len(without)} of the blocks {cut[0]} to {cut[-1]} are of such a kind); it can "
            f"be cut in these blocks of the model: {', '.join(map(str, could)) or 'none'}"
        )


def cut_blocks(blocks: str | list[int], n_layers: int, where: str) -> range:
    """Which blocks a cut is in, counted from 1.

    Args:
        blocks: a third of the decoder, or its first and last block.
        n_layers: decoder blocks.
        where: the key, for errors.

    Raises:
        InputError: when there are no such blocks.
    """
    if isinstance(blocks, str):
        third = THIRDS.index(blocks)
        first, last = round(third * n_layers / 3) + 1, round((third + 1) * n_layers / 3)
        if n_layers < len(THIRDS):
            raise InputError(f"{where}: {n_layers} blocks have no thirds; give [first, last]")
    else:
        first, last = blocks
    if not 1 <= first <= last <= n_layers:
        raise InputError(f"{where}: there are no blocks {first} to {last}; the model has blocks 1 to {n_layers}")
    return range(first, last + 1)
