"""Labels from the columns of a table: which column, and what its cells mean.

A label is either a class, which is text, or a number, which has a unit.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Filled, Maybe, Section, Text, Words
from layerwise.config.tasks import R2, Task
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError
from layerwise.stimuli.cell_values import Only, has_keys, wanted_keys
from layerwise.stimuli.class_order import in_order

# How the columns of the provenance that hold labels begin.
CLASS = "label:"
NUMBER = "number:"
# So many rows are looked at when a study is planned. The task's own job looks at all.
LOOKED_AT = 10_000
# So many classes of a label are named in a message.
NAMED = 6


class LabelColumn(Section):
    """A label, from a column of the table."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"required": ["classes", "as"]}, "dependentRequired": {"unit": ["as"]}}
    )

    column: Maybe[Text] = None
    """Its column. Default: the column of the label's own name."""
    classes: Maybe[Annotated[dict[str, Text], Filled()]] = None
    """The class that each cell means, such as `{"1": present, "0": absent}`. Upper and lower case, and blanks at the
    ends of a cell, make no difference. Default: each cell is a class itself."""
    as_: Maybe[Literal["number"]] = Field(None, alias="as")
    """Cells are numbers, for tasks with `metric: r2`."""
    unit: Maybe[Text] = None
    """Unit of the numbers, for figures and tables."""
    others: Literal["refuse", "leave-out"] = "refuse"
    """What is done about empty cells, and cells that are not in `classes` or are no number. refuse: an error names the
    row. leave-out: the item lacks this label."""
    only: Maybe[Only] = None
    """Only rows with one of these values in a column have this label, such as `{relation: [left of, right of]}`. Upper
    and lower case, and blanks at the ends of a cell, make no difference. Default: all rows."""

    @property
    def is_number(self) -> bool:
        """Whether the label is a number rather than a class."""
        return self.as_ is not None

    @model_validator(mode="after")
    def _fits(self) -> "LabelColumn":
        if self.unit is not None and not self.is_number:
            raise PydanticCustomError("unfit", "a class has no `unit`; add `as: number`, or leave it out")
        if self.classes is None:
            return self
        if self.is_number:
            raise PydanticCustomError("unfit", "must have either `classes` or `as: number`")
        if len(set(self.classes.values())) < 2:
            raise PydanticCustomError("unfit", "must have two different `classes` or more")
        meant: dict[str, str] = {}
        for cell, name in self.classes.items():
            if meant.setdefault(_key(cell), name) != name:
                said = {"cell": repr(cell.strip()), "first": meant[_key(cell)], "second": name}
                raise PydanticCustomError("unfit", "in `classes`, {cell} means both {first} and {second}", said)
        return self


# The tags are part of messages: "known keys of the kind label column".
Labels = Annotated[
    Annotated[Words, Tag("list")] | Annotated[Annotated[dict[Text, LabelColumn], Filled()], Tag("label column")],
    Discriminator(lambda labels: "label column" if isinstance(labels, dict) else "list"),
]


def labels_of(labels: Sequence[str] | Mapping[str, LabelColumn]) -> dict[str, LabelColumn]:
    """The labels of a config entry by name, each with its column filled in."""
    given = labels if isinstance(labels, Mapping) else {name: LabelColumn.model_validate({}) for name in labels}
    return {name: label.model_copy(update={"column": label.column or name}) for name, label in given.items()}


def columns_of(labels: Mapping[str, LabelColumn]) -> list[str]:
    """The columns that labels are read from, each once."""
    named = [[label.column or name, *(label.only or ())] for name, label in labels.items()]
    return list(dict.fromkeys(column for columns in named for column in columns))


def labels_read(labels: Mapping[str, LabelColumn], task: Task | None) -> dict[str, LabelColumn]:
    """The labels that a task reads: those that it names, or all that its metric is for. Without a task, all classes."""
    names = labels if task is None or task.labels is None else task.labels
    is_number = task is not None and task.is_number
    return {name: labels[name] for name in names if name in labels and labels[name].is_number == is_number}


def classes_told(
    labels: Mapping[str, LabelColumn], orders: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[str] | None:
    """The classes that the config names for some labels; None if a label's classes are known only from its cells.

    Args:
        labels: that a task reads.
        orders: by label, its classes in index order, for those whose classes are not in alphabetical order.
    """
    told: set[str] = set()
    for column in labels.values():
        if column.classes is None:
            return None
        told.update(column.classes.values())
    return in_order(told, [orders.get(name) for name in labels])


def others_told(labels: Mapping[str, LabelColumn], task: Task, answers: Collection[str]) -> bool:
    """Whether a prompt's answers are classes that the config names for a label which a task does not read."""
    read = labels_read(labels, task)
    others = [column.classes.values() for name, column in labels.items() if column.classes and name not in read]
    return any(set(answers) <= set(classes) for classes in others)


def check_labels(where: str, task: Task, labels: Mapping[str, LabelColumn], stimuli: str) -> None:
    """Refuse a task over labels that are not there, or not of the kind that its metric is for.

    Args:
        where: the task's key.
        task: of the config.
        labels: of its stimulus set.
        stimuli: the stimulus set's name.

    Raises:
        InputError: naming the key and the fix.
    """
    if unknown := [name for name in task.labels or () if name not in labels]:
        known = ", ".join(labels)
        raise InputError(f"{where}.labels: there is no label {unknown[0]!r}; stimuli.{stimuli} has {known}")
    named = task.labels or list(labels)
    numbers = [name for name in named if labels[name].is_number]
    classes = [name for name in named if not labels[name].is_number]
    if task.labels is not None and numbers and classes:
        raise InputError(
            f"{where}.labels: {numbers[0]} is a number, and {classes[0]} has classes; write a task for each, with "
            f"`metric: {R2}` for the numbers. Neither costs a forward pass"
        )
    if task.is_number and not numbers:
        raise InputError(
            f"{where}.metric: {R2} is for numbers, and {', '.join(classes)} of stimuli.{stimuli} "
            f"{'has' if len(classes) == 1 else 'have'} classes; take another metric, such as accuracy, or add `as: "
            f"number` to stimuli.{stimuli}.labels.{classes[0]}"
        )
    if not task.is_number and not classes:
        raise InputError(
            f"{where}.metric: {task.metric} is for classes, and {', '.join(numbers)} of stimuli.{stimuli} "
            f"{'is a number' if len(numbers) == 1 else 'are numbers'}; write `metric: {R2}`"
        )


def check_several(where: str, task: Task, labels: Mapping[str, LabelColumn], rows: Iterable[Sequence[Any]]) -> None:
    """Refuse a task of several labels that do not share the same two classes.

    Args:
        where: the task's key.
        task: of the config.
        labels: that it reads.
        rows: their cells, row by row; only the first :data:`LOOKED_AT` rows are looked at, and cells that mean nothing
            are left to the job that makes the stimuli.

    Raises:
        InputError: naming the key, the classes and the fix.
    """
    if len(labels) < 2 or task.is_number:
        return
    found: dict[str, dict[str, None]] = {name: {} for name in labels}
    for row in islice(rows, LOOKED_AT):
        for (name, column), cell in zip(labels.items(), row, strict=True):
            meant = _class(column.classes, cell) if isinstance(cell, str | bool | int | float) else None
            if meant is not None and (task.classes is None or meant in task.classes):
                found[name][meant] = None
        if len({meant for classes in found.values() for meant in classes}) > 2:
            break
    else:
        return
    told = [f"{name} has {', '.join(sorted(classes)[:NAMED])}" for name, classes in found.items() if classes]
    raise InputError(
        f"{where}.labels: the labels of one task share the same two classes, but {' and '.join(told[:2])}; write a "
        f"task for each label, with {' or '.join(f'`labels: [{name}]`' for name in list(found)[:2])}, which costs no "
        "forward pass. Or give them the same two `classes`"
    )


def read_labels(
    labels: Mapping[str, LabelColumn], cells: Mapping[str, Any], where: str
) -> dict[str, str | float | None]:
    """What the cells of a row say of labels; None for a label that its items are to lack. See :func:`read_label`."""
    return {
        name: read_label(name, label, cells[label.column or name], where) if _has(label, cells) else None
        for name, label in labels.items()
    }


def label_cell(name: str, label: LabelColumn, cells: Mapping[str, Any]) -> Any:
    """The cell of a row that says a label; None if its items are to lack it."""
    return cells[label.column or name] if _has(label, cells) else None


def read_label(name: str, column: LabelColumn, cell: Any, where: str) -> str | float | None:
    """What a cell says of a label: a class or a number; None if the item is to lack the label.

    Args:
        name: of the label.
        column: how it is read.
        cell: of the table: text, a number, true or false, or None.
        where: the cell's file and row, for messages.

    Raises:
        InputError: when the cell is empty or means nothing here, and ``column`` does not leave such items out.
    """
    if not (cell is None or isinstance(cell, str | bool | int | float)):
        raise InputError(f"{where}: the column {column.column or name!r} holds {shown(cell)}, not text or a number")
    found = _number(cell) if column.is_number else _class(column.classes, cell)
    if found is None and column.others == "refuse":
        raise InputError(f"{where}: the column {column.column or name!r} {_refusal(name, column, cell)}")
    return found


def provenance_column(name: str, column: LabelColumn) -> str:
    """The column of the provenance that holds a label: text, or float64 if it is a number; missing where an item lacks
    it."""
    return f"{NUMBER if column.is_number else CLASS}{name}"


def described_labels(
    labels: Mapping[str, LabelColumn], provenance: pd.DataFrame, orders: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """What ``stimuli.json`` says of each label: the classes that its items have in index order, or the unit of its
    numbers. See :func:`classes_told` for ``orders``."""
    described: dict[str, dict[str, Any]] = {}
    for name, column in labels.items():
        if column.is_number:
            described[name] = {"unit": column.unit or ""}
        else:
            found = provenance[provenance_column(name, column)].dropna().unique()
            described[name] = {"classes": in_order(found, [orders.get(name)])}
    return described


def _has(label: LabelColumn, cells: Mapping[str, Any]) -> bool:
    return label.only is None or has_keys(cells, wanted_keys(label.only))


def _class(classes: Mapping[str, str] | None, cell: str | bool | int | float | None) -> str | None:
    text = _text(cell)
    if classes is None or not text:
        return text or None
    meant = {_key(key): name for key, name in classes.items()}
    # A key may be written as the cell is stored: 1.0.
    return meant.get(_key(text)) or meant.get(_key(str(cell)))


def _number(cell: str | bool | int | float | None) -> float | None:
    if cell is None or isinstance(cell, bool):
        return None
    try:
        found = float(cell)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _refusal(name: str, column: LabelColumn, cell: Any) -> str:
    """What is wrong with a cell, and the fix."""
    leave_out = f"`others: leave-out` under labels.{name}"
    if not _text(cell):
        return f"is empty; fill the cell, or leave such items out of this label with {leave_out}"
    if column.is_number:
        return f"is {shown(cell)}, not a number; correct it, or leave such items out of this label with {leave_out}"
    known = ", ".join(map(repr, column.classes or ()))
    return (
        f"is {shown(cell)}, not one of {known[:300]}; add it to labels.{name}.classes, or leave such items out of this "
        f"label with {leave_out}"
    )


def _text(cell: str | bool | int | float | None) -> str:
    """A cell as text: without blanks at the ends, true and false as JSON has them; empty for a missing value.

    A column of whole numbers with a gap comes as 1.0, and means 1, as in files of the same table without one.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).lower() if isinstance(cell, bool) else str(cell).strip()


def _key(text: str) -> str:
    return text.strip().casefold()
