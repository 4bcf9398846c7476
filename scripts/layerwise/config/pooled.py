"""Probes that choose which image tokens they read: whose tokens are kept, and of how many pictures."""

from typing import Annotated

from layerwise.config.base import Checked, Each, Maybe, Names, Section, whole

PictureShare = Annotated[
    int | float,
    Checked(
        lambda value: type(value) in (int, float) and 0 < value <= 1,
        "a number above 0, and at most 1",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
]


class Pooled(Section):
    """Attention probes over image tokens, beside probes of their mean: is what a label needs in some tokens, and where
    are they? Every image token of some pictures is kept, which takes much space: scripts/estimate_cost.py says how
    much. Absent: no token is kept."""

    tasks: Names
    """Which tasks. Labels must be of the picture alone, and each item must show one picture."""
    share: PictureShare = 0.25
    """The share of the distinct pictures whose tokens are kept, drawn by seed from each official part of the data."""
    models: Maybe[Names] = None
    """In which models. Default: all that see pictures and run on transformers, without an intervention; of several
    draws of random weights the first."""
    layers: Maybe[Annotated[list[Annotated[int, whole(0)]], Each(1)]] = None
    """Which layers, by number: 0 is the embeddings, 1 to L are the blocks, L + 1 is the final norm. Default: all."""
