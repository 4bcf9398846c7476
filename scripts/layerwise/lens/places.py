"""Which part of a picture each of its image tokens shows, as shares of the picture's sides."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from layerwise.models.families import family_of
from layerwise.models.patches import LAYOUTS, ROUNDING, Made, Unmapped


def places_of(
    config: Any,
    image_processor: Any,
    size: tuple[int, int],
    inputs: Mapping[str, Tensor],
    counts: Sequence[int],
    place: int = 0,
) -> np.ndarray:
    """The rectangle of the picture that each of its image tokens shows.

    Args:
        config: of the model.
        image_processor: the family's own.
        size: width and height of the picture, in pixels.
        inputs: what the processor made of it, perhaps beside others.
        counts: how many tokens each picture of the inputs has.
        place: which of them this one is.

    Returns:
        Shape (tokens, 4): left, top, right, bottom, as shares of the picture's width and height, float32. They reach
        beyond 0 and 1 where a patch is padded. NaN for tokens that show no place.

    Raises:
        Unmapped: for a family, or settings of its processor, whose layout is not known.
    """
    layout = family_of(config.model_type).patches
    if layout is None:
        raise Unmapped(f"it is not known which image tokens of a model of type {config.model_type} show which place")
    if image_processor is None:
        raise Unmapped("the model has no image processor of its own")
    views = LAYOUTS[layout](config, image_processor, size, Made(inputs, counts, place))
    found = np.full((counts[place], 4), np.nan, np.float32)
    for view in views:
        down, across = np.nonzero(view.tokens >= 0)
        tokens = view.tokens[down, across]
        if tokens.size and tokens.max() >= len(found):
            raise Unmapped(f"the processor wrote {len(found)} tokens for an image whose patches need more")
        for axis, index in ((0, across), (1, down)):
            edges = (np.stack([index, index + 1]) * view.patch[axis] - view.offset[axis]) / view.scale[axis]
            found[tokens, axis], found[tokens, axis + 2] = edges / size[axis]
    return found


def touched(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which tokens' patches a box touches, however little.

    Args:
        places: shape (tokens, 4), see :func:`places_of`.
        boxes: shape (boxes, 4), of the same kind.

    Returns:
        Shape (tokens,), true where any box touches; false for tokens that show no place.
    """
    # A box that ends at a patch's edge does not touch the next patch, even if rounding puts it a little beyond.
    room = 10 * ROUNDING
    left, top, right, bottom = (places[:, None, side] for side in range(4))
    with np.errstate(invalid="ignore"):
        across = (boxes[None, :, 0] < right - room) & (boxes[None, :, 2] > left + room)
        down = (boxes[None, :, 1] < bottom - room) & (boxes[None, :, 3] > top + room)
    return np.asarray((across & down).any(1))
