"""The vision tower and the projector as layers before the decoder."""

from layerwise.config.base import Maybe, Names, Section


class Tower(Section):
    """The vision tower's blocks and the projector, probed like the decoder's layers: is knowledge lost before the
    decoder? The tower has not read the text, so this is about labels of the picture alone. Absent: the tower is not
    read. The tower runs once more over each picture."""

    tasks: Maybe[Names] = None
    """Which tasks. Default: those about the objects in one picture, without tables and without what is asked of an
    object that only the text names. A task that is named must give items with the same picture the same label."""
    models: Maybe[Names] = None
    """Which models. Default: all that see pictures and run on transformers, without an intervention; of several draws
    of random weights none."""
