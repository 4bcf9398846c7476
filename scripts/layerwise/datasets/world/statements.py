"""Statements about a scene, and the rule that says whether one is true, false or cannot be decided from a picture.

The three labels are SNLI-VE's. ``entailment``: true of the scene. ``contradiction``: false of it. ``neutral``: what
can be seen is true, but the statement also claims something that no picture of this world shows (a *hidden*
attribute, such as weight). A hidden claim about an object that is not there is a contradiction, so that the wording
alone does not give the label away.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from layerwise.datasets.world.scenes import COLOURS, MOST_OBJECTS, SHAPES, Scene, SceneObject

LABELS = ("entailment", "neutral", "contradiction")
HIDDEN = ("heavy", "wooden", "new", "expensive", "old", "warm", "borrowed", "hollow")

RELATIONS: dict[str, Callable[[SceneObject, SceneObject], bool]] = {
    "left of": lambda a, b: a.column < b.column,
    "right of": lambda a, b: a.column > b.column,
    "above": lambda a, b: a.row < b.row,
    "below": lambda a, b: a.row > b.row,
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
NUMBERS = ("no", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Phrase:
    """A kind of object: ``None`` leaves shape or colour open; ``hidden`` is an attribute that cannot be seen."""

    shape: str | None
    colour: str | None = None
    hidden: str | None = None

    def fits(self, item: SceneObject) -> bool:
        """Whether an object is of this kind, as far as can be seen."""
        return self.shape in (None, item.shape) and self.colour in (None, item.colour)

    def words(self) -> str:
        """The phrase without an article: ``heavy red circle``."""
        return " ".join(word for word in (self.hidden, self.colour, self.shape or "shape") if word)

    def with_article(self) -> str:
        """The phrase with ``a`` or ``an``."""
        words = self.words()
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Exists:
    """There is such an object."""

    phrase: Phrase

    def phrases(self) -> tuple[Phrase, ...]:
        return (self.phrase,)

    def shown(self, scene: Scene) -> bool:
        return any(self.phrase.fits(item) for item in scene.objects)


@dataclass(frozen=True)
class Count:
    """There are exactly so many such objects."""

    number: int
    phrase: Phrase

    def phrases(self) -> tuple[Phrase, ...]:
        return (self.phrase,)

    def shown(self, scene: Scene) -> bool:
        return sum(self.phrase.fits(item) for item in scene.objects) == self.number


@dataclass(frozen=True)
class Relation:
    """Some object of the first kind stands in a relation (a key of ``RELATIONS``) to some of the second kind."""

    first: Phrase
    relation: str
    second: Phrase

    def phrases(self) -> tuple[Phrase, ...]:
        return (self.first, self.second)

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

    def phrases(self) -> tuple[Phrase, ...]:
        return self.items

    def shown(self, scene: Scene) -> bool:
        if len(self.items) > len(scene.objects) or (self.complete and len(self.items) != len(scene.objects)):
            return False
        return any(
            all(phrase.fits(item) for phrase, item in zip(self.items, chosen, strict=True))
            for chosen in permutations(scene.objects, len(self.items))
        )


Statement = Exists | Count | Relation | Listing


def label(scene: Scene, statement: Statement) -> str:
    """The rule: what a picture of ``scene`` says about ``statement``, one of ``LABELS``."""
    if not statement.shown(scene):
        return "contradiction"
    if any(phrase.hidden for phrase in statement.phrases()):
        return "neutral"
    return "entailment"


def sentence(statement: Statement, rng: np.random.Generator) -> str:
    """Put a statement into words, as a sentence with a capital and a full stop; the wording is drawn."""
    match statement:
        case Exists(phrase):
            thing = phrase.with_article()
            forms = (f"there is {thing}.", f"{thing} is in the picture.", f"the picture shows {thing}.")
        case Count(number, phrase):
            things = phrase.words() + ("" if number == 1 else "s")
            verb = "is" if number == 1 else "are"
            forms = (f"there {verb} exactly {NUMBERS[number]} {things}.", f"{NUMBERS[number]} {things} can be seen.")
        case Relation(first, relation, second):
            one, other = first.with_article(), second.with_article()
            forms = (f"{one} is {relation} {other}.", f"there is {one} {relation} {other}.")
        case Listing(items, _):
            forms = (f"{enumeration(items)}.",)
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


def draw_statement(scene: Scene, wanted: str, rng: np.random.Generator) -> Statement:
    """Draw a statement that the rule labels ``wanted``.

    Half of the contradictions carry a hidden attribute, as every neutral statement does; most of them are a true
    statement with one word changed. Raises ValueError when ``wanted`` is not one of ``LABELS``.
    """
    if wanted not in LABELS:
        raise ValueError(f"label {wanted!r}: one of {', '.join(LABELS)}")
    hidden = wanted == "neutral" or (wanted == "contradiction" and rng.random() < 0.5)
    # Every scene has statements of each label, so the loop ends; the draw decides how soon.
    while True:
        statement = _true_statement(scene, rng, countable=not hidden)
        if wanted == "contradiction":
            statement = _false_statement(scene, statement, rng)
        if hidden:
            statement = _with_hidden(statement, rng)
        if label(scene, statement) == wanted:
            return statement


def altered(statement: Statement, rng: np.random.Generator) -> Statement:
    """The statement with one word changed: a colour, a shape, a relation or a number. It may still be true."""
    match statement:
        case Count(number, phrase):
            if rng.random() < 0.5:
                others = [n for n in range(1, MOST_OBJECTS + 1) if n != number]
                return Count(others[int(rng.integers(len(others)))], phrase)
            return Count(number, _other_phrase(phrase, rng))
        case Exists(phrase):
            return Exists(_other_phrase(phrase, rng))
        case Relation(first, relation, second):
            which = int(rng.integers(3))
            if which == 0:
                return Relation(first, OPPOSITE[relation], second)
            if which == 1:
                return Relation(_other_phrase(first, rng), relation, second)
            return Relation(first, relation, _other_phrase(second, rng))
        case Listing(items, complete):
            which = int(rng.integers(len(items)))
            return Listing((*items[:which], _other_phrase(items[which], rng), *items[which + 1 :]), complete)


def _other_phrase(phrase: Phrase, rng: np.random.Generator) -> Phrase:
    fields = [name for name in ("shape", "colour") if getattr(phrase, name)]
    if not fields:
        return replace(phrase, shape=SHAPES[int(rng.integers(len(SHAPES)))])
    field = fields[int(rng.integers(len(fields)))]
    others = [word for word in (SHAPES if field == "shape" else tuple(COLOURS)) if word != getattr(phrase, field)]
    return replace(phrase, **{field: others[int(rng.integers(len(others)))]})


def _loose_phrase(item: SceneObject, rng: np.random.Generator) -> Phrase:
    which = rng.random()
    if which < 0.5:
        return phrase_of(item)
    return Phrase(item.shape) if which < 0.8 else Phrase(None, item.colour)


def _true_statement(scene: Scene, rng: np.random.Generator, countable: bool) -> Statement:
    kind = rng.random()
    if kind < 0.4 and len(scene.objects) > 1:
        first, second = two_of(scene, rng)
        return Relation(phrase_of(first), relation_between(first, second, rng), phrase_of(second))
    item = scene.objects[int(rng.integers(len(scene.objects)))]
    if kind < 0.55 and countable:
        phrase = (Phrase(None), Phrase(item.shape), Phrase(None, item.colour))[int(rng.integers(3))]
        return Count(sum(phrase.fits(other) for other in scene.objects), phrase)
    return Exists(_loose_phrase(item, rng))


def _false_statement(scene: Scene, statement: Statement, rng: np.random.Generator) -> Statement:
    for _ in range(20):
        candidate = altered(statement, rng)
        if label(scene, candidate) == "contradiction":
            return candidate
    return statement  # the caller draws another


def _with_hidden(statement: Statement, rng: np.random.Generator) -> Statement:
    word = HIDDEN[int(rng.integers(len(HIDDEN)))]
    match statement:
        case Relation(first, relation, second):
            return Relation(replace(first, hidden=word), relation, second)
        case Exists(phrase):
            return Exists(replace(phrase, hidden=word))
    return statement
