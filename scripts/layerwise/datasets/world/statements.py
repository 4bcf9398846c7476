"""Statements about a scene, and the rule that says whether one is true, false or cannot be decided from a picture.

The three labels are SNLI-VE's. ``entailment``: true in whatever colour the object in the dark has.
``contradiction``: true in none. ``neutral``: it depends on that colour, which nobody can see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from layerwise.datasets.world.scenes import Scene, SceneObject

LABELS = ("entailment", "neutral", "contradiction")

RELATIONS: dict[str, Callable[[SceneObject, SceneObject], bool]] = {
    "left of": lambda a, b: a.column < b.column,
    "right of": lambda a, b: a.column > b.column,
    "above": lambda a, b: a.row < b.row,
    "below": lambda a, b: a.row > b.row,
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Phrase:
    """A kind of object: ``None`` leaves shape or colour open."""

    shape: str | None
    colour: str | None = None

    def fits(self, item: SceneObject) -> bool:
        """Whether an object is of this kind."""
        return self.shape in (None, item.shape) and self.colour in (None, item.colour)

    @property
    def kind(self) -> tuple[str, str]:
        """Shape and colour of a phrase that leaves neither open."""
        if self.shape is None or self.colour is None:
            raise ValueError(f"{self.words()!r} leaves its shape or colour open")
        return self.shape, self.colour

    def words(self) -> str:
        """The phrase without an article: ``red circle``."""
        return " ".join(word for word in (self.colour, self.shape or "shape") if word)

    def with_article(self) -> str:
        """The phrase with ``a`` or ``an``."""
        words = self.words()
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Exists:
    """There is such an object."""

    phrase: Phrase

    def shown(self, scene: Scene) -> bool:
        return any(self.phrase.fits(item) for item in scene.objects)


@dataclass(frozen=True)
class Relation:
    """Some object of the first kind stands in a relation (a key of ``RELATIONS``) to some of the second kind."""

    first: Phrase
    relation: str
    second: Phrase

    def shown(self, scene: Scene) -> bool:
        holds = RELATIONS[self.relation]
        return any(
            self.first.fits(a) and self.second.fits(b) and holds(a, b) for a, b in permutations(scene.objects, 2)
        )


@dataclass(frozen=True)
class Listing:
    """All these objects are there, each phrase a different object; ``complete``: and no others."""

    items: tuple[Phrase, ...]
    complete: bool

    def shown(self, scene: Scene) -> bool:
        if len(self.items) > len(scene.objects) or (self.complete and len(self.items) != len(scene.objects)):
            return False
        return any(
            all(phrase.fits(item) for phrase, item in zip(self.items, chosen, strict=True))
            for chosen in permutations(scene.objects, len(self.items))
        )


Statement = Exists | Relation | Listing


def label(scene: Scene, statement: Statement) -> str:
    """The rule: what a picture of ``scene`` says about ``statement``, one of ``LABELS``."""
    shown = {statement.shown(possible) for possible in scene.lit_up()}
    return "neutral" if len(shown) == 2 else "entailment" if True in shown else "contradiction"


def sentence(statement: Statement, rng: np.random.Generator) -> str:
    """Put a statement into words, as a sentence with a capital and a full stop; the wording is drawn."""
    forms: tuple[str, ...]
    match statement:
        case Exists(phrase):
            thing = phrase.with_article()
            forms = (f"there is {thing}.", f"{thing} is in the picture.", f"the picture shows {thing}.")
        case Relation(first, relation, second):
            one, other = first.with_article(), second.with_article()
            forms = (f"{one} is {relation} {other}.", f"there is {one} {relation} {other}.")
        case Listing(items, _):
            things = enumeration(items)
            forms = (f"there is {things}.", f"{things} can be seen.", f"the picture shows {things}.")
    text = forms[int(rng.integers(len(forms)))]
    return text[0].upper() + text[1:]


def enumeration(items: tuple[Phrase, ...]) -> str:
    """``a red circle, a blue bar and a green star``."""
    things = [phrase.with_article() for phrase in items]
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"


def phrase_of(item: SceneObject) -> Phrase:
    """The phrase that names an object of a scene and no other."""
    return Phrase(item.shape, item.colour)


def relation_between(first: SceneObject, second: SceneObject, rng: np.random.Generator) -> str:
    """One of the relations in which ``first`` stands to ``second``."""
    true = [name for name, holds in RELATIONS.items() if holds(first, second)]
    return true[int(rng.integers(len(true)))]


def two_of(scene: Scene, rng: np.random.Generator) -> tuple[SceneObject, SceneObject]:
    """Two different objects of a scene with two or more, in either order."""
    first, second = rng.permutation(len(scene.objects))[:2].tolist()
    return scene.objects[first], scene.objects[second]
