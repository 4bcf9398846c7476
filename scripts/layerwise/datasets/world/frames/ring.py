"""The ring of the twelve cells at the border of the grid, numbered clockwise from the upper left corner."""

from layerwise.datasets.world.scenes import GRID

Cell = tuple[int, int]

_LAST = GRID - 1
# Column and row of each cell.
RING: tuple[Cell, ...] = (
    *((column, 0) for column in range(_LAST)),
    *((_LAST, row) for row in range(_LAST)),
    *((column, _LAST) for column in range(_LAST, 0, -1)),
    *((0, row) for row in range(_LAST, 0, -1)),
)
# The cells that are not on the ring: nothing that moves along the ring is in the way of what stands there.
MIDDLE: tuple[Cell, ...] = tuple((column, row) for row in range(1, _LAST) for column in range(1, _LAST))
WAYS = {1: "clockwise", -1: "anticlockwise"}


def cell(place: int) -> Cell:
    """Column and row of a place on the ring; places go round and round."""
    return RING[place % len(RING)]


def way_of(before: Cell, after: Cell) -> int:
    """Which way an object moved, 1 or -1: the shorter way round. Nothing moves half way round."""
    steps = (RING.index(after) - RING.index(before)) % len(RING)
    return 1 if 2 * steps < len(RING) else -1
