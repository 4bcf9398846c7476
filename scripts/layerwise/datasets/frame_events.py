"""What happens in a sequence of frames, and the statements about it that are true.

A statement is asked of two matched sequences, of which it is true in one alone; so a text is right as often as wrong.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

# What an event may be, as annotations name it. Each is a change that the frames before and after it show.
MOVED = "moved"
EVENTS = (MOVED, "grew", "shrank", "changed colour", "appeared", "disappeared", "changed")
# What sequences are about. Contact and outcome ask what cause asks, of sequences with less in common with it.
QUESTIONS = ("first", "moved", "direction", "cause")
CAUSE_PARTS = ("contact", "outcome")
KINDS = (*QUESTIONS, *CAUSE_PARTS)


@dataclass(frozen=True)
class Event:
    """A change between two frames.

    Attributes:
        what: one of :data:`EVENTS`.
        who: name of the object, which no other object of the sequence has.
        after: number of the last frame before the change, counted from 1.
        way: in which direction it moved; None for other changes, or where nothing is said of it.
        caused_by: name of the object that made it move; None where it moved by itself.
    """

    what: str
    who: str
    after: int
    way: str | None = None
    caused_by: str | None = None


def true_statements(kind: str, events: Iterable[Event]) -> list[str]:
    """The sentences of a kind of sequence (of :data:`KINDS`) that its events make true.

    An object that changes several times counts as changing when it does so first.
    """
    in_order = sorted(events, key=lambda event: event.after)
    if kind == "first":
        begins = {event.who: event.after for event in reversed(in_order)}
        pairs = permutations(begins, 2)
        return [f"The {one} changed before the {other}." for one, other in pairs if begins[one] < begins[other]]
    moves = [event for event in in_order if event.what == MOVED]
    if kind == "moved":
        return [f"The {move.who} moved." for move in moves]
    if kind == "direction":
        return [f"The {move.who} moved {move.way}." for move in moves if move.way]
    return [f"The {move.caused_by} made the {move.who} move." for move in moves if move.caused_by]


def statements(kind: str, events: Iterable[Event], of_partner: Iterable[Event]) -> dict[str, bool]:
    """What to ask of a sequence and its partner: sentences true in one of the two alone, and whether in this one.

    In the order of the alphabet, so that nothing in it tells which of them are true.
    """
    here, there = set(true_statements(kind, events)), set(true_statements(kind, of_partner))
    return {sentence: sentence in here for sentence in sorted(here ^ there)}
