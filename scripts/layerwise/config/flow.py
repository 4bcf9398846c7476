"""Information flow (arXiv 2411.18620): which attention an answer needs, and where in the stack it appears."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import (
    Checked,
    Count,
    Each,
    InputFolder,
    InputTable,
    Maybe,
    Name,
    Section,
    Text,
    Words,
    among,
    text,
    whole,
)
from layerwise.config.probes import Resamples
from layerwise.gqa_types import TABLES

QuestionType = Annotated[str, among(TABLES)]


SpanName: Checked = text(
    "[a-z][a-z0-9_]*", "a name of lower-case letters, digits and underscores that begins with a letter", longest=30
)
OneOrSeveral = Annotated[
    Annotated[Text, Tag("column")] | Annotated[Words, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "column"),
]
TableFiles = Annotated[
    Annotated[InputTable, Tag("file")] | Annotated[Annotated[list[InputTable], Each(1)], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "file"),
]
# The type of questions of a table that names no column for it.
ONE_TYPE = "all"
# The section of `prompts` for questions of a table.
TABLE_PROMPTS = "questions"


class Questions(Section):
    """A set of questions about the images of a data set."""

    dataset: str
    """Name of an entry of `datasets`."""
    prompt: Name
    """Name of a prompt of `prompts.gqa`."""
    types: Annotated[list[QuestionType], Each(1)] = list(TABLES)
    """GQA's types of questions, as the paper names them."""
    per_type: Count = 1000
    """At most so many questions of each type, sampled by seed. The paper has 1000 at most; how they were chosen is
    unknown, ours is our choice."""


class QuestionTable(Section):
    """Where questions of one's own lie: the columns of a table."""

    file: TableFiles
    """A CSV, TSV, JSON, JSON-lines or Parquet file with one question per row; or a pattern such as part-*.parquet, or a
    list of files with the same columns."""
    image_column: OneOrSeveral = "image"
    """Column with the picture: its path, or the picture itself, as in the hub's Parquet files. Or a list of columns,
    for questions about several pictures: `[left, right]`."""
    image_root: Maybe[InputFolder] = None
    """Folder that relative image paths start from. Default: the file's folder."""
    question_column: Text = "question"
    """Column with the question."""
    answer_column: Text = "answer"
    """Column with the right answer: a word or a short phrase. Only questions that the model answers with it are
    measured; upper and lower case make no difference."""
    id_column: Maybe[Text] = None
    """Column with unique ids of questions. Default: the row number."""
    type_column: Maybe[Text] = None
    """Column with the type of each question. Figures and tables have a part for each. Default: one type, `all`."""
    options_column: Maybe[OneOrSeveral] = None
    """Column with the options, as a list, or several columns with one each. Prompts list them with {options}."""
    distractor_column: Maybe[Text] = None
    """Column with a wrong answer, such as the other option. How far the answer's logit is above the distractor's is
    then measured as well."""
    boxes_column: Maybe[Text] = None
    """Column with the boxes of the objects in question, for the flows from objects: a list such as [[x, y, width,
    height]] in pixels of the picture, x and y being the upper left corner; in text as JSON. With several pictures, each
    says in which one it is: [{"image": 2, "box": [10, 20, 30, 40]}]."""
    spans: dict[Annotated[str, SpanName], Text] = {}
    """Parts of the question, for flows to and from them: by name the column with the words, such as `{subject:
    subject_column}`. Each question holds the words once."""
    limit: Maybe[Count] = None
    """At most so many questions, sampled by seed. Default: all."""

    @property
    def image_columns(self) -> list[str]:
        """The columns of the pictures, in order."""
        return [self.image_column] if isinstance(self.image_column, str) else self.image_column

    @property
    def has(self) -> dict[str, Any]:
        """What all its questions have: how many ``pictures``, the names of ``spans``, whether ``boxes`` and
        ``distractors``. With the prompt it decides which flows there are."""
        return {
            "pictures": len(self.image_columns),
            "spans": list(self.spans),
            "boxes": self.boxes_column is not None,
            "distractors": self.distractor_column is not None,
        }

    @property
    def option_columns(self) -> list[str]:
        """The columns of the options; none without options."""
        if self.options_column is None:
            return []
        return [self.options_column] if isinstance(self.options_column, str) else self.options_column

    @property
    def text_columns(self) -> list[str]:
        """The columns of text or numbers, each once."""
        own = (self.question_column, self.answer_column, self.id_column, self.type_column, self.distractor_column)
        several = self.option_columns if len(self.option_columns) > 1 else []
        return list(dict.fromkeys([*(column for column in own if column is not None), *several, *self.spans.values()]))

    @property
    def other_columns(self) -> list[str]:
        """All columns but those of the pictures, each once."""
        boxes = [] if self.boxes_column is None else [self.boxes_column]
        return list(dict.fromkeys([*self.text_columns, *self.option_columns, *boxes]))


class TableQuestions(QuestionTable):
    """A set of questions of one's own: the rows of a table."""

    known_by: ClassVar[str] = "file"

    prompt: Name
    """Name of a prompt of `prompts.questions`."""


QuestionSet = Annotated[
    Annotated[TableQuestions, Tag("questions of a table")] | Annotated[Questions, Tag("questions of a data set")],
    Discriminator(lambda entry: f"questions of a {'table' if _is_table(entry) else 'data set'}"),
]


def _is_table(entry: object) -> bool:
    return isinstance(entry, TableQuestions) or (isinstance(entry, dict) and TableQuestions.known_by in entry)


HeadPair = Annotated[list[Annotated[int, whole(1)]], Field(min_length=2, max_length=2)]


class Heads(Section):
    """Attention that is also blocked head by head: each head of each block alone, and groups of heads at once. It takes
    as many runs of each question and flow as the model has heads, so choose flows to the last token where you can."""

    flows: Annotated[list[Text], Each(1)] = ["image->last"]
    """Flows, as figures and tables name them, such as image->last."""
    groups: dict[Name, Annotated[list[HeadPair], Each(1)]] = {}
    """Groups of heads that are blocked at once, by name: pairs of block and head, both counted from 1, such as `[[12,
    3], [14, 7]]`. Every model under `flow.models` must have them."""

    @field_validator("groups", mode="before")
    @classmethod
    def _has_names(cls, value: Any) -> Any:
        """Say what is meant where pairs have no name, or one pair stands in place of a list of pairs."""
        unnamed = isinstance(value, list)
        entries: dict[Any, Any] = {"mine": value} if unnamed else value if isinstance(value, dict) else {}
        for name, pairs in entries.items():
            one_pair = isinstance(pairs, list) and len(pairs) == 2 and all(type(number) is int for number in pairs)
            if unnamed or one_pair:
                meant = f"`{{{name}: {[pairs] if one_pair else pairs or [[5, 3]]}}}`"
                must = f"names of groups, each with its pairs of block and head, such as {meant}"
                raise PydanticCustomError("unfit", "must be {must}", {"must": must})
        return value


class FlowModel(Section):
    """How a model's attention is blocked."""

    window: Count = 7
    """Blocks that attention is blocked in at a time, centred on each block in turn and clipped at both ends. The paper
    takes 9 for 13 billion parameters and 7 for fewer."""


class Flow(Section):
    """Information flow: which attention an answer needs, and where in the stack it appears. Every model is asked all
    questions."""

    questions: dict[Name, QuestionSet] = {}
    """Sets of questions about images: those of a data set, or the rows of a table of one's own."""
    models: dict[Name, FlowModel] = {}
    """Models to ask, by their names in `models`."""
    question_tokens: Literal["text", "words"] = "text"
    """Which tokens are the question. text: all behind the image and before the last one, so also how the model is told
    to answer. words: those of the question itself. The paper divides its input into image, question and last position;
    text is our choice."""
    heads: Maybe[Heads] = None
    """Block attention also head by head. Default: only in all heads of a window of blocks."""
    resamples: Resamples = 1000
    """Bootstrap resamples over images for the bands."""
