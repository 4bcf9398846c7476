"""The questions that a model is asked about images, and their files.

``questions.parquet`` has one row per question: ``question_id``, ``type``, ``image_id``, ``image`` (path),
``image_sha256``, ``question``, ``answer``, ``options`` (list; the true one first) and ``objects`` (list of ``name``,
``x``, ``y``, ``w``, ``h``: boxes in pixels of the image). ``questions.json`` says how many of each type there are, what
was left out and why, and which files were read. It has the digest of the questions, which results record.

Questions of a user's own table (:mod:`layerwise.flow.own_questions`) have ``distractor`` ("" for none) and ``spans``
(list of ``name``, ``words``), too. If they show several pictures, ``image`` and ``image_sha256`` are as
:mod:`layerwise.several_pictures` has them, and an object has the number of its ``image``. ``questions.json`` then says
under ``own`` what all questions have: ``pictures`` (their number), ``spans`` (names), ``boxes`` and ``distractors``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from layerwise.checksums import file_sha256
from layerwise.datasets.questions import AskedObject, Found, Question, QuestionSource
from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.stimuli.image_files import check_images
from layerwise.stimuli.sampling import sample_ids

COLUMNS = ["question_id", "type", "image_id", "image", "image_sha256", "question", "answer", "options", "objects"]
# The columns that questions of a user's own table have besides.
OWN_COLUMNS = ["distractor", "spans"]
# The columns that decide what a model is shown and asked. Paths do not.
SHOWN = ["question_id", "type", "image_sha256", "question", "answer", "objects"]
NO_IMAGE = "its image is missing"
OTHER_SIZE = "its image has another size than its boxes are given for"
# Models are shown pictures upright. Whether the boxes were drawn on upright pictures is unknown.
TURNED = "its image is turned by its EXIF tag"


def choose_questions(
    source: QuestionSource, folder: str | Path, kinds: Sequence[str], per_type: int, seed: int
) -> Found:
    """Read the questions of each type and sample at most ``per_type`` of it.

    Args:
        source: how questions of the data set's format are read.
        folder: of its annotations.
        kinds: types of questions, some of the source's.
        per_type: the authors take 1000 at most; how they chose is unknown, ours is by ``seed``.
        seed: of the sample; each type has a stream of its own.

    Raises:
        InputError: see the readers.
    """
    found = source.read(folder, kinds)
    chosen = []
    for kind in kinds:
        of_kind = [question for question in found.questions if question.kind == kind]
        rng = np.random.default_rng([seed, list(source.types).index(kind)])
        chosen += sample_ids(of_kind, per_type, rng)
    return Found(chosen, found.left_out, found.files)


def tabulate(source: QuestionSource, found: Found, images: str | Path) -> pd.DataFrame:
    """The table of the questions whose images are there; what is left out is counted in ``found``.

    Args:
        source: that the questions were read by.
        found: the questions.
        images: folder of images.

    Raises:
        InputError: on an image that cannot be decoded.
    """
    shown = []
    for question in found.questions:
        image = source.image_file(images, question.image_id)
        if not image.is_file():
            found.left_out[question.kind][NO_IMAGE] += 1
            continue
        size, turned = _size(image)
        if size != question.image_size:
            found.left_out[question.kind][OTHER_SIZE] += 1
        elif turned:
            found.left_out[question.kind][TURNED] += 1
        else:
            shown.append(_row(question, image))
    table = pd.DataFrame(shown, columns=[column for column in COLUMNS if column != "image_sha256"])
    return table.assign(image_sha256=table["image"].map(check_images(table["image"])))[COLUMNS]


def _size(image: Path) -> tuple[tuple[int, int], bool]:
    """Width and height as stored, and whether an EXIF tag turns or mirrors it; without decoding."""
    try:
        with Image.open(image) as opened:
            return opened.size, opened.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{image}: not a readable image ({error}); replace the file") from error


def _row(question: Question, image: Path) -> dict[str, Any]:
    return {
        "question_id": question.question_id,
        "type": question.kind,
        "image_id": question.image_id,
        "image": str(image),
        "question": question.text,
        "answer": question.answer,
        "options": list(question.options),
        # All are of the one image.
        "objects": [asdict(found, dict_factory=_without_image) for found in question.objects],
    }


def _without_image(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if name != "image"}


def describe(
    name: str, table: pd.DataFrame, found: Found, own: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """What ``questions.json`` holds.

    Args:
        name: of the set of questions.
        table: of the questions.
        found: what was read.
        own: of a user's own table, what all questions have; see
            :attr:`layerwise.config.flow.QuestionTable.has`.
    """
    return {
        "questions": name,
        "digest": questions_digest(table),
        "asked": {kind: int((table["type"] == kind).sum()) for kind in found.left_out},
        "images": {kind: int(table.loc[table["type"] == kind, "image_id"].nunique()) for kind in found.left_out},
        "left_out": {kind: dict(sorted(reasons.items())) for kind, reasons in found.left_out.items()},
        "sources": [{"file": str(file), "sha256": file_sha256(file)} for file in found.files],
        **({"own": dict(own)} if own else {}),
    }


def questions_digest(table: pd.DataFrame) -> str:
    """SHA-256 over the questions, the images' content and the boxes. Paths do not count."""
    digest = hashlib.sha256()
    own = ["options", *OWN_COLUMNS] if set(OWN_COLUMNS) <= set(table) else []
    for row in table[SHOWN + own].to_dict("records"):
        lists = {name: [dict(found) for found in row[name]] for name in ("objects", "spans") if name in row}
        lists |= {name: list(row[name]) for name in ("options",) if name in row}
        digest.update(json.dumps(row | lists).encode())
    return digest.hexdigest()


def read_questions(folder: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read ``questions.parquet`` and ``questions.json``, checked against each other.

    Raises:
        InputError: when a column is missing, or the description is of another table.
    """
    folder = Path(folder)
    table = pd.read_parquet(folder / "questions.parquet")
    description = read_description(folder / "questions.json", "digest")
    if missing := [column for column in COLUMNS if column not in table]:
        raise InputError(f"{folder / 'questions.parquet'}: there is no column {missing[0]!r}")
    if questions_digest(table) != description["digest"]:
        raise InputError(
            f"{folder}: questions.parquet is not the file that questions.json describes; delete both, run again"
        )
    return table, description


def objects_of(row: Any) -> list[AskedObject]:
    """The objects in a row of the table."""
    return [AskedObject(**found) for found in row.objects]


def spans_of(row: Any) -> dict[str, str]:
    """The spans of a row of the table, by name; none in questions of a data set."""
    return {span["name"]: span["words"] for span in getattr(row, "spans", ())}


def image_names(source: QuestionSource, found: Found) -> list[str]:
    """Names of the images that questions show, as their source packs them."""
    return sorted({source.image_name(question.image_id) for question in found.questions})
