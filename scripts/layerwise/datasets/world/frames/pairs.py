"""Matched pairs of sequences, drawn so that what should tell nothing tells nothing by construction.

Every choice is uniform over a list of options, so that tests can go through all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerwise.datasets.world.frames.actors import Actor, Chance, draw_actors, one_of, scene
from layerwise.datasets.world.frames.ring import MIDDLE, RING, WAYS, cell
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.scenes import RADII, Scene

# A sequence and its partner; what is asked of both is true of one of them alone.
Frames = tuple[Scene, ...]
Drawn = tuple[Frames, Frames]
Pair = tuple[FrameSequence, FrameSequence]

# How many cells an object moves; before and after a contact, too.
STEPS = (1, 2, 3)
PUSHED_STEPS = (1, 2, 3, 4)
# How many cells before the other one an object stops that stops short. From one cell off, it would stand at a corner
# diagonally to the other, and look as if it touched it.
SHORT = 2
CHANGES = ("cell", "size", "colour", "presence")


def draw_pair(kind: str, rng: np.random.Generator, pause: bool = False) -> Pair:
    """Draw a sequence and its partner.

    Args:
        kind: of :data:`layerwise.datasets.frame_events.KINDS`.
        rng: draws everything.
        pause: whether one frame, any of them, is shown twice in a row.

    Returns:
        Two sequences of 3 frames (``moved`` and ``direction``: 2), with a pause of one more.
    """
    pair = arranged_pair(kind, draw_actors(rng), rng)
    return paused(*pair, rng) if pause else pair


def draw_sequence(kind: str, rng: np.random.Generator, pause: bool = False) -> Pair:
    """Draw a sequence with its partner: a pair of :func:`draw_pair`, either of the two first."""
    one, other = draw_pair(kind, rng, pause)
    return one_of(((one, other), (other, one)), rng)


def arranged_pair(kind: str, actors: tuple[Actor, Actor], chance: Chance) -> Pair:
    """A pair with these two objects; everything else is drawn."""
    one, other = ARRANGED[kind](*actors, chance)
    return FrameSequence(kind, one), FrameSequence(kind, other)


def paused(one: FrameSequence, other: FrameSequence, chance: Chance) -> Pair:
    """A pair with a pause. Partners that have the same frames in the other order pause at the same frame."""
    place = one_of(range(len(one.frames)), chance)
    places = place, len(one.frames) - 1 - place if other.frames == one.frames[::-1] else place
    first, second = (
        replace(sequence, frames=(*sequence.frames[: at + 1], *sequence.frames[at:]))
        for sequence, at in zip((one, other), places, strict=True)
    )
    return first, second


def _first(one: Actor, other: Actor, chance: Chance) -> Drawn:
    """Both objects change, one after the other. The partner: the same frames in the other order.

    Each object has two states. Any of their four combinations is the first frame with the same chance, and either
    object is the first to change. So a frame alone does not tell what changed before it, nor what will change.
    """
    kinds = [(a, b) for a in CHANGES for b in CHANGES if (a, b) != ("presence", "presence")]
    what_one, what_other = one_of(kinds, chance)
    places_one = one_of(_arcs(what_one, set()), chance)
    places_other = one_of(_arcs(what_other, set(places_one)), chance)
    states = [_states(one, what_one, places_one), _states(other, what_other, places_other)]
    begun_one, begun_other = one_of((0, 1), chance), one_of((0, 1), chance)
    middle = one_of(((1 - begun_one, begun_other), (begun_one, 1 - begun_other)), chance)
    order = ((begun_one, begun_other), middle, (1 - begun_one, 1 - begun_other))
    frames = tuple(scene(states[0][a], states[1][b]) for a, b in order)
    return frames, frames[::-1]


def _arcs(what: str, taken: set[int]) -> list[tuple[int, ...]]:
    """Where an object may stand and go: all places from the first to the last, none of which is taken.

    Only clockwise: which state comes first is drawn later.
    """
    lengths = STEPS if what == "cell" else (0,)
    starts = range(len(RING))
    arcs = [tuple((start + i) % len(RING) for i in range(length + 1)) for start in starts for length in lengths]
    return [arc for arc in arcs if not taken & set(arc)]


def _states(actor: Actor, what: str, places: tuple[int, ...]) -> tuple[Actor, Actor]:
    """An object before and after its change, or the other way round."""
    here = replace(actor, cell=cell(places[0]))
    match what:
        case "cell":
            return here, replace(actor, cell=cell(places[-1]))
        case "size":
            return replace(here, radius=min(RADII)), replace(here, radius=max(RADII))
        case "colour":
            return here, replace(here, colour=actor.other_colour)
        case _:
            return here, replace(here, cell=None)


def _moved(one: Actor, other: Actor, chance: Chance) -> Drawn:
    """One of the two moves. The partner: the other one moves, from the same first frame."""
    places = list(range(len(RING)))
    at = one_of(places, chance)
    other_at = one_of([place for place in places if place != at], chance)
    before = _pair_scene(one, at, other, other_at)
    return (
        (before, _pair_scene(one, one_of(_free_moves(at, other_at), chance), other, other_at)),
        (before, _pair_scene(one, at, other, one_of(_free_moves(other_at, at), chance))),
    )


def _free_moves(start: int, taken: int) -> list[int]:
    """Where an object may go without crossing the other one's cell."""
    return [
        start + way * steps
        for way in WAYS
        for steps in STEPS
        if all((start + way * i - taken) % len(RING) for i in range(1, steps + 1))
    ]


def _direction(mover: Actor, still: Actor, chance: Chance) -> Drawn:
    """One object moves along the ring, round the other one. The partner: the same frames in the other order."""
    still = replace(still, cell=one_of(MIDDLE, chance))
    start = one_of(range(len(RING)), chance)
    end = start + one_of(tuple(WAYS), chance) * one_of(STEPS, chance)
    frames = tuple(scene(replace(mover, cell=cell(place)), still) for place in (start, end))
    return frames, frames[::-1]


@dataclass(frozen=True)
class _Push:
    """One object starts at a place, comes some cells further, and the other goes some cells on.

    ``apart``: how many cells the other one is from the start at first.
    """

    one: Actor
    other: Actor
    start: int
    way: int
    apart: int
    comes: int
    goes: int

    @property
    def end(self) -> int:
        """Where the other one is at last."""
        return self.start + self.way * (self.apart + self.goes)

    def frames(self) -> Frames:
        """The start, after the first has come, after the other has gone."""
        come, at = self.start + self.way * self.comes, self.start + self.way * self.apart
        places = ((self.start, at), (come, at), (come, self.end))
        return tuple(_pair_scene(self.one, place, self.other, other_place) for place, other_place in places)


def _push(one: Actor, other: Actor, chance: Chance, steps: Sequence[int]) -> _Push:
    """A push with contact: the first object comes to the cell before the other's."""
    start, way = one_of(range(len(RING)), chance), one_of(tuple(WAYS), chance)
    comes, goes = one_of(steps, chance), one_of(steps, chance)
    return _Push(one, other, start, way, comes + 1, comes, goes)


def _cause(one: Actor, other: Actor, chance: Chance) -> Drawn:
    """One object comes up to the other, which then moves on. The partner: the same frames in the other order.

    There it is the other one that comes up.
    """
    pushed = _push(one, other, chance, PUSHED_STEPS)
    frames = pushed.frames()
    return frames, frames[::-1]


def _contact(one: Actor, other: Actor, chance: Chance) -> Drawn:
    """As :func:`_cause`. The partner: the first object stops short of the other, which moves all the same.

    Both begin with the same frame. In the last one, the objects are equally far apart.
    """
    pushed = _push(one, other, chance, [steps for steps in PUSHED_STEPS if steps > SHORT])
    short = replace(pushed, comes=pushed.comes - SHORT, goes=pushed.goes - SHORT)
    return pushed.frames(), short.frames()


def _outcome(one: Actor, other: Actor, chance: Chance) -> Drawn:
    """As :func:`_cause`. The partner: the second object moves before the first one comes.

    Both begin with the same frame and end with the same frame.
    """
    pushed = _push(one, other, chance, PUSHED_STEPS)
    first, _, last = pushed.frames()
    return pushed.frames(), (first, _pair_scene(one, pushed.start, other, pushed.end), last)


def _pair_scene(one: Actor, at: int, other: Actor, other_at: int) -> Scene:
    return scene(replace(one, cell=cell(at)), replace(other, cell=cell(other_at)))


ARRANGED: dict[str, Callable[[Actor, Actor, Chance], Drawn]] = {
    "first": _first,
    "moved": _moved,
    "direction": _direction,
    "cause": _cause,
    "contact": _contact,
    "outcome": _outcome,
}
