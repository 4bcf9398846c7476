"""What layers are like: norms, outlier dimensions, anisotropy, and the likeness of layers and models."""

from typing import Annotated

from layerwise.config.base import Maybe, Names, Section, whole


class Likeness(Section):
    """What layers are like: norms, outlier dimensions and anisotropy by layer, and debiased CKA between the layers of a
    model and between models. It is read off finished hidden states in seconds and runs no model."""

    measured: Maybe[bool] = None
    """Whether it is measured. Default: where states are there or are kept (`states.keep`). true: also where that means
    running models again."""
    items: Annotated[int, whole(8)] = 300
    """How many items of each set are read, drawn by seed. No two of them share an input or, where pictures are
    shown, a picture: such items resemble each other in every layer."""
    models: Maybe[Names] = None
    """In which models. Default: all without an intervention."""
    prompts: Maybe[Names] = None
    """Under which prompts. Default: of each stimulus set one that shows the items' own pictures and one without a
    picture: that which most models are asked, the first of equals."""
