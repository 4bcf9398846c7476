"""Questions about scenes in the six types and the columns of the GQA tables of arXiv 2411.18620.

The question alone does not tell the answer: of the two that it leaves open, each is as likely.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerwise.datasets.world import render
from layerwise.datasets.world.scenes import COLOURS, GRID, IMAGE_SIZE, SHAPES, Scene, SceneObject
from layerwise.gqa_types import TABLES
from layerwise.jobs.command import finished_file

_START = ("question_id", "img_id", "question", "answer")
_OPTIONS = ("true option", "false option")
_TYPE = ("type_detailed", "type_semantic", "type_structural", "operations")
_SIZE = ("image_w", "image_h")
_CENTRAL = tuple(f"central object {side}" for side in "whxy")
_BOTH = tuple(f"object{n} {side}" for n in (1, 2) for side in "whxy")
_NAMES = ("object1 name", "object1 id", "object2 name", "object2 id")

COLUMNS: dict[str, tuple[str, ...]] = {
    "ChooseAttr": (
        *_START,
        *_OPTIONS,
        "central object name",
        "central object id",
        "central object attributes",
        "central object question attribute",
        "all objects",
        "all objects attributes",
        *_TYPE,
        "operation_1",
        "operation_2",
        "captions",
        *_SIZE,
        *_CENTRAL,
        "full answer",
    ),
    "ChooseCat": (
        *_START,
        *_OPTIONS,
        "central object name",
        "central object id",
        *_TYPE,
        "captions",
        *_SIZE,
        *_CENTRAL,
    ),
    "ChooseRel": (*_START, *_OPTIONS, *_NAMES, *_TYPE, "captions", *_SIZE, *_BOTH),
    "CompareAttr": (*_START, *_NAMES, "question word", *_TYPE, "captions", *_SIZE, *_BOTH),
    "LogicalObj": (*_START, *_NAMES, "question word", *_TYPE, "captions", *_SIZE, *_BOTH),
    "QueryAttr": (
        *_START,
        "central object name",
        "central object id",
        "question word",
        *_TYPE,
        "captions",
        *_SIZE,
        *_CENTRAL,
    ),
}


@dataclass(frozen=True)
class Asked:
    """A question about a scene.

    ``objects`` are the objects it is about, each with the name that the question uses; ``None`` stands for one that
    is named but not there. ``steps`` are GQA's operations: name and argument, ``{0}`` and ``{1}`` standing for the
    objects' ids. ``options`` are the true and the false one.
    """

    question: str
    answer: str
    type_detailed: str
    objects: tuple[tuple[str, SceneObject | None], ...]
    steps: tuple[tuple[str, str], ...]
    options: tuple[str, str] | None = None


def ask(kind: str, scene: Scene, rng: np.random.Generator) -> Asked | None:
    """Draw a question of a type (a key of ``TABLES``); None where the scene has no object that it could be about."""
    return _ASKERS[kind](scene, rng)


def write(
    folder: Path,
    scenes: list[tuple[int, Scene, tuple[int, ...], tuple[str, ...]]],
    rng: np.random.Generator,
) -> dict[str, int]:
    """Write the six tables about scenes given as image id, scene, object ids and captions.

    At most one question of each type a picture. Returns the number of rows by file name.
    """
    counts = {}
    for number, (kind, name) in enumerate(TABLES.items(), start=1):
        rows = []
        for image_id, scene, ids, captions in scenes:
            asked = ask(kind, scene, rng)
            if asked is not None:
                rows.append(_row(kind, asked, f"{number:02d}{image_id:06d}", image_id, scene, ids, captions))
        with finished_file(folder / name) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS[kind], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        counts[name] = len(rows)
    return counts


def _row(
    kind: str,
    asked: Asked,
    question_id: str,
    image_id: int,
    scene: Scene,
    ids: tuple[int, ...],
    captions: tuple[str, ...],
) -> dict[str, object]:
    """A table's row; a column that the type does not have is left out, an object that is not there gets dashes."""
    id_of = dict(zip(scene.objects, ids, strict=True))
    names = [str(id_of[item]) if item else "-" for _, item in asked.objects]
    operations = [
        {"operation": name, "dependencies": _dependencies(asked, i), "argument": argument.format(*names)}
        for i, (name, argument) in enumerate(asked.steps)
    ]
    first_name, first = asked.objects[0]
    row: dict[str, object] = {
        "question_id": question_id,
        "img_id": image_id,
        "question": asked.question,
        "answer": asked.answer,
        "question word": "common",
        "type_detailed": asked.type_detailed,
        "type_semantic": {"ChooseCat": "cat", "ChooseRel": "rel", "LogicalObj": "obj"}.get(kind, "attr"),
        "type_structural": {"CompareAttr": "compare", "LogicalObj": "logical", "QueryAttr": "query"}.get(
            kind, "choose"
        ),
        "operations": str(operations),
        "captions": " ".join(text.lower() for text in captions),
        "image_w": IMAGE_SIZE,
        "image_h": IMAGE_SIZE,
    }
    if asked.options:
        row["true option"], row["false option"] = asked.options
    for place, (name, item) in zip(("object1", "object2"), asked.objects, strict=False):
        row |= {f"{place} name": name, f"{place} id": id_of[item] if item else "-"} | _box(place, item)
    row |= {"central object name": first_name, "central object id": names[0]} | _box("central object", first)
    if kind == "ChooseAttr" and first is not None:
        row |= {
            "central object attributes": first.colour,
            "central object question attribute": asked.answer,
            "all objects": ", ".join(item.shape for item in scene.objects),
            "all objects attributes": ", ".join(dict.fromkeys(item.colour for item in scene.objects)),
            "operation_1": str([operations[0]["operation"], operations[0]["argument"]]),
            "operation_2": str([operations[1]["operation"], operations[1]["argument"]]),
            "full answer": f"The {first_name} is {asked.answer}.",
        }
    return {column: row[column] for column in COLUMNS[kind]}


def _dependencies(asked: Asked, step: int) -> list[int]:
    """What a step works on: a selection on nothing, the joining last step on both branches, any other on the last."""
    name = asked.steps[step][0]
    if name == "select":
        return []
    if name == "common":
        return [0, 1]
    if name == "or":
        return [step // 2 - 1, step - 1]
    return [step - 1]


def _box(place: str, item: SceneObject | None) -> dict[str, object]:
    x, y, w, h = render.box(item) if item else ("-",) * 4
    return {f"{place} w": w, f"{place} h": h, f"{place} x": x, f"{place} y": y}


def _choose_attribute(scene: Scene, rng: np.random.Generator) -> Asked | None:
    item = _pick(only(scene, "shape"), rng)
    if item is None:
        return None
    false = _pick([colour for colour in COLOURS if colour != item.colour], rng)
    first, second = _pick([(item.colour, false), (false, item.colour)], rng)
    wording = ("Is the {0} {1} or {2}?", "What color is the {0}, {1} or {2}?", "Which color is the {0}, {1} or {2}?")
    return Asked(
        _pick(wording, rng).format(item.shape, first, second),
        item.colour,
        "chooseAttr",
        ((item.shape, item),),
        (("select", f"{item.shape} ({{0}})"), ("choose color", f"{item.colour}|{false}")),
        (item.colour, false),
    )


def _choose_category(scene: Scene, rng: np.random.Generator) -> Asked | None:
    item = _pick(only(scene, "colour"), rng)
    if item is None:
        return None
    false = _pick([shape for shape in SHAPES if shape not in {other.shape for other in scene.objects}], rng)
    first, second = _pick([(item.shape, false), (false, item.shape)], rng)
    choose = ("choose name", f"{item.shape}|{false}")
    options = (item.shape, false)
    if len(scene.objects) == 1:
        wording = _pick(("What is this, a {0} or a {1}?", "Is this a {0} or a {1}?"), rng)
        steps = (("select", "this ({0})"), choose)
        return Asked(wording.format(first, second), item.shape, "objThisChoose", (("this", item),), steps, options)
    wording = _pick(("Which kind of shape is {2}, the {0} or the {1}?", "What shape is {2}, the {0} or the {1}?"), rng)
    return Asked(
        wording.format(first, second, item.colour),
        item.shape,
        "categoryThatChoose",
        (("shape", item),),
        (("select", "shape ({0})"), ("filter color", item.colour), choose),
        options,
    )


def _choose_relation(scene: Scene, rng: np.random.Generator) -> Asked | None:
    alone = only(scene, "shape")
    pair = _pick([(a, b) for a in alone for b in alone if a.column != b.column], rng)
    if pair is None:
        return None
    subject, reference = pair
    true, false = ("left", "right") if subject.column < reference.column else ("right", "left")
    first, second = _pick([("left", "right"), ("right", "left")], rng)
    return Asked(
        f"Is the {subject.shape} to the {first} or to the {second} of the {reference.shape}?",
        true,
        "relChooser",
        ((reference.shape, reference), (subject.shape, subject)),  # the reference comes first, as in GQA
        (
            ("select", f"{reference.shape} ({{0}})"),
            ("choose rel", f"{subject.shape},to the {true} of|to the {false} of,s ({{1}})"),
        ),
        (true, false),
    )


def _compare_attribute(scene: Scene, rng: np.random.Generator) -> Asked | None:
    # Any two objects of a scene without repeated shapes have the same colour as often as the same side, so that the two
    # answers are equally likely. Choosing among the pairs that have an answer would upset that.
    if len(scene.objects) < 2 or len(only(scene, "shape")) < len(scene.objects):
        return None
    first, second = (scene.objects[i] for i in rng.permutation(len(scene.objects))[:2].tolist())
    same_colour, same_side = first.colour == second.colour, _side(first) == _side(second)
    if same_colour == same_side:
        return None
    answer = "color" if same_colour else "side"
    names = first.shape, second.shape
    wording = (
        "What do the {0} and the {1} have in common?",
        "What do both the {0} and the {1} have in common?",
        "What is common to the {0} and the {1}?",
    )
    return Asked(
        _pick(wording, rng).format(*names),
        answer,
        "twoCommon",
        tuple(zip(names, (first, second), strict=True)),
        (("select", f"{names[0]} ({{0}})"), ("select", f"{names[1]} ({{1}})"), ("common", "")),
    )


def _side(item: SceneObject) -> str:
    return "left" if item.column < GRID // 2 else "right"


def _logical_object(scene: Scene, rng: np.random.Generator) -> Asked | None:
    item = _pick(only(scene, "shape"), rng)
    if item is None:
        return None
    negated, yes = rng.random() < 0.5, rng.random() < 0.5
    while True:
        other_shape = _pick([shape for shape in SHAPES if shape != item.shape], rng)
        others = [other for other in scene.objects if other.shape == other_shape]
        # The object's own colour half the time, so that either answer is soon found.
        colour = item.colour if rng.random() < 0.5 else _pick([c for c in COLOURS if c != item.colour], rng)
        if any((other.colour == colour) != negated for other in (item, *others)) == yes:
            break
    first, second = _pick([(item.shape, other_shape), (other_shape, item.shape)], rng)
    wording = (
        "Are there any {0}s or {1}s that are {2}?",
        "Are there either {0}s or {1}s that are {2}?",
        "Is there a {0} or a {1} that is {2}?",
    )
    quality = ("filter color", f"not({colour})" if negated else colour)
    exist = ("exist", "?")
    return Asked(
        _pick(wording, rng).format(first, second, f"not {colour}" if negated else colour),
        "yes" if yes else "no",
        "existThatOrC" if negated else "existThatOr",
        ((item.shape, item), (other_shape, others[0] if others else None)),
        (
            ("select", f"{item.shape} ({{0}})"),
            quality,
            exist,
            ("select", f"{other_shape} ({{1}})"),
            quality,
            exist,
            ("or", ""),
        ),
    )


def _query_attribute(scene: Scene, rng: np.random.Generator) -> Asked | None:
    item = _pick(only(scene, "shape"), rng)
    if item is None:
        return None
    wording = _pick(("On which side{1} is the {0}?", "Which side{1} is the {0} on?"), rng)
    of = _pick(("", " of the photo", " of the image", " of the picture"), rng)
    return Asked(
        wording.format(item.shape, of),
        _side(item),
        "positionQuery",
        ((item.shape, item),),
        (("select", f"{item.shape} ({{0}})"), ("query", "hposition")),
    )


def only(scene: Scene, field: str) -> list[SceneObject]:
    """Objects whose shape (or colour) no other object of the scene has: the word alone names them."""
    values = [getattr(item, field) for item in scene.objects]
    return [item for item, value in zip(scene.objects, values, strict=True) if values.count(value) == 1]


def _pick(choices, rng: np.random.Generator):
    """One of the choices, each as likely; None where there are none."""
    return choices[int(rng.random() * len(choices))] if choices else None


_ASKERS: dict[str, Callable[[Scene, np.random.Generator], Asked | None]] = {
    "ChooseAttr": _choose_attribute,
    "ChooseCat": _choose_category,
    "ChooseRel": _choose_relation,
    "CompareAttr": _compare_attribute,
    "LogicalObj": _logical_object,
    "QueryAttr": _query_attribute,
}
