"""Five captions of a scene, each with the statement that it makes."""

from dataclasses import dataclass

import numpy as np

from layerwise.datasets.world.scenes import Scene
from layerwise.datasets.world.statements import (
    Exists,
    Listing,
    Relation,
    Statement,
    enumeration,
    phrase_of,
    relation_between,
    two_of,
)

CAPTIONS_PER_IMAGE = 5
RELATION_WORDINGS = ("{one} is {relation} {other}.", "there is {one} {relation} {other}.", "{one} {relation} {other}.")
SINGLE_WORDINGS = (
    "there is {one}.",
    "a picture of {one}.",
    "{one} is all there is.",
    "{one} on a grey background.",
)


@dataclass(frozen=True)
class Caption:
    """What a caption states, and a wording with a place for each part of it."""

    wording: str
    statement: Statement

    @property
    def text(self) -> str:
        """The caption's words; the first letter is a capital."""
        match self.statement:
            case Relation(one, relation, other):
                text = self.wording.format(one=one.with_article(), relation=relation, other=other.with_article())
            case Listing(items, _):
                text = self.wording.format(one=enumeration(items))
            case Exists(phrase):
                text = self.wording.format(one=phrase.with_article())
            case _:
                raise ValueError(f"no caption states {self.statement!r}")
        return text[0].upper() + text[1:]


def reading_order(scene: Scene) -> Caption:
    """The caption that lists every object in reading order."""
    return Caption("{one}.", Listing(tuple(phrase_of(item) for item in scene.objects), complete=True))


def draw_captions(scene: Scene, rng: np.random.Generator) -> list[Caption]:
    """Five captions, no two alike: the first in reading order, each of two objects or more where there are two."""
    first = reading_order(scene)
    if len(scene.objects) == 1:
        one = phrase_of(scene.objects[0])
        return [first, *(Caption(wording, Exists(one)) for wording in SINGLE_WORDINGS)]
    captions = [first]
    for wording in RELATION_WORDINGS:
        a, b = two_of(scene, rng)
        captions.append(Caption(wording, Relation(phrase_of(a), relation_between(a, b, rng), phrase_of(b))))
    pair = tuple(phrase_of(item) for item in two_of(scene, rng))
    captions.append(Caption("a picture with {one}.", Listing(pair, complete=False)))
    return captions
