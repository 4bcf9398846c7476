"""Where attention is blocked: in all heads of a window of blocks, or in single heads and groups of them.

Heads are those that ask (query heads). With grouped queries several of them share keys and values, and blocking one of
them leaves the others as they are.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel
from layerwise.models.parts import heads_by_block

# By block its heads, both counted from 0.
Heads = Mapping[int, Sequence[int]]
# All heads of the blocks of a window, or some heads of some blocks.
Where = range | Heads


def span(where: Where) -> range:
    """The blocks from the first in which attention is blocked to the last, counted from 0."""
    return range(min(where), max(where) + 1)


def in_words(where: Where) -> str:
    """Blocks and heads counted from 1, for messages."""
    if isinstance(where, range):
        return f"blocks {where[0] + 1} to {where[-1] + 1}"
    of_blocks = [f"{', '.join(str(head + 1) for head in heads)} of block {block + 1}" for block, heads in where.items()]
    return f"head {' and '.join(of_blocks)}"


def heads_of(model: FrozenModel) -> list[int]:
    """How many heads each block has."""
    return heads_by_block(model.decoder.config, model.n_layers)


def chosen(where: Where, by_block: Sequence[int]) -> list[Tensor] | None:
    """For each block of a group true at its heads, shape (heads of the block,); None for all heads."""
    if isinstance(where, range):
        return None
    return [torch.isin(torch.arange(by_block[block]), torch.tensor(heads)) for block, heads in where.items()]


def single_heads(by_block: Sequence[int]) -> list[Heads]:
    """Each head by itself, block by block.

    Args:
        by_block: how many heads each block has.
    """
    return [{block: (head,)} for block, heads in enumerate(by_block) for head in range(heads)]


def group_of(pairs: Sequence[Sequence[int]], by_block: Sequence[int], where: str) -> Heads:
    """A group of heads.

    Args:
        pairs: of block and head, both counted from 1.
        by_block: how many heads each block has.
        where: the group's key, for messages.

    Raises:
        InputError: when a block has no such head, or there is no such block.
    """
    group: dict[int, list[int]] = {}
    for block, head in pairs:
        if not 1 <= block <= len(by_block):
            raise InputError(f"{where}: there is no block {block}; the model has blocks 1 to {len(by_block)}")
        if not 1 <= head <= by_block[block - 1]:
            raise InputError(
                f"{where}: block {block} has no head {head}; it has heads 1 to {by_block[block - 1]}, counted as those "
                "that ask"
            )
        group.setdefault(block - 1, []).append(head - 1)
    return {block: tuple(sorted(heads)) for block, heads in sorted(group.items())}
