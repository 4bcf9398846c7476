"""What the embedded model is taught: questions about a scene, each with its one right answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layerwise.datasets.world import gqa
from layerwise.datasets.world.captions import Caption, draw_captions, reading_order
from layerwise.datasets.world.scenes import COLOURS, SHAPES, Scene
from layerwise.datasets.world.statements import LABELS, Phrase, altered, draw_statement, label, sentence

DESCRIBE = ("Describe the image.", "Describe the picture.", "What is in the image?")
LIST = ("Which objects are in the image?", "List the objects in the image.", "Which shapes can you see?")
OBJECT = (
    "Is there {thing} in the image?",
    "Is there {thing} in the picture?",
    "Is there {thing}?",
    "Does the image contain {thing}?",
    "Can you see {thing}?",
    "Does the picture show {thing}?",
)
STATEMENT = (
    'Statement: "{text}" Is it true of the image?',
    'Is this statement true of the image? "{text}"',
    'Statement: "{text}" Does the image entail the statement?',
    'Does the image entail this statement? "{text}"',
)
AGREEMENT = (
    'Does this text agree with the image? "{text}"',
    'Text: "{text}" Does the text agree with the image?',
    'Is this a correct caption of the image? "{text}"',
    'Does this caption describe the image? "{text}"',
)
SHORT = "\nAnswer the question using a single word or phrase."
ANSWERS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}


@dataclass(frozen=True)
class Question:
    """A question about a picture, and the answer."""

    text: str
    answer: str


def describe(scene: Scene, rng: np.random.Generator) -> Question:
    """Every object in reading order, with its colour."""
    return Question(_pick(DESCRIBE, rng), reading_order(scene).text)


def list_objects(scene: Scene, rng: np.random.Generator) -> Question:
    """The shapes in reading order, separated by commas."""
    return Question(_pick(LIST, rng), ", ".join(item.shape for item in scene.objects))


def object_question(scene: Scene, rng: np.random.Generator) -> Question:
    """Is there a shape, a colour or a coloured shape; yes and no are equally likely.

    Half of the coloured shapes that are not there share shape or colour with one that is.
    """
    wanted = rng.random() < 0.5
    by_shape = rng.random()
    while True:
        item = scene.objects[int(rng.integers(len(scene.objects)))]
        shape = item.shape if wanted or rng.random() < 0.25 else _pick(SHAPES, rng)
        colour = item.colour if wanted or rng.random() < 0.25 else _pick(tuple(COLOURS), rng)
        phrase = Phrase(shape) if by_shape < 0.5 else Phrase(shape, colour) if by_shape < 0.85 else Phrase(None, colour)
        if any(phrase.fits(other) for other in scene.objects) == wanted:
            text = _pick(OBJECT, rng).format(thing=phrase.with_article())
            return Question(text, "yes" if wanted else "no")


def statement_question(scene: Scene, rng: np.random.Generator) -> Question:
    """A hypothesis as SNLI-VE's: yes, maybe and no are equally likely."""
    statement = draw_statement(scene, _pick(LABELS, rng), rng)
    text = _pick(STATEMENT, rng).format(text=sentence(statement, rng))
    return Question(text, ANSWERS[label(scene, statement)])


def agreement_question(scene: Scene, rng: np.random.Generator, other: Scene) -> Question:
    """A caption of this scene, or one that is not true of it: of another scene, or with one word changed."""
    if rng.random() < 0.5:
        return _agreement(_pick(draw_captions(scene, rng), rng), "yes", rng)
    if rng.random() < 0.5:
        wrong = _pick(draw_captions(other, rng), rng)
        if label(scene, wrong.statement) == "contradiction":
            return _agreement(wrong, "no", rng)
    while True:
        own = _pick(draw_captions(scene, rng), rng)
        wrong = Caption(own.wording, altered(own.statement, rng))
        if label(scene, wrong.statement) == "contradiction":
            return _agreement(wrong, "no", rng)


def gqa_question(scene: Scene, rng: np.random.Generator) -> Question:
    """A question of one of the GQA tables' types, half of the time followed by a request for a short answer.

    Two red and two blue objects of the same two shapes have none, and are asked about one object instead.
    """
    for kind in rng.permutation(list(gqa.TABLES)).tolist():
        asked = gqa.ask(kind, scene, rng)
        if asked is not None:
            return Question(asked.question + (SHORT if rng.random() < 0.5 else ""), asked.answer)
    return object_question(scene, rng)


LESSONS: dict[str, Callable[[Scene, np.random.Generator, Scene], Question]] = {
    "describe": lambda scene, rng, other: describe(scene, rng),
    "list": lambda scene, rng, other: list_objects(scene, rng),
    "object": lambda scene, rng, other: object_question(scene, rng),
    "statement": lambda scene, rng, other: statement_question(scene, rng),
    "agreement": agreement_question,
    "gqa": lambda scene, rng, other: gqa_question(scene, rng),
}


def _agreement(caption: Caption, answer: str, rng: np.random.Generator) -> Question:
    return Question(_pick(AGREEMENT, rng).format(text=caption.text), answer)


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.integers(len(choices)))]
