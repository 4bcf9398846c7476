"""Read one part (``train``, ``dev``, ``test``) of SNLI-VE (Xie et al. 2019, arXiv 1901.06706)."""

from pathlib import Path

import pandas as pd

from layerwise.datasets.tables import read_table
from layerwise.datasets.text_files import is_text, read_records, shown
from layerwise.errors import InputError

LABELS = ["contradiction", "neutral", "entailment"]
# Columns of a file of corrected labels.
CORRECTED = ["pairID", "gold_label"]
# SNLI's premise: a caption of the picture, which the hypothesis was written about.
PREMISE = "sentence1"
_FIELDS = {"Flickr30K_ID": "image_id", "sentence2": "hypothesis", "gold_label": "gold_label", "pairID": "pair_id"}


def annotation_file(annotations: str | Path, part: str) -> Path:
    """The file that :func:`read_part` reads."""
    return Path(annotations) / f"snli_ve_{part}.jsonl"


def read_part(
    annotations: str | Path,
    images: str | Path,
    part: str,
    corrected_labels: str | Path | None = None,
    premises: bool = False,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the pairs of ``part`` that have a gold label.

    Args:
        annotations: folder of the jsonl files.
        images: folder of Flickr30k's pictures, which need not be there yet.
        part: train, dev or test.
        corrected_labels: see :func:`correct`; None to take the labels as they are.
        premises: whether to read the premises too, into a column ``premise``.

    Returns:
        The pairs - ``pair_id``, ``image_id``, ``image`` (path), ``hypothesis``, ``gold_label`` - and what was left out:
        ``pairs_without_gold_label`` because their annotators did not agree (label ``-``), and, where there are some,
        ``pairs_without_hypothesis``; see also :func:`correct`.

    Raises:
        InputError: on a missing file, a line that is no JSON or lacks a field, a field that is no text, an unknown
            label, a repeated pairID.
    """
    file = annotation_file(annotations, part)
    fields = _FIELDS | ({PREMISE: "premise"} if premises else {})
    rows, undecided, wordless = [], 0, 0
    for number, record in read_records(file, tuple(_FIELDS), "a part of SNLI-VE, snli_ve_train|dev|test.jsonl"):
        if record["gold_label"] == "-":
            undecided += 1
            continue
        if record["gold_label"] not in LABELS:
            raise InputError(f"{file}, line {number}: gold_label {shown(record['gold_label'])} is none of {LABELS}")
        if isinstance(record["sentence2"], str) and not record["sentence2"].strip():
            # Published files should not be edited for pairs without words. Null is no such pair, but a broken export.
            wordless += 1
            continue
        for field in ("Flickr30K_ID", "pairID", "sentence2"):
            # Ids of digits alone are numbers after some tools.
            number_too = field != "sentence2" and isinstance(record[field], int) and not isinstance(record[field], bool)
            if not (is_text(record[field]) or number_too):
                raise InputError(
                    f"{file}, line {number}: {field} is {shown(record[field])}, which is no text; correct the line or "
                    "take it out"
                )
        if premises and not is_text(record.get(PREMISE)):
            found = shown(record[PREMISE]) if PREMISE in record else "missing"
            raise InputError(
                f"{file}, line {number}: {PREMISE}, the premise, is {found}, and prompts with {{premise}} need its "
                "text; correct the line, or leave out these prompts and `premise: true`"
            )
        rows.append([str(record[field]) for field in fields])
    pairs = pd.DataFrame(rows, columns=list(fields.values()))
    if (repeated := pairs.loc[pairs["pair_id"].duplicated(), "pair_id"]).size:
        raise InputError(f"{file}: the pairID {repeated.iloc[0]!r} appears twice")
    pairs.insert(2, "image", [str(Path(images) / f"{image_id}.jpg") for image_id in pairs["image_id"]])
    counts = {"pairs_without_gold_label": undecided} | ({"pairs_without_hypothesis": wordless} if wordless else {})
    if corrected_labels is not None:
        pairs, corrected = correct(pairs, corrected_labels)
        counts |= corrected
    return pairs, counts


def correct(pairs: pd.DataFrame, file: str | Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Give pairs the labels of ``file``, and leave out the pairs that it does not list.

    e-SNLI-VE (Do et al. 2020, arXiv 2004.03744; Kayser et al. 2021, arXiv 2105.03761) checked SNLI-VE's neutral pairs
    again, changed the labels of many and dropped others; its dev and test files list what is left.

    Args:
        pairs: as :func:`read_part` returns them.
        file: a table with the columns ``pairID`` and ``gold_label``; others are not read.

    Returns:
        The corrected pairs, and ``labels_corrected`` and ``pairs_without_corrected_label``.

    Raises:
        InputError: on a missing column, an unknown label, a repeated pairID, or when no pair is of this part.
    """
    table = read_table(file, CORRECTED)
    if (unknown := table[~table["gold_label"].isin(LABELS)]).size:
        pair, label = unknown.iloc[0]
        raise InputError(f"{file}: the gold_label of the pairID {pair!r} is {label!r}, none of {LABELS}")
    if (repeated := table.loc[table["pairID"].duplicated(), "pairID"]).size:
        raise InputError(f"{file}: the pairID {repeated.iloc[0]!r} appears twice")
    label = pairs["pair_id"].map(table.set_index("pairID")["gold_label"])
    kept = label.notna()
    if not kept.any():
        raise InputError(f"{file}: none of its pairIDs is in this part of SNLI-VE; is it the file of another part?")
    counts = {
        "labels_corrected": int((label[kept] != pairs.loc[kept, "gold_label"]).sum()),
        "pairs_without_corrected_label": int((~kept).sum()),
    }
    return pairs[kept].assign(gold_label=label[kept]).reset_index(drop=True), counts
