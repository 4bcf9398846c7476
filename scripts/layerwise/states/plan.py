"""The order in which inputs run, and how they are grouped to run and to be saved together."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from layerwise.several_pictures import before_last

BATCHES_PER_PART = 16
# More texts than this about one image are run over a second prefix. It bounds the memory for states not yet written.
TEXTS_PER_PREFIX = 1024

SHARED, PLAIN = "shared prefix", "plain batches"


@dataclass(frozen=True)
class Unit:
    """Consecutive rows that are run together: a batch, or prompts about the same pictures over their shared prefix."""

    start: int
    stop: int
    shared: bool


def prefixes(inputs: pd.DataFrame) -> pd.Series:
    """What inputs must have in common to share a prefix: their pictures, and the text up to the last of them.

    Args:
        inputs: ``image``, ``prompt``.

    Returns:
        A string per row; missing where no picture is shown.
    """
    # The pictures alone where no prompt says where they stand, as for most stimuli.
    heads = inputs["prompt"].map(before_last)
    if (heads == "").all():
        return inputs["image"]
    joined = [f"{image}\n\n{head}" for image, head in zip(inputs["image"], heads, strict=True)]
    return inputs["image"].where(inputs["image"].isna() | (heads == ""), joined)


def running_order(inputs: pd.DataFrame, least_texts: int) -> list[int]:
    """Positions of ``inputs`` in the order in which they are run.

    The prompts of an image (or of the same pictures, with the same text before the last of them) share a prefix if
    there are at least ``least_texts`` of them; 0 means never. All other inputs come first, by length, so that batches
    hold little padding. The images that share follow in their old order, each with its prompts by length. Ties keep
    their old order.
    """
    length = inputs["prompt"].str.len().tolist()
    image = pd.factorize(prefixes(inputs))[0].tolist()
    grouped = _in_groups(inputs, least_texts)
    return sorted(range(len(inputs)), key=lambda i: (grouped[i], image[i] if grouped[i] else 0, length[i]))


def plan_parts(inputs: pd.DataFrame, least_texts: int, batch_size: int) -> list[list[Unit]]:
    """Divide inputs into units that run together, and these into parts that are saved together.

    Args:
        inputs: in running order.
        least_texts: as in :func:`running_order`.
        batch_size: inputs per plain batch.

    Returns:
        The parts in order of rows, each of about ``batch_size * BATCHES_PER_PART`` rows; images stay whole.
    """
    grouped = _in_groups(inputs, least_texts)
    alone = grouped.count(False)
    units = [Unit(i, min(i + batch_size, alone), shared=False) for i in range(0, alone, batch_size)]
    row = alone
    shared = prefixes(inputs.iloc[alone:])
    for size in shared.groupby(shared, sort=False).size():
        units += [
            Unit(row + i, row + min(i + TEXTS_PER_PREFIX, size), shared=True) for i in range(0, size, TEXTS_PER_PREFIX)
        ]
        row += size
    parts: list[list[Unit]] = []
    rows = 0
    for unit in units:
        if not parts or rows >= batch_size * BATCHES_PER_PART:
            parts.append([])
            rows = 0
        parts[-1].append(unit)
        rows += unit.stop - unit.start
    return parts


def ranges_of(parts: Sequence[Sequence[Unit]]) -> list[tuple[int, int]]:
    """The rows of each part: the first one, and the one after the last."""
    return [(units[0].start, units[-1].stop) for units in parts]


def path_of(parts: Sequence[Sequence[Unit]]) -> str:
    """How the states were computed, as the states file records it."""
    return SHARED if any(unit.shared for units in parts for unit in units) else PLAIN


def _in_groups(inputs: pd.DataFrame, least_texts: int) -> list[bool]:
    """For each input, whether it shares a prefix with another one."""
    # Texts without an image have no image prefix to share.
    if least_texts == 0 or inputs["image"].isna().all():
        return [False] * len(inputs)
    shared = prefixes(inputs)
    return (shared.groupby(shared).transform("size") >= max(least_texts, 2)).tolist()
