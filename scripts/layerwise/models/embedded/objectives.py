"""The objectives of the embedded model: for each, the mixture of lessons in each phase of training."""

from collections.abc import Mapping
from dataclasses import dataclass

CAPTIONS = {"objects": {"describe": 1.0}, "lessons": {"describe": 1.0}}
# Questions about one object come first: all others need the model to see which colour belongs to which shape. Without
# the types that name an object's colour or side, some seeds never learn that.
QUESTIONS = {
    "objects": {"object": 3.0, "ChooseAttr": 0.6, "ChooseCat": 0.3, "LogicalObj": 0.3, "QueryAttr": 0.7},
    "lessons": {
        "object": 0.8,
        "statement": 3.0,
        "agreement": 2.0,
        "ChooseAttr": 0.3,
        "ChooseCat": 0.2,
        "ChooseRel": 0.6,
        "CompareAttr": 0.5,
        "LogicalObj": 0.4,
        "QueryAttr": 1.4,
    },
}

# What is asked about single pictures beside sequences, while those are learned and afterwards.
BESIDE = {"object": 3.0, "statement": 1.0, "ChooseAttr": 0.4, "QueryAttr": 1.0, "ChooseRel": 0.6}
SINGLE = {"describe": 0.5, "object": 1.5, "statement": 4.0, "ChooseRel": 1.0, "QueryAttr": 1.0}

# By objective and phase, the chance of each lesson about a single picture. The first three objectives have as many
# steps, and rows of as many tokens.
MIXTURES: dict[str, dict[str, dict[str, float]]] = {
    # A captioner: it is only trained to describe the picture.
    "captions": CAPTIONS,
    # It is only trained to answer questions.
    "questions": QUESTIONS,
    "both": {
        "objects": {"describe": 1.0, **QUESTIONS["objects"]},
        "lessons": {"describe": 2.0, **QUESTIONS["lessons"]},
    },
    # It is taught what happens in sequences of frames, besides objects and statements about a single picture.
    "frames": {
        "objects": QUESTIONS["objects"],
        "which": BESIDE,
        "way": BESIDE,
        "frames": BESIDE,
        "together": SINGLE,
    },
}


@dataclass(frozen=True)
class Frames:
    """The sequences of a phase: their share of the rows, and the chances of their kinds and of lessons about them."""

    share: float
    kinds: Mapping[str, float]
    lessons: Mapping[str, float]


FRAMES: dict[str, dict[str, Frames]] = {
    "frames": {
        "objects": Frames(
            0.5,
            {"moved": 1.0, "first": 1.0, "direction": 1.0, "cause": 1.0},
            {"who": 1.0, "whether": 1.0, "picture": 1.0},
        ),
        "which": Frames(
            0.8,
            {"moved": 3.0, "direction": 0.5, "first": 0.3, "cause": 0.3},
            {"who": 2.0, "how": 1.0, "whether": 1.0, "happened": 6.0},
        ),
        "way": Frames(
            0.8,
            {"direction": 2.5, "moved": 1.0, "first": 0.3, "cause": 0.3},
            {"who": 0.5, "how": 2.0, "whether": 3.0, "happened": 4.0},
        ),
        "frames": Frames(
            0.8,
            {"moved": 1.3, "first": 2.3, "direction": 1.8, "cause": 1.3},
            {"happened": 6.0, "tell": 0.3, "whether": 1.5, "who": 1.0, "how": 2.0},
        ),
        "together": Frames(
            0.5,
            {"moved": 1.0, "first": 1.3, "direction": 1.3, "cause": 1.3},
            {"happened": 6.0, "tell": 0.3, "whether": 0.5, "who": 0.5, "how": 1.0},
        ),
    }
}
