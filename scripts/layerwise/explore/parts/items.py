"""The test items: their pictures and prompts, and what probes and models say of them in the chosen layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from layerwise.explore.entry import Content, Part

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given


def make(given: Given, names: Sequence[str]) -> Content:
    from layerwise.explore.items.block import block
    from layerwise.explore.items.files import read_sample

    sample = read_sample(given.path("sampled-items").parent)
    return Content({"notes": _notes(sample.description)}, {"items": block(sample)})


def _notes(told: dict[str, Any]) -> list[str]:
    """What a reader must know of how the items and their pictures were chosen."""
    notes = []
    if told["left_out"]:
        notes.append(
            f"To keep this page small, {told['left_out']:,} sampled items are left out: it shows at most "
            f"{told['at_most']} of each task. explore.megabytes in the config says how large it may be."
        )
    if told["linked"]:
        notes.append(
            f"{told['linked']:,} pictures are linked, not copied. They show only where this page and they lie as they "
            "were when it was made."
        )
    if told["missing"]:
        notes.append(f"{told['missing']:,} pictures were gone when this page was made.")
    if told["pictures"] == "none":
        notes.append("The study shows no pictures here (explore.pictures in its config).")
    return notes


PART = Part(
    place=30,
    title="Test items",
    reads=lambda study: ("sampled-items",),
    exists=lambda study: study.probes or study.numbers,
    make=make,
)
