"""In which order inputs are run, and what is run and kept together."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

BATCHES_PER_SHARD = 16
# More texts about one image than these are run over a second prefix, so that what waits to be written stays bounded.
TEXTS_PER_PREFIX = 1024

SHARED, PLAIN = "shared prefix", "plain batches"


@dataclass(frozen=True)
class Unit:
    """Consecutive rows that are run together: a batch, or prompts about one image over their shared prefix."""

    start: int
    stop: int
    shared: bool


def running_order(inputs: pd.DataFrame, least_texts: int) -> list[int]:
    """Positions of ``inputs`` in the order in which they are run.

    An image's prompts share a prefix if they are at least ``least_texts``, which is 0 for never. The other inputs come
    first, by length, so that a batch holds little padding; then the images that share follow in their old order, each
    with its prompts by length. Ties keep their old order.
    """
    length = inputs["prompt"].str.len().tolist()
    image = pd.factorize(inputs["image"])[0].tolist()
    grouped = _in_groups(inputs, least_texts)
    return sorted(range(len(inputs)), key=lambda i: (grouped[i], image[i] if grouped[i] else 0, length[i]))


def plan_shards(inputs: pd.DataFrame, least_texts: int, batch_size: int) -> list[list[Unit]]:
    """What is run together, by shard: what is kept together.

    Args:
        inputs: in running order.
        least_texts: as in :func:`running_order`.
        batch_size: inputs per plain batch.

    Returns:
        The shards in order of rows, each of about ``batch_size * BATCHES_PER_SHARD`` rows; images stay whole.
    """
    grouped = _in_groups(inputs, least_texts)
    alone = grouped.count(False)
    units = [Unit(i, min(i + batch_size, alone), shared=False) for i in range(0, alone, batch_size)]
    row = alone
    for size in inputs["image"].iloc[alone:].groupby(inputs["image"].iloc[alone:], sort=False).size():
        units += [
            Unit(row + i, row + min(i + TEXTS_PER_PREFIX, size), shared=True) for i in range(0, size, TEXTS_PER_PREFIX)
        ]
        row += size
    shards: list[list[Unit]] = []
    rows = 0
    for unit in units:
        if not shards or rows >= batch_size * BATCHES_PER_SHARD:
            shards.append([])
            rows = 0
        shards[-1].append(unit)
        rows += unit.stop - unit.start
    return shards


def path_of(shards: Sequence[Sequence[Unit]]) -> str:
    """What a states file says of how it was made."""
    return SHARED if any(unit.shared for units in shards for unit in units) else PLAIN


def _in_groups(inputs: pd.DataFrame, least_texts: int) -> list[bool]:
    """Per input whether it is run over a prefix that it shares with another one."""
    # Texts without an image have no prefix of its to share.
    if least_texts == 0 or inputs["image"].isna().all():
        return [False] * len(inputs)
    return (inputs.groupby("image")["image"].transform("size") >= max(least_texts, 2)).tolist()
