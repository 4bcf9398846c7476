"""What the embedded model is trained for: the mixture of lessons in each phase of training, by objective."""

# By objective and phase, the chance of each lesson. All objectives have as many steps and questions.
MIXTURES: dict[str, dict[str, dict[str, float]]] = {
    # A captioner: it only ever writes what is in the picture.
    "captions": {"objects": {"describe": 1.0}, "lessons": {"describe": 1.0}},
    # It only ever answers what it is asked.
    "questions": {
        "objects": {"list": 0.5, "object": 3.0},
        "lessons": {"list": 0.5, "object": 2.0, "statement": 2.0, "agreement": 1.5, "gqa": 1.5},
    },
    "both": {
        "objects": {"describe": 1.0, "list": 0.5, "object": 3.0},
        "lessons": {"describe": 1.0, "list": 0.5, "object": 2.0, "statement": 2.0, "agreement": 1.5, "gqa": 1.5},
    },
}
