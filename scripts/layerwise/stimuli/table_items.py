"""Make items of the rows of a table: of each row one, several, or one per choice."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from layerwise.datasets.text_files import shown as short
from layerwise.errors import InputError
from layerwise.several_pictures import joined
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.commas import check_commas
from layerwise.stimuli.label_columns import LabelColumn, described_labels, provenance_column, read_labels
from layerwise.stimuli.parts import SPLITS
from layerwise.stimuli.table_choices import LETTERS, choices_of, listed, right_choices
from layerwise.stimuli.table_entry import ANSWER, RIGHT, RIGHT_CLASSES, Entry, Item, item_classes, item_columns
from layerwise.stimuli.table_rows import TableRow

log = logging.getLogger(__name__)


class _Chosen(NamedTuple):
    """What the choices of a row make of an item: the end of its id, its placeholder, its label."""

    end: str
    shown: dict[str, str]
    label: dict[str, str]


def table_items(entry: Entry, rows: Sequence[TableRow], pictures: Mapping[str, str]) -> Stimuli:
    """The items of the rows; a split keeps those of a row, or of a group of rows, together.

    Args:
        entry: of the config.
        rows: see :func:`layerwise.stimuli.table_rows.sampled_rows`.
        pictures: by SHA-256, the file of each picture that the table holds.

    Raises:
        InputError: on an empty cell, a repeated id, a label that a cell does not say, or an unknown word in the split
            column; naming file and row.
    """
    ids, parts = _ids(entry, rows), _parts(entry, rows)
    made, row_labels, labels = entry.made, entry.row_labels, entry.all_labels
    chosen, own_labels = [_chosen(entry, item, rows) for item in made], [item_columns(item) for item in made]
    for of_columns in (row_labels, *own_labels):
        check_commas(of_columns, rows)
    shown, provenance = [], []
    for place, row in enumerate(rows):
        of_row = read_labels(row_labels, row.cells, row.where)
        group = row.image.name if entry.group_column is None else row.group(entry.group_column)
        for number, item in enumerate(made):
            of_item = of_row | dict(item_classes(item)) | read_labels(own_labels[number], row.cells, row.where)
            images = [row.images[spec] for spec in entry.specs_of(item)]
            files = joined([image.path or pictures.get(image.sha256, "") for image in images])
            image_id = joined([image.name for image in images])
            text = {} if item.text_spec is None else {"text": row.text_of(item.text_spec)}
            for end, placeholders, label in chosen[number][place]:
                item_id = ids[place] + (f"/{number}" if entry.each else "") + end
                shown.append({"item_id": item_id, "image": files, **text, **placeholders})
                said = {provenance_column(name, labels[name]): value for name, value in (of_item | label).items()}
                provenance.append(
                    {"item_id": item_id, "image_id": image_id, "group": group, "part": parts[place], **said}
                )
    columns = [provenance_column(name, column) for name, column in labels.items()]
    found = pd.DataFrame(provenance, columns=["item_id", "image_id", "group", "part", *columns])
    for name, column in labels.items():
        if column.only is not None and found[provenance_column(name, column)].isna().all():
            asked = "; ".join(f"{key}: {value}" for key, value in column.only.items())
            raise InputError(f"no row has the label {name!r}, which is for rows with {{{asked}}} alone (its `only`)")
        _tell_of_case(name, column, found)
        if column.is_number:
            found[provenance_column(name, column)] = found[provenance_column(name, column)].astype("float64")
    order = found.sort_values("image_id", kind="stable").index
    return Stimuli(
        shown=pd.DataFrame(shown).loc[order].reset_index(drop=True),
        provenance=found.loc[order].reset_index(drop=True),
        categories=[],
        notes={"labels": described_labels(labels, found, entry.class_orders)},
    )


def _tell_of_case(name: str, column: LabelColumn, found: pd.DataFrame) -> None:
    """Say which classes differ in nothing but upper and lower case."""
    if column.is_number or column.classes is not None:
        return
    alike: dict[str, list[str]] = {}
    for said in sorted(found[provenance_column(name, column)].dropna().unique()):
        alike.setdefault(said.casefold(), []).append(said)
    if several := next((names for names in alike.values() if len(names) > 1), None):
        log.warning(
            "labels.%s: %s are different classes; if they are meant to be one, say so with `classes`",
            *(name, " and ".join(map(repr, several))),
        )


def _ids(entry: Entry, rows: Sequence[TableRow]) -> list[str]:
    """The id of each row."""
    if entry.id_column is None:
        return [f"{row.part.prefix}{row.number}" for row in rows]
    ids: dict[str, None] = {}
    for row in rows:
        own = row.text(entry.id_column)
        if (full := row.part.prefix + own) in ids:
            raise InputError(f"{row.where}: the id {short(own)} is in a row above too; ids must be unique")
        ids[full] = None
    return list(ids)


def _parts(entry: Entry, rows: Sequence[TableRow]) -> list[str]:
    """The official part that each row is in. If a column says it, no picture and no group is in two."""
    column = entry.split_column
    if column is None:
        _tell_of_groups(entry, rows)
        return [row.part.name for row in rows]
    parts = [row.text(column) for row in rows]
    part_of: dict[tuple[str, str], str] = {}
    for row, part in zip(rows, parts, strict=True):
        if part not in SPLITS:
            raise InputError(f"{row.where}: {column!r} is {short(part)}, not one of {', '.join(SPLITS)}")
        together = [("image", image.name) for image in row.images.values()]
        if entry.group_column is not None:
            together.append(("group", row.group(entry.group_column)))
        for what, name in together:
            if part_of.setdefault((what, name), part) != part:
                raise InputError(
                    f"{row.where}: rows of the {what} {short(name)} are in different splits; {what}s must not be "
                    "shared by splits"
                )
    return parts


def _tell_of_groups(entry: Entry, rows: Sequence[TableRow]) -> None:
    """Say which groups of a data set are in several of its splits; their rows stay in the split nearest to the test."""
    parts_of: dict[str, set[str]] = {}
    for row in rows if entry.group_column is not None else ():
        parts_of.setdefault(row.group(str(entry.group_column)), set()).add(row.part.name)
    if shared := [group for group, parts in parts_of.items() if len(parts) > 1]:
        log.warning(
            "%d groups (%s) are in several splits, such as %s; the rows in the split nearest to the test are kept",
            *(len(shared), entry.group_column, short(shared[0])),
        )


def _chosen(entry: Entry, item: Item, rows: Sequence[TableRow]) -> list[list[_Chosen]]:
    """What the choices of each row make of an item of it; one item without them."""
    if entry.choices is None or item.answer is None:
        return [[_Chosen("", {}, {})] for _ in rows]
    choices = [choices_of(entry.choices, row) for row in rows]
    right = right_choices(entry.choices, item.answer, rows, choices)
    if entry.choices.items == "choice":
        _tell_of_equal(rows, choices, right)
    make = _of_row if entry.choices.items == "row" else _of_choices
    return [list(make(words, place)) for words, place in zip(choices, right, strict=True)]


def _tell_of_equal(rows: Sequence[TableRow], choices: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """Say in which rows a wrong choice has the words of the right one, so that equal items have both labels."""
    equal = [row for row, words, place in zip(rows, choices, right, strict=True) if words.count(words[place]) > 1]
    if equal:
        log.warning(
            "%d rows, such as %s, have the words of the right choice in a wrong one too; take them out with `only`",
            *(len(equal), equal[0].where),
        )


def _of_row(words: Sequence[str], right: int) -> Iterator[_Chosen]:
    yield _Chosen("", {"choices": listed(words)}, {ANSWER: LETTERS[right]})


def _of_choices(words: Sequence[str], right: int) -> Iterator[_Chosen]:
    for place, word in enumerate(words):
        yield _Chosen(f"/{LETTERS[place]}", {"choice": word}, {RIGHT: RIGHT_CLASSES[place == right]})
