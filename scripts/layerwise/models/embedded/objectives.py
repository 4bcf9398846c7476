"""The objectives of the embedded model: for each, the mixture of lessons in each phase of training."""

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

# By objective and phase, the chance of each lesson. All objectives have as many steps, and rows of as many tokens.
MIXTURES: dict[str, dict[str, dict[str, float]]] = {
    # A captioner: it is only trained to describe the picture.
    "captions": CAPTIONS,
    # It is only trained to answer questions.
    "questions": QUESTIONS,
    "both": {
        "objects": {"describe": 1.0, **QUESTIONS["objects"]},
        "lessons": {"describe": 2.0, **QUESTIONS["lessons"]},
    },
}
