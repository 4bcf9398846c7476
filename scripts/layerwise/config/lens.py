"""Where in a picture the output head names what is there: which pictures are read, and in which models."""

from layerwise.config.base import Count, Maybe, Names, Section


class Lens(Section):
    """The patch lens: the output head at every image token of every layer. How probable is the word for an object where
    it is, and elsewhere?"""

    stimuli: Names
    """The stimulus sets whose pictures are read. They need annotated objects with boxes, and one picture per item."""
    pictures: Count = 200
    """How many pictures of each, drawn by seed: of official parts that are meant for testing, where there are some.
    Each costs a forward pass, and the output head at all its image tokens in every layer."""
    models: Maybe[Names] = None
    """In which models. Default: all without an intervention that see pictures and do not run on their authors' code,
    untrained twins included, of several draws the first."""
