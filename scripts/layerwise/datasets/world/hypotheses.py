"""Statements of each label about a scene, drawn so that their words alone say nothing of the label.

Kinds of objects lie on a ring: a *step* is so many shapes and so many colours further on in the lists of both. Four
phrases, each a step from the one before, make a *chain*: ``absent`` is not in the scene, ``one`` and ``other`` are,
and ``claimed`` is the shape in the dark with a colour that it may have. One and other are entailed, other and claimed
neutral, one and absent a contradiction. As a chain may start anywhere on the ring, every two phrases a step apart are
as likely under each label.

Steps are divided among SNLI-VE's splits. So no statement of one split is one of another's, no two phrases are even
told together in both, and yet each phrase is as frequent in all.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from layerwise.datasets.world.scenes import COLOUR_NAMES, DARK, SHAPES, Scene, SceneObject, arranged
from layerwise.datasets.world.statements import (
    OPPOSITE,
    RELATIONS,
    Exists,
    Listing,
    Phrase,
    Relation,
    phrase_of,
    relation_between,
)

Step = tuple[int, int]
Found = TypeVar("Found")

# A step and its way back are one. Four shapes on and four back are the same shape, so there the ends would meet.
STEPS: tuple[Step, ...] = tuple((shapes, colours) for shapes in (1, 2, 3) for colours in range(1, len(COLOUR_NAMES)))
HELD_OUT = {"dev": ((1, 2), (3, 4)), "test": ((1, 4), (2, 3))}
SPLIT_STEPS: dict[str, tuple[Step, ...]] = {
    "train": tuple(step for step in STEPS if step not in HELD_OUT["dev"] + HELD_OUT["test"]),
    **HELD_OUT,
}
_SPLIT_OF = {
    way: split
    for split, steps in SPLIT_STEPS.items()
    for shapes, colours in steps
    for way in ((shapes, colours), (len(SHAPES) - shapes, len(COLOUR_NAMES) - colours))
}
_PLACE = {word: place for words in (SHAPES, COLOUR_NAMES) for place, word in enumerate(words)}

# Of the scenes with an object in the dark, those with a further one that is like what a false statement says is there.
WITH_DECOY = 2 / 3


@dataclass(frozen=True)
class Chain:
    """Four phrases a step apart; ``claimed`` only where an object is in the dark."""

    absent: Phrase
    one: Phrase
    other: Phrase
    claimed: Phrase | None


def moved(phrase: Phrase, step: Step) -> Phrase:
    """The phrase a step further on."""
    shape, colour = (_PLACE[word] + by for word, by in zip(phrase.kind, step, strict=True))
    return Phrase(SHAPES[shape % len(SHAPES)], COLOUR_NAMES[colour % len(COLOUR_NAMES)])


def step_between(first: Phrase, second: Phrase) -> Step:
    """The step from one phrase to another."""
    shapes, colours = (_PLACE[end] - _PLACE[start] for start, end in zip(first.kind, second.kind, strict=True))
    return shapes % len(SHAPES), colours % len(COLOUR_NAMES)


def split_of(first: Phrase, second: Phrase) -> str | None:
    """The split whose statements are about these two phrases; None for two that no statement of a split is about."""
    return _SPLIT_OF.get(step_between(first, second))


def draw_dark_scene(split: str, rng: np.random.Generator) -> Scene:
    """A scene of three or four objects, one in the dark, that a split has statements of every label about."""
    step = _pick(SPLIT_STEPS[split], rng)
    one = Phrase(_pick(SHAPES, rng), _pick(COLOUR_NAMES, rng))
    other = moved(one, step)
    ends = [moved(one, (-step[0], -step[1])), moved(other, step)]
    dark, absent = ends if rng.random() < 0.5 else ends[::-1]
    kinds = [one.kind, other.kind, (dark.kind[0], DARK)]
    if rng.random() < WITH_DECOY:
        absent_shape, absent_colour = absent.kind
        like = (
            [(absent_shape, colour) for colour in COLOUR_NAMES]
            if rng.random() < 0.5
            else [(shape, absent_colour) for shape in SHAPES if shape != dark.shape]
        )
        kinds.append(_pick([kind for kind in like if kind not in kinds and kind != absent.kind], rng))
    return arranged(kinds, rng)


def chains(scene: Scene, split: str) -> list[Chain]:
    """A scene's chains with a split's steps."""
    lit, dark = [phrase_of(item) for item in scene.lit], scene.dark
    found = []
    for one in lit:
        for other in lit:
            step = step_between(one, other)
            if _SPLIT_OF.get(step) != split:
                continue
            absent, last = moved(one, (-step[0], -step[1])), moved(other, step)
            if absent not in lit and (dark is None or last.shape == dark.shape != absent.shape):
                found.append(Chain(absent, one, other, last if dark else None))
    return found


def draw_pair(chain: Chain, wanted: str, rng: np.random.Generator) -> Listing:
    """Two things are there."""
    if wanted == "neutral":
        told = [chain.other, _there(chain.claimed)]
    else:
        told = [chain.one, chain.other if wanted == "entailment" else chain.absent]
    return Listing(tuple(_shuffled(told, rng)), complete=False)


def draw_relation(scene: Scene, chain: Chain, wanted: str, rng: np.random.Generator) -> Relation:
    """One thing stands in a relation to another; half of the contradictions are about two that are there."""
    if wanted == "contradiction" and rng.random() < 0.5:
        first, second = _shuffled([chain.one, chain.absent], rng)
        return Relation(first, _pick(tuple(RELATIONS), rng), second)
    first, second = _shuffled([chain.other, _there(chain.claimed) if wanted == "neutral" else chain.one], rng)
    one, other = (_there(scene.dark) if said == chain.claimed else _named(scene, said) for said in (first, second))
    relation = relation_between(one, other, rng)
    return Relation(first, OPPOSITE[relation] if wanted == "contradiction" else relation, second)


def draw_one(scene: Scene, wanted: str, rng: np.random.Generator) -> Exists:
    """One thing is there; half of the contradictions share shape or colour with a lit object."""
    lit, dark = scene.lit, scene.dark
    item = _pick(lit, rng)
    if wanted == "entailment":
        return Exists(phrase_of(item))
    if wanted == "neutral":
        return Exists(Phrase(_there(dark).shape, _pick(COLOUR_NAMES, rng)))
    there = {(other.shape, other.colour) for other in lit}
    like = rng.random()
    while True:
        shape = item.shape if like < 0.25 else _pick(SHAPES, rng)
        colour = item.colour if 0.25 <= like < 0.5 else _pick(COLOUR_NAMES, rng)
        if (shape, colour) not in there and not (dark and shape == dark.shape):
            return Exists(Phrase(shape, colour))


def _there(found: Found | None) -> Found:
    """What a scene with an object in the dark has."""
    if found is None:
        raise ValueError("the scene has no object in the dark")
    return found


def _named(scene: Scene, phrase: Phrase) -> SceneObject:
    return next(item for item in scene.objects if phrase.fits(item))


def _shuffled(phrases: list[Phrase], rng: np.random.Generator) -> list[Phrase]:
    return phrases if rng.random() < 0.5 else phrases[::-1]


def _pick(choices, rng: np.random.Generator):
    return choices[int(rng.random() * len(choices))]
