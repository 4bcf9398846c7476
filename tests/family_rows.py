"""Keep a record of what the rows of families say that decides numbers: ``python -m tests.family_rows``.

No code digest covers the rows. So a changed one would leave hidden states as they are, even where a new run would give
others. tests/unit/models/test_family_rows.py compares the rows with this record, and fails until someone has decided.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "family_rows.json"


def deciding() -> dict[str, dict[str, Any]]:
    """By model type, the fields of its row that decide numbers and differ from the default row, and its revision."""
    # Imported late, so that the program finds the library.
    from layerwise.models.families import DEFAULT, FAMILIES, NUMBERS
    from layerwise.models.family_revisions import REVISIONS

    names = [field.name for field in fields(DEFAULT) if field.metadata == NUMBERS]
    said = {}
    for model_type in sorted({*FAMILIES, *REVISIONS}):
        row = FAMILIES.get(model_type, DEFAULT)
        other = {name: value for name in names if (value := getattr(row, name)) != getattr(DEFAULT, name)}
        if other or model_type in REVISIONS:
            said[model_type] = other | {"revision": REVISIONS.get(model_type, 0)}
    return said


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
    RECORD.write_text(json.dumps(deciding(), indent=2) + "\n")
