"""The embedded model's lessons: questions about a scene, each with a single right answer.

The question alone never gives the answer away: the model must look at the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from layerwise.datasets.world import gqa
from layerwise.datasets.world.captions import draw_captions, reading_order
from layerwise.datasets.world.hypotheses import chains, draw_dark_scene, draw_one, draw_pair, draw_relation
from layerwise.datasets.world.scenes import COLOUR_NAMES, SHAPES, Scene, draw_scene
from layerwise.datasets.world.statements import (
    LABELS,
    OPPOSITE,
    Exists,
    Phrase,
    Relation,
    Statement,
    relation_between,
    sentence,
)

DESCRIBE = ("Describe the image.", "Describe the picture.", "What is in the image?")
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
# The chance that a kind of object that is absent combines the shape and the colour of objects that are present.
MIXED = 0.6
# The chance that the scene of a wrong caption is this scene with something exchanged.
EXCHANGED = 0.25
# So many captions are tried before two scenes count as too similar.
TRIES = 20


@dataclass(frozen=True)
class Question:
    """A question about a picture, and the answer."""

    text: str
    answer: str


def describe(scene: Scene, rng: np.random.Generator) -> Question:
    """Every object in reading order, with its colour."""
    return Question(_pick(DESCRIBE, rng), reading_order(scene).text)


def object_question(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask whether there is a shape, a colour or a coloured shape; yes and no are equally likely for each of them."""
    wanted = rng.random() < 0.5
    text = _pick(OBJECT, rng).format(thing=_kind_of_object(scene, wanted, rng).with_article())
    return Question(text, "yes" if wanted else "no")


def _kind_of_object(scene: Scene, there: bool, rng: np.random.Generator) -> Phrase:
    """A kind of object that is present or absent.

    Most absent coloured shapes have the shape of one object and the colour of another. To answer, the model must see
    which colour belongs to which shape, and that is no harder to learn than colours and shapes by themselves.
    """
    form = rng.random()
    while True:
        item = _pick(scene.objects, rng)
        shape, colour = item.shape, item.colour
        if not there:
            mixed = rng.random() < MIXED
            shape = shape if mixed else _pick(SHAPES, rng)
            colour = _pick(scene.objects, rng).colour if mixed else _pick(COLOUR_NAMES, rng)
        phrase = Phrase(shape) if form < 0.3 else Phrase(None, colour) if form < 0.4 else Phrase(shape, colour)
        if any(phrase.fits(other) for other in scene.objects) == there:
            return phrase


def statement_question(scene: Scene, rng: np.random.Generator) -> Question:
    """A hypothesis like SNLI-VE's, of its training split: yes, maybe and no are equally likely.

    If no object is in the dark, every statement is decidable: the answer is yes or no, and some statements are about
    shapes or colours only.
    """
    # The kind is drawn before the label, so that no kind has one label more often.
    kind = _pick(_kinds_of_statement(scene), rng)
    wanted = _pick(LABELS if scene.dark else ("entailment", "contradiction"), rng)
    statement = kind(scene, wanted, rng)
    return Question(_pick(STATEMENT, rng).format(text=sentence(statement, rng)), ANSWERS[wanted])


def _kinds_of_statement(scene: Scene) -> list[Callable[[Scene, str, np.random.Generator], Statement]]:
    """Ways to draw a statement about a scene for a label."""
    found = chains(scene, "train")
    kinds = (  # The type of the lambda alone would be too narrow.
        [lambda scene, wanted, rng: draw_pair(_pick(found, rng), wanted, rng)] if found else []
    )  # type: list[Callable[[Scene, str, np.random.Generator], Statement]]
    if found:
        kinds.append(lambda scene, wanted, rng: draw_relation(scene, _pick(found, rng), wanted, rng))
    if scene.dark:
        return [*kinds, draw_one]
    if len(gqa.only(scene, "shape")) > 1:
        kinds.append(_relation_of_shapes)
    return [*kinds, lambda scene, wanted, rng: Exists(_kind_of_object(scene, wanted == "entailment", rng))]


def _relation_of_shapes(scene: Scene, wanted: str, rng: np.random.Generator) -> Relation:
    alone = gqa.only(scene, "shape")
    first, second = (alone[i] for i in rng.permutation(len(alone))[:2].tolist())
    relation = relation_between(first, second, rng)
    if wanted == "contradiction":
        relation = OPPOSITE[relation]
    return Relation(Phrase(first.shape), relation, Phrase(second.shape))


def agreement_question(scene: Scene, rng: np.random.Generator, other: Scene) -> Question:
    """A caption of this scene, or a caption of another scene that is false of this one.

    Sometimes the other scene is this one with something exchanged. A caption of this scene is only used if it is false
    of the other. So the two scenes are interchangeable, and every caption is right as often as wrong.
    """
    if rng.random() < EXCHANGED:
        other = _exchanged(scene, rng)
    own = rng.random() < 0.5
    told, against = (scene, other) if own else (other, scene)
    for _ in range(TRIES):
        caption = _pick(draw_captions(told, rng), rng)
        if not caption.statement.shown(against):
            return Question(_pick(AGREEMENT, rng).format(text=caption.text), "yes" if own else "no")
    return object_question(scene, rng)


def _exchanged(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with the colours or places of two objects exchanged, or its only object in another shape or colour.

    The reverse exchange is equally likely. Scenes of a single object need one too: if they were only compared with
    other scenes, their captions would be right more often.
    """
    if len(scene.objects) == 1:
        (only,) = scene.objects
        if rng.random() < 0.5:
            return Scene((replace(only, shape=_pick([s for s in SHAPES if s != only.shape], rng)),))
        return Scene((replace(only, colour=_pick([c for c in COLOUR_NAMES if c != only.colour], rng)),))
    i, j = rng.permutation(len(scene.objects))[:2].tolist()
    objects = list(scene.objects)
    first, second = objects[i], objects[j]
    colours = replace(first, colour=second.colour), replace(second, colour=first.colour)
    objects[i], objects[j] = colours
    if (
        rng.random() < 0.5
        or first.colour == second.colour
        or len({(item.shape, item.colour) for item in objects}) < len(objects)
    ):
        objects[i] = replace(first, shape=second.shape, colour=second.colour)
        objects[j] = replace(second, shape=first.shape, colour=first.colour)
    return Scene(tuple(objects))


def gqa_question(kind: str, scene: Scene, rng: np.random.Generator) -> Question:
    """A question of a type of the GQA tables, followed half of the time by a request for a short answer.

    If the scene allows no question of that type, one object is asked about instead.
    """
    asked = gqa.ask(kind, scene, rng)
    if asked is None:
        return object_question(scene, rng)
    return Question(asked.question + (SHORT if rng.random() < 0.5 else ""), asked.answer)


Lesson = Callable[[Scene, np.random.Generator, Scene], Question]
"""Makes a question about the first scene; the second scene is there for comparison."""


def _about(kind: str) -> Lesson:
    return lambda scene, rng, other: gqa_question(kind, scene, rng)


LESSONS: dict[str, Lesson] = {
    "describe": lambda scene, rng, other: describe(scene, rng),
    "object": lambda scene, rng, other: object_question(scene, rng),
    "statement": lambda scene, rng, other: statement_question(scene, rng),
    "agreement": agreement_question,
    **{kind: _about(kind) for kind in gqa.TABLES},
}

# The lessons that make sense if a colour cannot be seen.
IN_THE_DARK = ("describe", "statement")


def draw_scene_for(lesson: str, rng: np.random.Generator) -> Scene:
    """A scene for testing a lesson; for statements one that allows all three answers."""
    return draw_dark_scene("train", rng) if lesson == "statement" else draw_scene(rng)


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.random() * len(choices))]
