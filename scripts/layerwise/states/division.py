"""Which inputs of a cell go to which of its shards: the jobs, and files, that a large cell is divided into."""

import pandas as pd

from layerwise.errors import InputError
from layerwise.states.plan import prefixes


def divide(inputs: pd.DataFrame, shards: int) -> list[int]:
    """The shard of each distinct input, from 0. No shard is empty, and their sizes differ by about one image.

    Texts about one image stay together, so that they can share its prefix. An image with more texts than a shard should
    hold is divided.

    Args:
        inputs: ``image``, ``prompt``, one row per distinct input.
        shards: how many.

    Raises:
        InputError: when there are fewer inputs than shards.
    """
    if len(inputs) < shards:
        raise InputError(f"shards: {shards} are more than the {len(inputs)} distinct inputs; ask for fewer")
    most = len(inputs) // shards
    image = prefixes(inputs)
    if image.isna().all():
        # Nothing to keep together.
        units = pd.Series(range(len(inputs)), index=inputs.index)
    else:
        among = image.groupby(image, sort=False).cumcount() // most
        units = pd.Series(pd.MultiIndex.from_arrays([image, among]).factorize()[0], index=inputs.index)
    sizes = units.value_counts(sort=False).sort_index().tolist()
    shard_of_unit: list[int] = []
    shard, held, left = 0, 0, len(inputs)
    for unit, size in enumerate(sizes):
        # Start the next shard when this one has its share of what was left, or when each remaining shard needs a unit.
        full = held >= left / (shards - shard)
        needed = held > 0 and len(sizes) - unit == shards - shard - 1
        if shard < shards - 1 and (full or needed):
            left -= held
            shard, held = shard + 1, 0
        shard_of_unit.append(shard)
        held += size
    return [shard_of_unit[unit] for unit in units]
