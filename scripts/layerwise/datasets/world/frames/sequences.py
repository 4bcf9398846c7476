"""A sequence of frames, and the events that are read off its frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from layerwise.datasets.frame_events import MOVED, Event, statements
from layerwise.datasets.world.frames.ring import MIDDLE, RING, WAYS, cell, way_of
from layerwise.datasets.world.scenes import Scene, SceneObject


@dataclass(frozen=True)
class FrameSequence:
    """Frames in order, each a scene whose objects have different shapes.

    Attributes:
        kind: of :data:`layerwise.datasets.frame_events.KINDS`.
        frames: 2 to 4 scenes. Two frames in a row are alike where there is a pause.
    """

    kind: str
    frames: tuple[Scene, ...]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happens, as the frames show it; at most one change between two frames."""
        return found_events(self.frames)

    def statements(self, partner: "FrameSequence") -> dict[str, bool]:
        """The sentences to ask of this sequence and its partner, and which of them are true of this one."""
        return statements(self.kind, self.events, partner.events)


def found_events(frames: Sequence[Scene]) -> tuple[Event, ...]:
    """The rule: every change of an object between two frames, and what made it move.

    An object made another one move if it came to the cell behind it, and the other one was the next to change and
    moved on in the same direction.
    """
    events: list[Event] = []
    for after, (before, now) in enumerate(pairwise(frames), start=1):
        was, is_now = ({item.shape: item for item in frame.objects} for frame in (before, now))
        for shape in sorted(was.keys() | is_now.keys()):
            event = _change(shape, was.get(shape), is_now.get(shape), after)
            if event is None:
                continue
            last = events[-1] if events else None
            if last is not None and event.way is not None and last.way == event.way and _behind(was, last.who, event):
                event = replace(event, caused_by=last.who)
            events.append(event)
    return tuple(events)


def _change(shape: str, was: SceneObject | None, now: SceneObject | None, after: int) -> Event | None:
    if was == now:
        return None
    if was is None or now is None:
        return Event("appeared" if was is None else "disappeared", shape, after)
    if _cell(was) != _cell(now):
        return Event(MOVED, shape, after, way=WAYS[way_of(_cell(was), _cell(now))])
    if was.colour != now.colour:
        return Event("changed colour", shape, after)
    return Event("grew" if now.radius > was.radius else "shrank", shape, after)


def _behind(frame: dict[str, SceneObject], pusher: str, event: Event) -> bool:
    """Whether, before a move, another object stands in the cell behind the one that moves."""
    moved, other = _cell(frame[event.who]), frame.get(pusher)
    if other is None or pusher == event.who or _cell(other) in MIDDLE:
        return False
    way = next(sign for sign, name in WAYS.items() if name == event.way)
    return _cell(other) == cell(RING.index(moved) - way)


def _cell(item: SceneObject) -> tuple[int, int]:
    return item.column, item.row
