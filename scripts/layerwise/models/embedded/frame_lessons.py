"""Lessons about several frames: questions asked of a sequence and of its partner alike.

A sequence and its partner get the same text, and what is true of one is mostly false of the other. So neither the text
nor a single frame gives the answer away.
"""

from collections.abc import Callable

import numpy as np

from layerwise.datasets.frame_events import MOVED, Event
from layerwise.datasets.world.frames.pairs import Pair, draw_sequence
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.scenes import GRID
from layerwise.models.embedded.lessons import Question

STATEMENT = (
    'Statement: "{text}" Is it true of the frames?',
    'Is this statement true of the frames? "{text}"',
    'Did this happen? "{text}"',
)
CHANGE = "change"
VERBS = {
    MOVED: "move",
    "grew": "grow",
    "shrank": "shrink",
    "changed colour": "change colour",
    "appeared": "appear",
    "disappeared": "disappear",
}
# How often a sequence of three frames has a pause.
PAUSED = 0.25

Asked = tuple[Question, Question]
FrameLesson = Callable[[FrameSequence, FrameSequence, np.random.Generator], Asked]
"""Makes a question about a sequence and the same one about its partner."""


def draw_frames(kind: str, rng: np.random.Generator) -> Pair:
    """A sequence of a kind and its partner, sometimes with a pause if it has three frames."""
    return draw_sequence(kind, rng, pause=kind in ("first", "cause") and rng.random() < PAUSED)


def happened(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """A statement that is true of one of the two."""
    told = sequence.statements(partner)
    text = _pick(list(told), rng)
    asked = _pick(STATEMENT, rng).format(text=text)
    return Question(asked, _yes(told[text])), Question(asked, _yes(not told[text]))


def event(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """Whether an object changed, or changed in a certain way, from one picture to the next.

    What happens in one of the two is asked about, of either object and any picture but the first.
    """
    found = _pick(_pick((sequence, partner), rng).events, rng)
    verb = _pick((CHANGE, VERBS[found.what]), rng)
    shape = _pick(shapes(sequence), rng)
    picture = 2 + int(rng.integers(len(sequence.frames) - 1))
    asked = f"Did the {shape} {verb} in picture {picture}?"
    one, other = (
        Question(asked, _yes(any(_is(event, shape, verb, picture) for event in shown.events)))
        for shown in (sequence, partner)
    )
    return one, other


def _is(event: Event, shape: str, verb: str, picture: int) -> bool:
    return event.who == shape and event.after == picture - 1 and verb in (CHANGE, VERBS[event.what])


def side(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """On which side an object is in one of the pictures."""
    shape, number = _pick(shapes(sequence), rng), int(rng.integers(len(sequence.frames)))
    asked = f"On which side is the {shape} in picture {number + 1}?"
    one, other = (Question(asked, _side(shown, shape, number)) for shown in (sequence, partner))
    return one, other


def _side(sequence: FrameSequence, shape: str, number: int) -> str:
    found = [item for item in sequence.frames[number].objects if item.shape == shape]
    return "neither" if not found else "left" if found[0].column < GRID // 2 else "right"


# What may be asked about a sequence, whatever its kind.
HAPPENED = "happened"
FRAME_LESSONS: dict[str, FrameLesson] = {HAPPENED: happened, "event": event, "side": side}


def shapes(sequence: FrameSequence) -> list[str]:
    """What the objects of a sequence are called, in the order of the alphabet."""
    return sorted({item.shape for frame in sequence.frames for item in frame.objects})


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.random() * len(choices))]
