"""The questions of a user's own table, with their pictures: looked at before any model is loaded."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from layerwise.config.flow import QuestionTable
from layerwise.datasets.question_table import (
    TableQuestion,
    asked_object,
    pictures_of,
    question_files,
    read_question_table,
)
from layerwise.datasets.questions import AskedObject, Found
from layerwise.errors import InputError
from layerwise.flow.questions import COLUMNS, OWN_COLUMNS
from layerwise.several_pictures import joined, joined_checksum
from layerwise.stimuli.image_files import check_images
from layerwise.stimuli.picture_files import write_picture
from layerwise.stimuli.sampling import sample_ids


def own_questions(entry: QuestionTable, seed: int, pictures: Path | None) -> tuple[pd.DataFrame, Found]:
    """The table of the questions, and what was read for it.

    Args:
        entry: of the config.
        seed: of the sample, if the entry has a limit.
        pictures: folder that pictures inside rows are written to; may be None for a table without.

    Raises:
        InputError: naming the file, the row and the fix.
    """
    questions = read_question_table(entry)
    if entry.limit is not None:
        questions = sample_ids(questions, entry.limit, np.random.default_rng([seed, *b"questions"]))
    files = [
        [_file(found, question, pictures) for found in of_row]
        for question, of_row in zip(questions, pictures_of(entry, questions), strict=True)
    ]
    checksums = _checksums(questions, files)
    images = _groups(files, checksums)
    rows = [
        _row(question, of_row, checksums, image_id)
        for question, of_row, image_id in zip(questions, files, images, strict=True)
    ]
    left_out = {kind: Counter[str]() for kind in dict.fromkeys(question.kind for question in questions)}
    return pd.DataFrame(rows, columns=[*COLUMNS, *OWN_COLUMNS]), Found([], left_out, question_files(entry))


def _file(found: Path | bytes, question: TableQuestion, pictures: Path | None) -> str:
    if isinstance(found, Path):
        return str(found)
    if pictures is None:
        raise InputError(f"{question.where}: the row holds its picture; name a folder to write it to with --pictures")
    return str(write_picture(pictures, hashlib.sha256(found).hexdigest(), found, question.where))


def _checksums(questions: Sequence[TableQuestion], files: Sequence[Sequence[str]]) -> dict[str, str]:
    """By file its SHA-256; every picture is decoded."""
    rows = {file: question.where for question, of_row in zip(questions, files, strict=True) for file in of_row}
    try:
        return check_images(rows)
    except InputError as error:
        # The message begins with the file.
        file = next((file for file in rows if str(error).startswith(f"{file}:")), None)
        if file is None:
            raise
        raise InputError(f"{rows[file]}: {error}") from error


def _groups(files: Sequence[Sequence[str]], checksums: Mapping[str, str]) -> list[str]:
    """By question the images that it counts as in intervals: questions that share a picture count as about one.

    The name of such a group is the first file in it.
    """
    above: dict[str, str] = {}

    def top(checksum: str) -> str:
        while above.setdefault(checksum, checksum) != checksum:
            checksum = above[checksum]
        return checksum

    for of_row in files:
        first, *others = (top(checksums[file]) for file in of_row)
        for other in others:
            above[top(other)] = top(first)
    names: dict[str, str] = {}
    return [names.setdefault(top(checksums[of_row[0]]), of_row[0]) for of_row in files]


def _row(question: TableQuestion, files: Sequence[str], checksums: Mapping[str, str], image_id: str) -> dict[str, Any]:
    return {
        "question_id": question.question_id,
        "type": question.kind,
        "image_id": image_id,
        "image": joined(files),
        "image_sha256": joined_checksum([checksums[file] for file in files]),
        "question": question.text,
        "answer": question.answer,
        "options": list(question.options),
        "objects": _objects(question, files),
        "distractor": question.distractor,
        "spans": [{"name": name, "words": words} for name, words in question.spans.items()],
    }


def _objects(question: TableQuestion, files: Sequence[str]) -> list[dict[str, Any]]:
    objects = []
    for box in question.boxes:
        file = files[box.image - 1]
        with Image.open(file) as picture:
            size, turned = picture.size, picture.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
        if turned:
            raise InputError(
                f"{question.where}: {file} is turned by its EXIF tag, and a box does not say which way up it was "
                "drawn; save the picture upright, and its box for that"
            )
        try:
            found = asked_object(box, size)
        except ValueError as error:
            raise InputError(f"{question.where}: {error} {file}; correct the box") from error
        objects.append(_as_stored(found, len(files)))
    return objects


def _as_stored(found: AskedObject, pictures: int) -> dict[str, Any]:
    fields = asdict(found)
    return fields if pictures > 1 else {name: value for name, value in fields.items() if name != "image"}
