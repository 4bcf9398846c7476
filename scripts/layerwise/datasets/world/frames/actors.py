"""The objects of a sequence, each with what it looks like from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from layerwise.datasets.world.frames.ring import Cell
from layerwise.datasets.world.scenes import CELL, COLOUR_NAMES, RADII, SHAPES, Scene, SceneObject

T = TypeVar("T")
# Where an object's centre may be in its cell: so that the largest one stays inside, and none moves when it grows.
OFFSETS = (7, 8)


class Chance(Protocol):
    """What choices are drawn from: a generator of numpy's, or one that goes through all choices in turn."""

    def integers(self, number: int, /) -> int:
        """A whole number from 0 to ``number`` - 1, each equally likely."""


def one_of(options: Sequence[T], chance: Chance) -> T:
    """One of the options, each equally likely."""
    return options[int(chance.integers(len(options)))]


@dataclass(frozen=True)
class Actor:
    """An object in one frame; in the next it may be ``replace``d by another one of its shape.

    Attributes:
        shape: names it, for no other object of the sequence has it.
        colour: now.
        other_colour: that it changes to, if it changes its colour.
        radius: in pixels.
        offset: x and y of its centre in its cell, in pixels.
        cell: None where it is not there.
    """

    shape: str
    colour: str
    other_colour: str
    radius: int
    offset: tuple[int, int]
    cell: Cell | None = None


def draw_actors(chance: Chance) -> tuple[Actor, Actor]:
    """Two objects of different shapes; all else about them is independent, and each value equally likely."""
    first = one_of(SHAPES, chance)
    second = one_of([shape for shape in SHAPES if shape != first], chance)
    return _actor(first, chance), _actor(second, chance)


def _actor(shape: str, chance: Chance) -> Actor:
    colour = one_of(COLOUR_NAMES, chance)
    other = one_of([name for name in COLOUR_NAMES if name != colour], chance)
    offset = one_of(OFFSETS, chance), one_of(OFFSETS, chance)
    return Actor(shape, colour, other, one_of(RADII, chance), offset)


def scene(*actors: Actor) -> Scene:
    """A frame with the actors that are there."""
    there = [
        SceneObject(
            actor.shape,
            actor.colour,
            *actor.cell,
            actor.cell[0] * CELL + actor.offset[0],
            actor.cell[1] * CELL + actor.offset[1],
            actor.radius,
        )
        for actor in actors
        if actor.cell is not None
    ]
    return Scene(tuple(sorted(there, key=lambda item: (item.row, item.column))))
