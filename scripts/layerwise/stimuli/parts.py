"""The parts that the authors of a data set divided it into, and the splits that they are meant for."""

from layerwise.stimuli.catalogue import KINDS

SPLITS = ("train", "val", "test")
# What parts are called in most data sets; kinds name the others.
USUAL = {"train": "train", "dev": "val", "val": "val", "test": "test"}


def official_parts(kind: str) -> dict[str, str]:
    """The split of each official part that a kind of stimuli may come from."""
    return {**KINDS[kind].parts, **USUAL}
