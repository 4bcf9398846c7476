"""Questions about GQA's images: from the authors' tables where a folder holds them, else from GQA's own files."""

from collections.abc import Sequence
from pathlib import Path

from layerwise.datasets.disk import is_file
from layerwise.datasets.gqa_graphs import GRAPHS, QUESTIONS, graph_files, read_graphs
from layerwise.datasets.gqa_tables import read_tables, table_columns, table_files
from layerwise.datasets.questions import Found
from layerwise.datasets.tables import check_columns
from layerwise.errors import InputError
from layerwise.gqa_types import TABLES


def question_files(folder: str | Path, kinds: Sequence[str]) -> list[Path]:
    """The files that :func:`read_questions` reads."""
    tables = table_files(folder, kinds)
    return tables if any(table.exists() for table in tables) else graph_files(folder)


def check_questions(folder: str | Path, kinds: Sequence[str]) -> None:
    """What can be checked without reading the questions: that the files are there, and their columns.

    Raises:
        InputError: naming the file, and the column of a table.
    """
    files = question_files(folder, kinds)
    for file in files:
        if not is_file(file):
            raise InputError(
                f"there is no file {file}; the folder must hold the authors' table of each type, or GQA's "
                f"{QUESTIONS} and {GRAPHS}"
            )
    if files == table_files(folder, kinds):
        for kind, file in zip(kinds, files, strict=True):
            check_columns(file, table_columns(kind))


def read_questions(folder: str | Path, kinds: Sequence[str]) -> Found:
    """Questions of the given types (keys of :data:`layerwise.gqa_types.TABLES`) in a folder.

    Raises:
        InputError: see :func:`layerwise.datasets.gqa_tables.read_tables` and
            :func:`layerwise.datasets.gqa_graphs.read_graphs`.
    """
    tables = question_files(folder, kinds) == table_files(folder, kinds)
    return (read_tables if tables else read_graphs)(folder, kinds)


class _GqaQuestions:
    """See :class:`layerwise.datasets.questions.QuestionSource`."""

    types = tuple(TABLES)

    def check(self, folder: str | Path, types: Sequence[str]) -> None:
        check_questions(folder, types)

    def read(self, folder: str | Path, types: Sequence[str]) -> Found:
        return read_questions(folder, types)

    def image_name(self, image_id: str) -> str:
        return f"{image_id}.jpg"

    def image_file(self, images: str | Path, image_id: str) -> Path:
        """GQA names an image after its id, the drawn world as COCO does."""
        plain, padded = (Path(images) / f"{name}.jpg" for name in (image_id, image_id.rjust(12, "0")))
        return padded if padded.exists() and not plain.exists() else plain


QUESTION_SOURCE = _GqaQuestions()
