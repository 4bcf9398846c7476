"""Labels that some rows alone have, and numbers that are padded in names of files."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.stimuli.kinds.table import Entry, build_table

ROWS = [
    {"number": 7, "said": "left of", "true": 1},
    {"number": 7, "said": "Near ", "true": 0},
    {"number": 12, "said": "near", "true": 1},
    {"number": 12, "said": "beyond", "true": None},
]
TRUTH = {"column": "true", "classes": {"1": "match", "0": "mismatch"}}
SIDES = TRUTH | {"only": {"said": ["left of", "right of"]}}
NEAR = TRUTH | {"only": {"said": "near"}}


def items(folder: Path, labels: dict, file: str = "{number:05}.png") -> pd.DataFrame:
    """Items of the rows, with where they come from."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for number in ("00007", "00012"):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    entry = {"kind": "table", "file": str(folder / "rows.jsonl"), "image_file": file, "text_column": "said"}
    made, _ = build_table(Entry.model_validate(entry | {"labels": labels, "prompts": ["asked"]}))
    return made.shown.merge(made.provenance, on="item_id")


def test_rows_that_a_label_is_not_for_lack_it_whatever_their_cells_say(tmp_path):
    # The last row's cell is empty, which would be refused in a row that the label is for.
    found = items(tmp_path, {"near": NEAR, "sides": SIDES}).sort_values("item_id")
    assert found["label:near"].fillna("").tolist() == ["", "mismatch", "match", ""]
    assert found["label:sides"].fillna("").tolist() == ["match", "", "", ""]
    with pytest.raises(InputError, match=r"rows\.jsonl, line 4: the column 'true' is empty"):
        items(tmp_path, {"truth": TRUTH})


def test_a_label_that_no_row_has_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no row has the label 'near', which is for rows with \{said: nera\} alone"):
        items(tmp_path, {"near": TRUTH | {"only": {"said": "nera"}}})


def test_numbers_in_names_of_files_are_padded(tmp_path):
    found = items(tmp_path, {"near": NEAR})
    assert {Path(image).name for image in found["image"]} == {"00007.png", "00012.png"}
    with pytest.raises(InputError, match=r"rows\.jsonl, line 1: the column 'said' is 'left of', no whole number"):
        items(tmp_path, {"near": NEAR}, file="{said:03}.png")
    with pytest.raises(InputError, match=r"line 1: there is no image .*/7\.png"):
        items(tmp_path, {"near": NEAR}, file="{number}.png")
