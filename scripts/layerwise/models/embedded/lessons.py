"""What the embedded model is taught: questions about a scene, each with its one right answer.

Which answer that is, the question alone never tells: nothing but looking at the picture is of use.
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
# How often a kind of object that is not there is put together from what is.
MIXED = 0.6
# How often the other scene, whose caption is wrong here, is this one with something exchanged.
EXCHANGED = 0.25
# Captions tried before two scenes are taken to be too much alike.
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
    """Is there a shape, a colour or a coloured shape; yes and no are equally likely for each of them."""
    wanted = rng.random() < 0.5
    text = _pick(OBJECT, rng).format(thing=_kind_of_object(scene, wanted, rng).with_article())
    return Question(text, "yes" if wanted else "no")


def _kind_of_object(scene: Scene, there: bool, rng: np.random.Generator) -> Phrase:
    """A kind of object that is there or not.

    Most coloured shapes that are not there are the shape of one object in the colour of another: to tell them from what
    is there one must see what belongs together, and it takes no more to learn than colours and shapes by themselves.
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
    """A hypothesis as SNLI-VE's, of its training split: yes, maybe and no are equally likely.

    Where all is lit, nothing is undecided; then it is yes or no, and some statements are about shapes or colours only.
    """
    # First the kind, then the label: so that no kind is told more often with one of them.
    kind = _pick(_kinds_of_statement(scene), rng)
    wanted = _pick(LABELS if scene.dark else ("entailment", "contradiction"), rng)
    statement = kind(scene, wanted, rng)
    return Question(_pick(STATEMENT, rng).format(text=sentence(statement, rng)), ANSWERS[wanted])


def _kinds_of_statement(scene: Scene) -> list[Callable[[Scene, str, np.random.Generator], Statement]]:
    """Ways to draw a statement about a scene and for a label."""
    found = chains(scene, "train")
    kinds = (  # The lambda's own type would be too narrow for what follows.
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
    """A caption of this scene, or one of another scene that is false of this one.

    Now and then the other scene is this one with something exchanged. A caption of this scene is only told where
    it is false of the other, too. So the two change places, and every caption is as often right as wrong.
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
    """The scene with colours or places of two objects exchanged, or its only one in another shape or colour.

    As likely as this scene from that one. Every scene has some: were those of one object compared with others only,
    their captions would be right more often.
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
    """A question of a type of the GQA tables, half of the time followed by a request for a short answer.

    A scene that has none of that type is asked about one object instead.
    """
    asked = gqa.ask(kind, scene, rng)
    if asked is None:
        return object_question(scene, rng)
    return Question(asked.question + (SHORT if rng.random() < 0.5 else ""), asked.answer)


Lesson = Callable[[Scene, np.random.Generator, Scene], Question]
"""A question about a scene; the other scene is one to compare it with."""


def _about(kind: str) -> Lesson:
    return lambda scene, rng, other: gqa_question(kind, scene, rng)


LESSONS: dict[str, Lesson] = {
    "describe": lambda scene, rng, other: describe(scene, rng),
    "object": lambda scene, rng, other: object_question(scene, rng),
    "statement": lambda scene, rng, other: statement_question(scene, rng),
    "agreement": agreement_question,
    **{kind: _about(kind) for kind in gqa.TABLES},
}

# Those that make sense where a colour cannot be seen.
IN_THE_DARK = ("describe", "statement")


def draw_scene_for(lesson: str, rng: np.random.Generator) -> Scene:
    """A scene to ask about when a lesson is tested; statements are asked of the scenes that have all three answers."""
    return draw_dark_scene("train", rng) if lesson == "statement" else draw_scene(rng)


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.random() * len(choices))]
