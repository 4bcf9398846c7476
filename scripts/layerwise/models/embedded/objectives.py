"""What the embedded model is trained for: the mixture of lessons in each phase of training, by objective."""

CAPTIONS = {"objects": {"describe": 1.0}, "lessons": {"describe": 1.0}}
# First the questions of one object: that this colour belongs to that shape must be seen before the rest is of any use.
# Without the types that name its colour or side, some seeds never see it.
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

# By objective and phase, the chance of each lesson. All objectives have as many steps, and rows of as many tokens.
MIXTURES: dict[str, dict[str, dict[str, float]]] = {
    # A captioner: it only ever writes what is in the picture.
    "captions": CAPTIONS,
    # It only ever answers what it is asked.
    "questions": QUESTIONS,
    "both": {
        "objects": {"describe": 1.0, **QUESTIONS["objects"]},
        "lessons": {"describe": 2.0, **QUESTIONS["lessons"]},
    },
}
