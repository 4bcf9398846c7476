"""Choose questions of the six types from GQA's own files: balanced validation questions and scene graphs.

Format: https://cs.stanford.edu/people/dorarad/gqa/download.html - ``val_balanced_questions.json`` (questions1.2.zip)
holds questions by id with ``imageId``, ``question``, ``answer``, ``types`` and the operations ``semantic``, whose
arguments name objects as ``name (id)``; ``val_sceneGraphs.json`` holds images by id with ``width``, ``height`` and
``objects`` by id.

The authors of arXiv 2411.18620 do not say how they chose. What the names, types and operations of their published
tables show is taken for the rule: see ``RULES``.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerwise.datasets.questions import Found, Question, checked_object
from layerwise.datasets.text_files import is_text, read_json, shown
from layerwise.errors import InputError

QUESTIONS, GRAPHS = "val_balanced_questions.json", "val_sceneGraphs.json"
ARGUMENT = re.compile(r"(?P<name>[^(),]+)\S* *\((?P<id>\d+|-)\)")
# In a relation's argument the object follows the relation: "surfer,to the left of|to the right of,s (429128)".
RELATED = re.compile(r"^(?P<name>[^,]+),(?P<relations>[^,]+),[os] *\((?P<id>\d+|-)\)")
DIRECTIONS = ("left", "right", "behind", "front")


@dataclass(frozen=True)
class Rule:
    """Which questions are of a type.

    Attributes:
        detailed: GQA's detailed types.
        operations: how the operations that may be there begin, all of them in this order; a filter may come anywhere.
        objects: how many objects are named.
        chooses: whether the last operation names two options.
    """

    detailed: tuple[str, ...]
    operations: tuple[str, ...]
    objects: int
    chooses: bool = False


RULES = {
    "ChooseAttr": Rule(("chooseAttr", "materialChoose"), ("select", "choose"), 1, chooses=True),
    "ChooseCat": Rule(
        ("categoryThatChoose", "categoryThisChoose", "objThisChoose"), ("select", "choose name"), 1, chooses=True
    ),
    "ChooseRel": Rule(("relChooser",), ("select", "choose rel"), 2, chooses=True),
    "CompareAttr": Rule(("twoCommon",), ("select", "select", "common"), 2),
    "LogicalObj": Rule(("existThatOr", "existThatOrC"), ("select", "exist", "select", "exist", "or"), 2),
    "QueryAttr": Rule(("positionQuery",), ("select", "query"), 1),
}


def graph_files(folder: str | Path) -> list[Path]:
    """The files that :func:`read_graphs` reads."""
    return [Path(folder) / QUESTIONS, Path(folder) / GRAPHS]


def read_graphs(folder: str | Path, kinds: Sequence[str]) -> Found:
    """Questions of the given types, in the file's order.

    What is wrong with a single question of GQA's is counted, as nobody is to edit these files.

    Raises:
        InputError: on a file that is missing or not of GQA's form, naming the record.
    """
    files = graph_files(folder)
    asked = read_json(files[0], f"{QUESTIONS} of GQA's questions1.2.zip")
    graphs = read_json(files[1], f"{GRAPHS} of GQA's sceneGraphs.zip")
    kind_of = {detailed: kind for kind in kinds for detailed in RULES[kind].detailed}
    questions: list[Question] = []
    left_out: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for question_id, record in asked.items():
        where = f"{files[0]}: the question {question_id}"
        detailed = _member(_mapping(record, "types", where), "detailed", f"{where}, in its 'types',", object, "type")
        if not isinstance(detailed, str) or detailed not in kind_of:
            continue
        kind = kind_of[detailed]
        text, answer, image = (_text(record, key, where) for key in ("question", "answer", "imageId"))
        semantic = _member(record, "semantic", where, list, "list")
        steps = [_step(step, f"{where}, in its 'semantic',") for step in semantic]
        if image not in graphs:
            left_out[kind]["no scene graph of its image"] += 1
            continue
        graph = _graph(graphs, image, f"{files[1]}: the scene graph of image {image}")
        try:
            questions.append(_question(question_id, image, kind, text, answer, steps, graph))
        except ValueError as error:
            left_out[kind][str(error)] += 1
    return Found(questions, left_out, files)


def _member(record: Any, key: str, where: str, kind: type, name: str) -> Any:
    """What GQA's files have under a key.

    Raises:
        InputError: when it is not there, or of another kind.
    """
    if not isinstance(record, dict) or key not in record:
        raise InputError(f"{where} has no {key!r}; is this GQA's file?")
    if not isinstance(record[key], kind) or isinstance(record[key], bool):
        raise InputError(f"{where} has {shown(record[key])} as {key!r}, which is no {name}; is this GQA's file?")
    return record[key]


def _mapping(record: Any, key: str, where: str) -> dict[str, Any]:
    return _member(record, key, where, dict, "mapping")


def _text(record: Any, key: str, where: str, *, may_be_empty: bool = False) -> str:
    value = _member(record, key, where, str, "text")
    if not (is_text(value) or (may_be_empty and not value)):
        raise InputError(f"{where} has {shown(value)} as {key!r}, which is no text; is this GQA's file?")
    return value


def _step(step: Any, where: str) -> tuple[str, str]:
    """An operation and its argument."""
    return _text(step, "operation", where, may_be_empty=True), _text(step, "argument", where, may_be_empty=True)


def _graph(graphs: dict[str, Any], image: str, where: str) -> dict[str, Any]:
    """A scene graph whose width, height and objects are what they should be; boxes are looked at when asked for."""
    graph = _mapping(graphs, image, where)
    for side in ("width", "height"):
        _member(graph, side, where, int, "whole number")
    objects = _mapping({"objects": {}} | graph, "objects", where)
    for key in objects:
        _mapping(objects, key, f"{where}, in its 'objects',")
    return graph


def _question(
    question_id: str, image: str, kind: str, text: str, answer: str, steps: list[tuple[str, str]], graph: dict[str, Any]
) -> Question:
    """A question of a type; what is wrong with it is a ValueError of few words, to be counted."""
    rule = RULES[kind]
    plain = [step for step in steps if not step[0].startswith("filter")]
    if len(plain) != len(rule.operations) or not all(
        name.startswith(wanted) for (name, _), wanted in zip(plain, rule.operations, strict=True)
    ):
        raise ValueError("other operations than the published questions have")
    named = [match for step in plain if (match := _named(*step))]
    if len(named) != rule.objects:
        raise ValueError(f"another number of objects than {rule.objects}")
    size = graph["width"], graph["height"]
    objects = []
    for name, key in named:
        if key == "-":
            continue
        entry = graph.get("objects", {}).get(key)
        if entry is None:
            raise ValueError("an object that is not in the scene graph")
        try:
            objects.append(checked_object(name, tuple(entry[side] for side in "xywh"), size))
        except (KeyError, ValueError) as error:
            raise ValueError("an object without a box in the image") from error
    if not objects:
        raise ValueError("no object that is in the image")
    options = _options(*steps[-1], answer) if rule.chooses else ()
    return Question(question_id, image, size, kind, text, answer, options, tuple(objects))


def _named(operation: str, argument: str) -> tuple[str, str] | None:
    """Name and id of the object that an operation is about."""
    if match := (RELATED if operation.endswith("rel") else ARGUMENT).match(argument):
        return match["name"].strip(), match["id"]
    return None


def _options(operation: str, argument: str, answer: str) -> tuple[str, str]:
    """The true and the false option; of a relation its direction, as answers name it."""
    if operation.endswith("rel"):
        match = RELATED.match(argument)
        options = [_direction(relation) for relation in match["relations"].split("|")] if match else []
    else:
        options = argument.split("|")
    if len(options) != 2 or answer not in options:
        raise ValueError("an answer that is none of two options")
    return answer, next(option for option in options if option != answer)


def _direction(relation: str) -> str:
    return next((word for word in DIRECTIONS if word in relation.split()), relation)
