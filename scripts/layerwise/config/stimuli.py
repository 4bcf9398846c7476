"""What stimulus sets of every kind have.

Each kind's own class is ``Entry`` in its module (:mod:`layerwise.stimuli.catalogue`).
"""

from typing import Annotated, Literal

from layerwise.config.base import Count, Each, Either, Filled, Name, Section, number, whole

Images = Annotated[Count | Literal["all"], Either("a whole number of at least 1, or the word all")]
Margin = Annotated[int | float, number(least=0, below=1)]
PairCount = Annotated[int, whole(2)]


class StimuliEntry(Section):
    """A stimulus set: what models are shown."""

    kind: str
    """How items are made."""
    prompts: Annotated[list[Name], Each(1)]
    """Names of prompts from `prompts`, under this stimulus set's kind. Each is run once per model."""


class ImagesEntry(StimuliEntry):
    """A stimulus set over the images of a data set."""

    dataset: str
    """Name of an entry of `datasets`."""
    images: Annotated[dict[str, Images], Filled()]
    """How many images to sample from each official part of the data set (by seed); the word `all` takes every image.
    Parts that are not named are left out."""
