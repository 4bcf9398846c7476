"""Names of the positions at which states are read, and of the sites within a block; no torch, for readers of states."""

import re

SITES = ("attention", "mlp", "heads")
# Datasets of a states file, and positions that a model is read at: what a site has at the last token.
AT_SITE = {f"last-{site}": site for site in SITES}
# The mean over all pictures' tokens.
ALL_PICTURES = "image-mean"
OF_PICTURE = re.compile(r"image-([1-9]\d*)-mean")


def picture_position(number: int) -> str:
    """The position that is the mean over the tokens of one of an input's pictures, counted from 1."""
    return f"image-{number}-mean"


def picture_of(position: str) -> int | None:
    """The number of the picture that a position is the mean over; None for all other positions."""
    found = OF_PICTURE.fullmatch(position)
    return int(found[1]) if found else None


def layers_at(position: str, layers: list[str]) -> list[str]:
    """Which of a model's layers have a state at a position: all, or at a site within blocks the blocks."""
    return layers[1:-1] if position in AT_SITE else layers
