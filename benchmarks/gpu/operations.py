"""Floating-point operations that a LLaVA needs, two for each multiplication with its addition.

Only what the result depends on is counted: a token looks at no token behind it and at no other text's tokens, whatever
the kernel computes. Norms, activations and the output head are left out.
"""

from collections.abc import Sequence

from extraction import PATCH, Shape

# Widths of the MLPs, as benchmarks/extraction.py makes the model.
MLP_WIDTH, VISION_MLP_WIDTH = 2.6875, 4


def tower(shape: Shape) -> float:
    """One image: patches, the vision tower and the projector."""
    v, tokens = shape.vision_width, shape.image_tokens + 1
    layer = tokens * 2 * (4 + 2 * VISION_MLP_WIDTH) * v**2 + 4 * v * tokens**2
    projector = v * shape.width + shape.width**2
    return shape.vision_layers * layer + 2 * shape.image_tokens * (3 * PATCH**2 * v + projector)


def decoder(shape: Shape, tokens: float, pairs: float) -> float:
    """The decoder's blocks for so many tokens, and pairs of a token and one that it looks at."""
    w = shape.width
    return shape.layers * (2 * tokens * (4 * w**2 + 3 * w * int(w * MLP_WIDTH)) + 4 * w * pairs)


def prefix(shape: Shape, length: int) -> float:
    """The image and a prefix of so many tokens."""
    return tower(shape) + decoder(shape, length, length * (length + 1) / 2)


def texts(shape: Shape, length: int, sizes: Sequence[int]) -> float:
    """Texts of so many tokens each over one prefix of ``length`` tokens."""
    return decoder(shape, sum(sizes), sum(size * length + size * (size + 1) / 2 for size in sizes))


def alone(shape: Shape, length: int, sizes: Sequence[int]) -> float:
    """The same texts one at a time, each with its image."""
    return sum(prefix(shape, length) + texts(shape, length, [size]) for size in sizes)


def in_a_row(shape: Shape, length: int, sizes: Sequence[int]) -> float:
    """One forward pass over the prefix and all texts in a row, where a token looks at all before it."""
    tokens = length + sum(sizes)
    return tower(shape) + decoder(shape, tokens, tokens * (tokens + 1) / 2)
