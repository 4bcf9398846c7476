"""What a scene is: one to four coloured shapes on a grid of four by four cells.

A cell is 16 pixels wide, so that a vision tower with patches of 16 pixels sees one shape in one patch.
"""

from dataclasses import dataclass

import numpy as np

CELL = 16
GRID = 4
IMAGE_SIZE = CELL * GRID
MOST_OBJECTS = 4
RADII = (5, 6, 7)

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring", "star", "bar")

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 205, 30),
    "purple": (140, 50, 190),
    "orange": (245, 130, 20),
}


@dataclass(frozen=True)
class SceneObject:
    """One drawn shape. ``column`` and ``row`` name its cell; ``x`` and ``y`` (pixels) its centre in the image."""

    shape: str
    colour: str
    column: int
    row: int
    x: int
    y: int
    radius: int


@dataclass(frozen=True)
class Scene:
    """Objects in reading order (row by row, left to right); no two share a cell, or both shape and colour."""

    objects: tuple[SceneObject, ...]


def draw_scene(rng: np.random.Generator, most_objects: int = MOST_OBJECTS) -> Scene:
    """Draw a scene: the number of objects (1 to ``most_objects``), cells, kinds, sizes and offsets are each uniform."""
    number = int(rng.integers(1, most_objects + 1))
    cells = np.sort(rng.permutation(GRID * GRID)[:number])
    # Without replacement, so that "the red circle" always names one object.
    kinds = rng.permutation(len(SHAPES) * len(COLOURS))[:number]
    colours = tuple(COLOURS)
    objects = []
    for cell, kind in zip(cells.tolist(), kinds.tolist(), strict=True):
        row, column = divmod(cell, GRID)
        shape, colour = divmod(kind, len(colours))
        radius = RADII[int(rng.integers(len(RADII)))]
        # At most one pixel off the middle pair of pixels, and never over the edge of the cell.
        low, high = max(radius, 6), min(CELL - 1 - radius, 9)
        dx, dy = rng.integers(low, high + 1, size=2).tolist()
        objects.append(
            SceneObject(SHAPES[shape], colours[colour], column, row, column * CELL + dx, row * CELL + dy, radius)
        )
    return Scene(tuple(objects))
