"""What a study says of a table: where its rows are, and which columns make an item."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Each, Filled, InputFolder, InputTable, Maybe, Section, Text, Words, text, whole
from layerwise.config.stimuli import Images, StimuliEntry
from layerwise.stimuli.cell_values import Only
from layerwise.stimuli.label_columns import LabelColumn, Labels, columns_of, labels_of

# A column in a template. A number may be padded to so many digits, as in the names of COCO's pictures.
COLUMN = re.compile(r"\{([^{}]+?)(?::0([1-9][0-9]?))?\}")
# The labels of items with choices.
ANSWER, RIGHT = "answer", "right"
RIGHT_CLASSES = ("wrong", "right")

Named = TypeVar("Named", "Item", "Entry")
Split = Literal["train", "val", "validation", "dev", "test"]


def _list_or(other: str) -> Discriminator:
    """Tells a list from one value. The tags are part of messages."""
    return Discriminator(lambda value: "list" if isinstance(value, list) else other)


FileOrFiles = Annotated[
    Annotated[InputTable, Tag("file")] | Annotated[Annotated[list[InputTable], Each(1)], Tag("list")],
    _list_or("file"),
]
Files = Annotated[
    Annotated[FileOrFiles, Tag("files")] | Annotated[Annotated[dict[Split, FileOrFiles], Filled()], Tag("splits")],
    Discriminator(lambda value: "splits" if isinstance(value, Mapping) else "files"),
]
Folders = Annotated[
    Annotated[InputFolder, Tag("folder")] | Annotated[Annotated[list[InputFolder], Each(1)], Tag("list")],
    _list_or("folder"),
]
ItemLabel = Annotated[
    Annotated[Text, Tag("class")] | Annotated[LabelColumn, Tag("label column")],
    Discriminator(lambda label: "label column" if isinstance(label, dict | LabelColumn) else "class"),
]
Answer = Annotated[
    Annotated[Text, Tag("column")] | Annotated[int, whole(0), Tag("number")],
    Discriminator(lambda answer: "column" if isinstance(answer, str) else "number"),
]


ImageFile = Annotated[
    str, text(r"[^{}]*(\{[^{}]+\}[^{}]*)+", 'a path with columns in braces, such as "pictures/{number}.jpg"')
]
ImageColumns = Annotated[
    Annotated[Text, Tag("column")] | Annotated[Annotated[list[Text], Each(1)], Tag("list")], _list_or("column")
]
ImageFiles = Annotated[
    Annotated[ImageFile, Tag("path")] | Annotated[Annotated[list[ImageFile], Each(1)], Tag("list")], _list_or("path")
]


class Spec(NamedTuple):
    """What a row says in one column, or in several that are put into a template.

    ``place`` is that of a picture in a cell that holds a list, from 0; None where a cell is one thing.
    """

    column: str | None
    template: str | None
    place: int | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        if self.column is not None:
            return [self.column]
        return list(dict.fromkeys(column for column, _ in COLUMN.findall(self.template or "")))


class Item(Section):
    """One of several items that are made of each row. What it does not name is the table's."""

    text_column: Maybe[Text] = None
    """Column with its text."""
    text: Maybe[Text] = None
    """In place of `text_column`: its text, made of columns."""
    image_column: Maybe[ImageColumns] = None
    """Column with its picture; or a list of columns, one for each of its pictures. With `pictures`, cells are lists."""
    image_file: Maybe[ImageFiles] = None
    """In place of `image_column`: path of its picture, made of columns; or a list of such paths."""
    labels: Maybe[Annotated[dict[Text, ItemLabel], Filled()]] = None
    """Its labels: a class, such as `{match: mismatch}`, or a column of its own, such as `{match: {column: fits_1}}`.
    All items of a row have the same labels."""
    answer: Maybe[Answer] = None
    """With `choices`: its right choice, in place of `choices.answer`."""

    def image_specs(self, pictures: int | None) -> list[Spec]:
        """Where its pictures are said, in order; with ``pictures`` in the lists of one column."""
        if self.image_file is not None:
            return [Spec(None, template) for template in _listed(self.image_file)]
        if pictures is None or isinstance(self.image_column, list):
            return [Spec(column, None) for column in _listed(self.image_column)]
        return [Spec(self.image_column, None, place) for place in range(pictures)]

    @property
    def text_spec(self) -> Spec | None:
        """Where its text is said; None if it has none."""
        return None if self.text_column is None and self.text is None else Spec(self.text_column, self.text)

    @model_validator(mode="after")
    def _says_each_once(self) -> "Item":
        return _once(self)


class Choices(Section):
    """Several answers to a row's question, one of which is right."""

    columns: Words
    """One column whose cells are lists, or several columns, one per choice. Empty cells at the end are no choices. In
    place of a list, a struct may have the choices as `text` and what the row calls them as `label`, as in ARC."""
    answer: Maybe[Answer] = None
    """Column that says which choice is right: by its index, by its letter (B or (B)) or the row's own label, or by its
    own words. Or a whole number, the index of the choice that is right in every row."""
    first: Maybe[Annotated[int, whole(0, 1)]] = None
    """Index of the first choice. Default: 0."""
    answer_is: Maybe[Literal["index", "letter", "words"]] = None
    """How `answer` says it, where the cells may mean two things: a 2 may be the index or the words of a choice."""
    items: Literal["row", "choice"]
    """row: one item per row. Prompts list the choices with {choices}, and the label `answer` is the letter of the right
    one. choice: one item per choice. Prompts have {choice}, and the label `right` is wrong or right."""


class Entry(StimuliEntry):
    """A stimulus set of a table: a user's own file, or a data set of the hub."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["file"], "not": {"anyOf": [{"required": ["dataset"]}, {"required": ["images"]}]}},
                {
                    "required": ["dataset", "images"],
                    "not": {"anyOf": [{"required": ["file"]}, {"required": ["split_column"]}]},
                },
            ],
            "anyOf": [{"required": ["labels"]}, {"required": ["each"]}, {"required": ["choices"]}],
            "if": {"required": ["file"], "properties": {"file": {"type": "object"}}},
            "then": {"not": {"required": ["split_column"]}},
        }
    )

    kind: Literal["table"]
    """How items are made."""
    file: Maybe[Files] = None
    """A CSV, TSV, JSON, JSON-lines or Parquet file with one row per stimulus; or a pattern such as test-*.parquet, or a
    list of files with the same columns. Or a mapping from official splits to such files, for tasks with `split:
    official`: `{train: train-*.parquet, test: test-*.parquet}`."""
    dataset: Maybe[str] = None
    """In place of `file`: an entry of `datasets` with the format hub."""
    images: Maybe[Annotated[dict[str, Images], Filled()]] = None
    """With `dataset`: how many images to sample from each of its splits (by seed), with all their rows; the word `all`
    takes every image. Of a row with several pictures the first one counts. With `group_column`: how many groups."""
    image_column: ImageColumns = "image"
    """Column with the pictures: their paths, or the pictures themselves, as in the hub's Parquet files. Or, for items
    that show several pictures, a list of columns, one for each picture."""
    image_file: Maybe[ImageFiles] = None
    """In place of `image_column`: path of each picture, made of columns, such as "pictures/{number}.jpg". {number:012}
    puts zeros in front of a whole number, to twelve digits, as in the names of COCO's pictures. Or, for items that show
    several pictures, a list of such paths."""
    pictures: Maybe[Annotated[int, whole(2)]] = None
    """How many pictures an item shows, where the cells of `image_column` are lists of so many. Rows with another number
    are refused, or left out with `without_image: leave-out`."""
    image_root: Maybe[Folders] = None
    """Folder that relative image paths start from, or several, searched in this order. Default: the file's folder. With
    `dataset`, its own folder is searched first."""
    without_image: Maybe[Literal["refuse", "leave-out"]] = None
    """What is done about rows that lack a picture, or have another number of them. Default: refuse."""
    text_column: Maybe[str] = None
    """Column with the text shown beside the image."""
    text: Maybe[Text] = None
    """In place of `text_column`: the text, made of columns, such as "{hint} {question}". Of some columns cells may be
    empty."""
    id_column: Maybe[str] = None
    """Column with unique ids of rows. Default: the row number."""
    group_column: Maybe[str] = None
    """Column that says which rows belong together: a split never divides them. Rows that share a picture are never
    divided either. Default: the picture."""
    only: Maybe[Only] = None
    """Take only rows with one of these values in a column, such as `{category: [adversarial]}`. Upper and lower case,
    and blanks at the ends of a cell, make no difference."""
    labels: Maybe[Labels] = None
    """Label columns; or a mapping from labels to what their columns hold, classes or numbers. Each task reads some of
    them, and none costs a forward pass."""
    each: Maybe[Annotated[list[Item], Each(1)]] = None
    """Several items of each row, such as one for the right caption and one for a wrong one. They stay together in every
    split."""
    choices: Maybe[Choices] = None
    """Several answers to each row's question."""
    split_column: Maybe[str] = None
    """Column with the words train, val and test, for tasks with `split: official`. With `dataset`, or with a
    `file` for each split, these are the splits."""

    @property
    def made(self) -> list[Item]:
        """The items of a row, each with its picture and text filled in."""
        return [self._filled(item) for item in self.each or [Item.model_validate({})]]

    @property
    def row_labels(self) -> dict[str, LabelColumn]:
        """The labels that all items of a row share, each with its column."""
        return labels_of(self.labels or {})

    @property
    def all_labels(self) -> dict[str, LabelColumn]:
        """All labels that items may have. Of one that the config says, and no column, the classes are told."""
        found = self.row_labels
        for name in self._item_labels:
            found[name] = _joined([(item.labels or {})[name] for item in self.each or ()])
        if self.choices is not None:
            of_choice = {"classes": {name: name for name in RIGHT_CLASSES}}
            is_row = self.choices.items == "row"
            found[ANSWER if is_row else RIGHT] = LabelColumn.model_validate({} if is_row else of_choice)
        return found

    @property
    def class_orders(self) -> dict[str, Sequence[str]]:
        """The classes of labels that choices make, in index order, the "positive" one last. Those of other labels are
        in alphabetical order."""
        return {RIGHT: RIGHT_CLASSES} if self.choices is not None and self.choices.items == "choice" else {}

    @property
    def has_official_parts(self) -> bool:
        """Whether rows say which official split they are in."""
        return self.dataset is not None or self.split_column is not None or isinstance(self.file, dict)

    @property
    def _item_labels(self) -> list[str]:
        return list((self.each or [Item.model_validate({})])[0].labels or ())

    @property
    def image_specs(self) -> list[Spec]:
        """Where a row's pictures are said, each once."""
        return list(dict.fromkeys(spec for item in self.made for spec in self.specs_of(item)))

    def specs_of(self, item: Item) -> list[Spec]:
        """Where the pictures of one of the items of a row are said, in order."""
        return item.image_specs(self.pictures)

    @property
    def pictures_per_item(self) -> int:
        """How many pictures each item shows."""
        return len(self.specs_of(self.made[0]))

    def shown_columns(self) -> list[str]:
        """The columns that decide what models are shown, each once."""
        of_texts = [item.text_spec for item in self.made if item.text_spec is not None]
        of_items = [column for spec in [*self.image_specs, *of_texts] for column in spec.columns]
        of_choices = [] if self.choices is None else self.choices.columns
        further = [column for column in (self.id_column, self.split_column) if column is not None]
        return list(dict.fromkeys([*of_items, *of_choices, *(self.only or ()), *further]))

    def picture_columns(self) -> list[str]:
        """The columns whose cells may be pictures."""
        return list(dict.fromkeys(spec.column for spec in self.image_specs if spec.column is not None))

    def text_columns(self) -> list[str]:
        """The columns whose cells are text or numbers, each once."""
        of_files = [column for spec in self.image_specs if spec.column is None for column in spec.columns]
        of_texts = [column for item in self.made if item.text_spec for column in item.text_spec.columns]
        of_choices = [] if self.choices is None or len(self.choices.columns) == 1 else self.choices.columns
        of_rows = [column for column in (self.id_column, self.split_column, self.group_column) if column is not None]
        of_labels = [*columns_of(self.row_labels), *self.item_label_columns()]
        answers = [answer for answer in self.answers() if isinstance(answer, str)]
        named = [*of_files, *of_texts, *of_choices, *(self.only or ()), *of_rows, *of_labels, *answers]
        return list(dict.fromkeys(named))

    def item_label_columns(self) -> list[str]:
        """The columns of labels that items have of their own."""
        return [column for item in self.made for column in columns_of(item_columns(item))]

    def other_columns(self) -> list[str]:
        """The columns whose cells are no pictures, each once."""
        of_choices = [] if self.choices is None else self.choices.columns
        return list(dict.fromkeys([*of_choices, *self.text_columns()]))

    def all_columns(self) -> list[str]:
        """Every column that is read, each once."""
        return list(dict.fromkeys([*self.picture_columns(), *self.other_columns()]))

    def column_fixes(self) -> dict[str, str]:
        """What to do about missing columns that no key of the entry names."""
        name = Entry.model_fields["image_column"].default
        fix = "; name the column with the pictures, or with their paths, as `image_column`"
        return {name: fix} if name in self.picture_columns() else {}

    def answers(self) -> list[str | int]:
        """Which choice is right, by item of a row."""
        return [] if self.choices is None else [item.answer for item in self.made if item.answer is not None]

    @model_validator(mode="after")
    def _says_where_rows_are(self) -> "Entry":
        if (self.file is None) == (self.dataset is None):
            raise PydanticCustomError("unfit", "must have either `file` or `dataset`")
        if (self.dataset is None) != (self.images is None):
            fix = "say in `images` how many of each split" if self.images is None else "`images` needs `dataset`"
            raise PydanticCustomError("unfit", "{fix}", {"fix": fix})
        if self.dataset is not None and self.split_column is not None:
            raise PydanticCustomError("unfit", "the splits of a `dataset` are its own; leave out `split_column`")
        if isinstance(self.file, dict) and self.split_column is not None:
            raise PydanticCustomError("unfit", "`file` names the files of each split; leave out `split_column`")
        # A default is written out where jobs are given an entry.
        return _once(self, image_default="image")

    @model_validator(mode="after")
    def _shows_as_many(self) -> "Entry":
        if self.pictures is not None and any(
            item.image_file is not None or isinstance(item.image_column, list) for item in self.made
        ):
            message = "`pictures` is for one column whose cells are lists; each path or column of a list is one picture"
            raise PydanticCustomError("unfit", message)
        numbers = [len(self.specs_of(item)) for item in self.made]
        if other := next((number for number in numbers if number != numbers[0]), None):
            said = {"first": numbers[0], "other": other}
            message = (
                "in `each`, all items must show the same number of pictures, but one shows {first} and one {other}"
            )
            raise PydanticCustomError("unfit", message, said)
        return self

    @model_validator(mode="after")
    def _has_labels(self) -> "Entry":
        if any(set(item.labels or ()) != set(self._item_labels) for item in self.each or ()):
            raise PydanticCustomError("unfit", "the items of `each` must have the same `labels`")
        of_choices = [] if self.choices is None else [ANSWER if self.choices.items == "row" else RIGHT]
        names = [*self.row_labels, *self._item_labels, *of_choices]
        if not names:
            raise PydanticCustomError("unfit", "must have `labels`, labels of the items in `each`, or `choices`")
        if twice := next((name for name in names if names.count(name) > 1), None):
            said = {"name": twice, "fix": f"labels: {{other-name: {{column: {twice}}}}}"}
            raise PydanticCustomError("unfit", "two labels are called {name}; give one another name: `{fix}`", said)
        for name in self._item_labels:
            given = [(item.labels or {})[name] for item in self.each or ()]
            if isinstance(given[0], str) and given.count(given[0]) == len(given):
                said = {"name": repr(name), "only": repr(given[0])}
                message = "in `each`, the label {name} is always {only}; a probe needs two classes"
                raise PydanticCustomError("unfit", message, said)
            if len({isinstance(label, LabelColumn) and label.is_number for label in given}) > 1:
                message = "in `each`, the label {name} is a number here and a class there"
                raise PydanticCustomError("unfit", message, {"name": repr(name)})
        return self

    @model_validator(mode="after")
    def _has_answers(self) -> "Entry":
        if self.choices is None:
            if any(item.answer is not None for item in self.each or ()):
                raise PydanticCustomError("unfit", "in `each`, an `answer` needs `choices`")
            return self
        if len(self.answers()) < len(self.made):
            raise PydanticCustomError("unfit", "`choices` needs `answer`, here or in every item of `each`")
        constant = {answer for answer in self.answers() if isinstance(answer, int)}
        if self.choices.items == "row" and len(constant) == 1 and not any(isinstance(a, str) for a in self.answers()):
            raise PydanticCustomError(
                "unfit", "one letter would be right in every row; take `items: choice` in `choices`"
            )
        return self

    def _filled(self, item: Item) -> Item:
        """An item with what it does not name itself."""
        found: dict[str, str | int | list[str] | None] = {}
        if item.text_spec is None:
            found |= {"text_column": self.text_column, "text": self.text}
        if item.image_column is None and item.image_file is None:
            found |= {"image_column": None if self.image_file else self.image_column, "image_file": self.image_file}
        if item.answer is None and self.choices is not None:
            found["answer"] = self.choices.answer
        return item.model_copy(update=found)


def _listed(given: str | list[str] | None) -> list[str | None]:
    """One value, or several, as a list."""
    return list(given) if isinstance(given, list) else [given]


def _once(entry: Named, image_default: str | None = None) -> Named:
    """Refuse an entry with two texts or two pictures."""
    pairs: list[tuple[str, Any, str, Any]] = [("text_column", entry.text_column, "text", entry.text)]
    if entry.image_column != image_default:
        pairs.append(("image_column", entry.image_column, "image_file", entry.image_file))
    for column, given, template, other in pairs:
        if given is not None and other is not None:
            said = {"column": column, "template": template}
            raise PydanticCustomError("unfit", "must have either `{column}` or `{template}`", said)
    return entry


def _joined(labels: list[str | LabelColumn]) -> LabelColumn:
    """A label of several items as one column: its classes, as far as the config tells them."""
    columns = [label for label in labels if isinstance(label, LabelColumn)]
    if any(column.is_number for column in columns):
        return columns[0]
    classes = {label: label for label in labels if isinstance(label, str)}
    for column in columns:
        if column.classes is None:
            return LabelColumn.model_validate({})
        classes |= {name: name for name in column.classes.values()}
    return LabelColumn.model_validate({"classes": classes})


def item_columns(item: Item) -> dict[str, LabelColumn]:
    """The labels of an item that columns say, each with its column."""
    return labels_of({name: label for name, label in (item.labels or {}).items() if isinstance(label, LabelColumn)})


def item_classes(item: Item) -> Iterator[tuple[str, str]]:
    """The labels of an item that are the same in every row."""
    for name, label in (item.labels or {}).items():
        if isinstance(label, str):
            yield name, label
