"""Lessons about several frames: questions asked of a sequence and of its partner alike.

A sequence and its partner get the same text, and what is true of one is mostly false of the other. So neither the text
nor a single frame gives the answer away.
"""

from collections.abc import Callable

import numpy as np

from layerwise.datasets.frame_events import MOVED
from layerwise.datasets.world.captions import reading_order
from layerwise.datasets.world.frames.pairs import Pair, draw_sequence
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.models.embedded.lessons import Question

STATEMENT = (
    'Statement: "{text}" Is it true of the frames?',
    'Is this statement true of the frames? "{text}"',
    'Did this happen? "{text}"',
)
NOTHING, BOTH = "nothing", "both"
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
# How often a question about something that moves is about the way.
WAY_ASKED = 0.7

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


def who(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """Which object did something, or changed first."""
    first = len(sequence.events) > 1 and rng.random() < 0.5
    did = _pick(_pick((sequence, partner), rng).events, rng).what
    asked = "What changed first?" if first else f"What {did}?"
    answers = []
    for shown in (sequence, partner):
        names = [event.who for event in shown.events if event.what == did]
        answers.append(shown.events[0].who if first else BOTH if len(names) > 1 else names[0] if names else NOTHING)
    return Question(asked, answers[0]), Question(asked, answers[1])


def how(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """What an object did, or which way it moved."""
    moved = [event.who for shown in (sequence, partner) for event in shown.events if event.way]
    way = bool(moved) and rng.random() < WAY_ASKED
    shape = _pick(moved if way else shapes(sequence), rng)
    asked = f"Which way did the {shape} move?" if way else f"What did the {shape} do?"
    answers = []
    for shown in (sequence, partner):
        found = [event for event in shown.events if event.who == shape]
        told = [event.way if way else event.what for event in found]
        answers.append(told[0] or NOTHING if told else NOTHING)
    return Question(asked, answers[0]), Question(asked, answers[1])


def whether(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """Whether an object did something, and which way; half of the time, whether any did.

    What happens in one of the two is asked about, or anything else.
    """
    any_ = rng.random() < 0.5
    event = _pick(_pick((sequence, partner), rng).events, rng)
    did, way = event.what, event.way
    if rng.random() < 0.3:
        did, way = _pick(list(VERBS), rng), None
    if way is not None and rng.random() > WAY_ASKED:
        way = None
    shape = event.who if way else _pick(shapes(sequence), rng)
    asked = " ".join(filter(None, ("Did", "something" if any_ else f"the {shape}", VERBS[did], way))) + "?"
    one, other = (
        Question(
            asked,
            _yes(
                any(
                    event.what == did and (any_ or event.who == shape) and way in (None, event.way)
                    for event in shown.events
                )
            ),
        )
        for shown in (sequence, partner)
    )
    return one, other


def tell(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """All that happened, in order."""
    one, other = (Question("What happened?", _told(shown)) for shown in (sequence, partner))
    return one, other


def _told(sequence: FrameSequence) -> str:
    told = (" ".join(filter(None, ("the", event.who, event.what, event.way))) for event in sequence.events)
    return f"{', then '.join(told).capitalize()}."


def picture(sequence: FrameSequence, partner: FrameSequence, rng: np.random.Generator) -> Asked:
    """What is in one of the pictures."""
    number = int(rng.integers(len(sequence.frames)))
    asked = f"What is in picture {number + 1}?"
    one, other = (Question(asked, reading_order(shown.frames[number]).text) for shown in (sequence, partner))
    return one, other


# What may be asked about a sequence, whatever its kind.
HAPPENED = "happened"
FRAME_LESSONS: dict[str, FrameLesson] = {
    HAPPENED: happened,
    "who": who,
    "how": how,
    "whether": whether,
    "tell": tell,
    "picture": picture,
}


def shapes(sequence: FrameSequence) -> list[str]:
    """What the objects of a sequence are called, in the order of the alphabet."""
    return sorted({item.shape for frame in sequence.frames for item in frame.objects})


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.random() * len(choices))]
