"""Questions about images, whatever format they come in."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from layerwise.datasets.text_files import shown
from layerwise.errors import InputError


@dataclass(frozen=True)
class AskedObject:
    """An object that a question is about: its name in the question, and its box in pixels of the image as it lies on
    disk, ``x`` and ``y`` being the upper left corner; of several images, the number of its own."""

    name: str
    x: int
    y: int
    w: int
    h: int
    image: int = 1


@dataclass(frozen=True)
class Question:
    """A question about an image.

    Attributes:
        question_id, image_id: as the source names them; leading zeros count.
        image_size: width and height of the image that the boxes are given for, in pixels.
        kind: its type, one of :attr:`QuestionSource.types`.
        text, answer: of the question.
        options: the true and the false one, for the types that name two; else empty.
        objects: those that it is about and that are there.
    """

    question_id: str
    image_id: str
    image_size: tuple[int, int]
    kind: str
    text: str
    answer: str
    options: tuple[str, ...]
    objects: tuple[AskedObject, ...]


@dataclass(frozen=True)
class Found:
    """Questions of some types as a reader finds them.

    Attributes:
        questions: in the order of the source.
        left_out: by type, how many were left out for which reason.
        files: what was read.
    """

    questions: list[Question]
    left_out: dict[str, Counter[str]]
    files: list[Path] = field(default_factory=list)


def checked_object(name: str, box: tuple[object, ...], image: tuple[int, int]) -> AskedObject:
    """An object whose box ``(x, y, w, h)`` lies in an image ``(width, height)``; what sticks out of it is cut off.

    Raises:
        ValueError: when a number is no whole one, or no part of the box lies in the image.
    """
    (x, y, w, h), (width, height) = map(whole_pixels, box), image
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if left >= right or top >= bottom:
        raise ValueError(f"its box x={x}, y={y}, w={w}, h={h} has no part in the image of {width} x {height} pixels")
    return AskedObject(name, left, top, right - left, bottom - top)


def places_of(words: str, text: str) -> list[int]:
    """Where words stand in a text. Where they also stand within longer words, those places do not count."""
    found = [match.start() for match in re.finditer(re.escape(words), text)]
    if len(found) < 2:
        return found
    whole = re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)
    return [match.start() for match in whole] or found


def whole_pixels(number: object) -> int:
    """A number of pixels.

    Raises:
        ValueError: when it is no whole number.
    """
    try:
        return int(str(number))
    except ValueError as error:
        raise ValueError(f"{shown(str(number))} is no whole number of pixels") from error


def check_ids(questions: list[Question], files: list[Path]) -> None:
    """Refuse two questions with the same id.

    Raises:
        InputError: naming the first id that comes twice.
    """
    ids = Counter(question.question_id for question in questions)
    twice = [one for one, times in ids.items() if times > 1]
    if twice:
        where = ", ".join(map(str, files))
        raise InputError(f"{where}: the question_id {twice[0]} comes twice; ids must be unique over all types")


class QuestionSource(Protocol):
    """How questions of a data format are read; see :data:`layerwise.datasets.catalogue.QUESTIONS`."""

    @property
    def types(self) -> Sequence[str]:
        """The types of questions. Their order seeds the samples: a new one comes last."""

    def check(self, folder: str | Path, types: Sequence[str]) -> None:
        """Check what can be checked without reading the questions.

        Raises:
            InputError: naming the file, and the column of a table.
        """

    def read(self, folder: str | Path, types: Sequence[str]) -> Found:
        """The questions of some types in a folder.

        Raises:
            InputError: naming the file and the row or record.
        """

    def image_name(self, image_id: str) -> str:
        """The path of an image in the format's own folder of images."""

    def image_file(self, images: str | Path, image_id: str) -> Path:
        """Where an image is in a folder, or would be."""
