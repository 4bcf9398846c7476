"""Read one part (``train``, ``dev``, ``test``) of SNLI-VE (Xie et al. 2019, arXiv 1901.06706)."""

import json
from pathlib import Path

import pandas as pd

from layerwise.errors import InputError

LABELS = ["contradiction", "neutral", "entailment"]
_FIELDS = {"Flickr30K_ID": "image_id", "sentence2": "hypothesis", "gold_label": "gold_label", "pairID": "pair_id"}


def annotation_file(annotations: str | Path, part: str) -> Path:
    """The file that :func:`read_part` reads."""
    return Path(annotations) / f"snli_ve_{part}.jsonl"


def read_part(annotations: str | Path, images: str | Path, part: str) -> tuple[pd.DataFrame, int]:
    """Read the pairs of ``part`` that have a gold label.

    Returns:
        The pairs - ``pair_id``, ``image_id``, ``image`` (path), ``hypothesis``, ``gold_label`` - and how many
        pairs were left out because their annotators did not agree (label ``-``).

    Raises:
        InputError: on a missing file, a line that is no JSON or lacks a field, an unknown label, a repeated pairID.
    """
    file = annotation_file(annotations, part)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; SNLI-VE's parts are snli_ve_train|dev|test.jsonl")
    rows, undecided = [], 0
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{file}, line {number}: not valid JSON ({error})") from error
            if missing := [field for field in _FIELDS if field not in record]:
                raise InputError(f"{file}, line {number}: there is no field {missing[0]!r}")
            if record["gold_label"] == "-":
                undecided += 1
                continue
            if record["gold_label"] not in LABELS:
                raise InputError(f"{file}, line {number}: gold_label {record['gold_label']!r} is none of {LABELS}")
            rows.append([str(record[field]) for field in _FIELDS])
    pairs = pd.DataFrame(rows, columns=list(_FIELDS.values()))
    if (repeated := pairs.loc[pairs["pair_id"].duplicated(), "pair_id"]).size:
        raise InputError(f"{file}: the pairID {repeated.iloc[0]!r} appears twice")
    pairs.insert(2, "image", [str(Path(images) / f"{image_id}.jpg") for image_id in pairs["image_id"]])
    return pairs, undecided
