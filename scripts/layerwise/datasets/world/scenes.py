"""What a scene is: one to four coloured shapes on a grid of four by four cells.

A cell is 16 pixels wide, so that a vision tower with patches of 16 pixels sees one shape in one patch. A shape may be
*in the dark*: drawn in a grey that is no colour's, so that nobody can see which of the colours it has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
COLOUR_NAMES = tuple(COLOURS)
DARK = "dark"
PAINT = COLOURS | {DARK: (100, 100, 100)}

# How often an object has its scene's main colour, rather than any. By 0.6, two objects have the same colour with the
# chance of 7/15 with which they are in the same half of the picture: GQA's CompareAttr asks which of the two is so.
MAIN_COLOUR = 0.6
# How often shapes may come twice in a scene. Many questions name an object by its shape alone.
SHAPES_REPEATED = 0.2


@dataclass(frozen=True)
class SceneObject:
    """One drawn shape, of a colour or ``DARK``.

    ``column`` and ``row`` name its cell; ``x`` and ``y`` (pixels) its centre in the image.
    """

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

    @property
    def lit(self) -> list[SceneObject]:
        """The objects whose colour can be seen."""
        return [item for item in self.objects if item.colour != DARK]

    @property
    def dark(self) -> SceneObject | None:
        """The object in the dark; scenes that statements are about have one at most."""
        return next((item for item in self.objects if item.colour == DARK), None)

    def lit_up(self) -> Iterator["Scene"]:
        """The scene in each colour that the object in the dark may have; itself where there is none."""
        dark = self.dark
        if dark is None:
            yield self
            return
        taken = {item.colour for item in self.objects if item.shape == dark.shape}
        for colour in COLOURS:
            if colour not in taken:
                yield Scene(tuple(replace(item, colour=colour) if item is dark else item for item in self.objects))


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene in which all is lit; the number of objects, their cells, sizes, shapes and colours are uniform."""
    number = int(rng.integers(1, MOST_OBJECTS + 1))
    while True:
        repeated, main, *dice = rng.random(2 + 3 * number).tolist()
        shapes = (
            [SHAPES[int(die * len(SHAPES))] for die in dice[:number]]
            if repeated < SHAPES_REPEATED
            else [SHAPES[i] for i in rng.permutation(len(SHAPES))[:number].tolist()]
        )
        colours = [
            COLOUR_NAMES[int((main if which < MAIN_COLOUR else own) * len(COLOUR_NAMES))]
            for which, own in zip(dice[number : 2 * number], dice[2 * number :], strict=True)
        ]
        kinds = list(zip(shapes, colours, strict=True))
        # So that "the red circle" always names one object.
        if len(set(kinds)) == number:
            return arranged(kinds, rng)


def draw_crowded_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene of up to a shape in each cell; as many are in the dark as have any one colour."""
    number = int(rng.integers(1, GRID * GRID + 1))
    paints = tuple(PAINT)
    kinds = [divmod(kind, len(paints)) for kind in rng.permutation(len(SHAPES) * len(paints))[:number].tolist()]
    return arranged([(SHAPES[shape], paints[colour]) for shape, colour in kinds], rng)


def arranged(kinds: Sequence[tuple[str, str]], rng: np.random.Generator) -> Scene:
    """A scene of objects of these shapes and colours, whose cells, sizes and offsets are drawn."""
    cells = rng.permutation(GRID * GRID)[: len(kinds)].tolist()
    objects = []
    for cell, (shape, colour), (size, right, down) in sorted(
        zip(cells, kinds, rng.random((len(kinds), 3)).tolist(), strict=True)
    ):
        row, column = divmod(cell, GRID)
        radius = RADII[int(size * len(RADII))]
        # At most one pixel off the middle pair of pixels, and never over the edge of the cell.
        low, high = max(radius, 6), min(CELL - 1 - radius, 9)
        dx, dy = low + int(right * (high + 1 - low)), low + int(down * (high + 1 - low))
        objects.append(SceneObject(shape, colour, column, row, column * CELL + dx, row * CELL + dy, radius))
    return Scene(tuple(objects))
