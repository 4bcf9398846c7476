"""Write docs/families.md from what the checks of all families give: ``make families``."""

import re
import sys
from itertools import groupby
from pathlib import Path

import torch
import transformers

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "docs/families.md"
NUMBER = re.compile(r"\de[+-]\d\d|(?<=\| )0(?= \|)")

HEAD = """# Model families

Written by `make families` from the checks of `tests/unit/models/test_families.py`: do not edit. Each family is a tiny
model with random weights, built from its real configuration class in transformers {transformers} (torch {torch},
float32, CPU). Numbers are the greatest norm of a difference over the norm of the vector, over all layers, the positions
`last` and `image-mean`, prompts and images:

- **hidden states**: the states read from the embeddings, every block and the final norm, against
  `output_hidden_states` of the whole model. transformers does not report the topmost block; its state is checked by the
  final norm's output.
- **batch**: a batch of unequal prompts, padded on either side, against its inputs one at a time.
- **shared prefix**: several prompts over one run of the image, against the same prompts one at a time. For a family
  that does not share prefixes, the number shows how wrong sharing would be.
- **processor**: `own` means the family's own with a local tokenizer. Its model and processor are also saved,
  registered and loaded from a folder, as in a study. Otherwise the column says why another one prepares the inputs.

Whatever the family, every extraction repeats these checks on a few of its own inputs before it begins, and stops if one
fails. It also shows the model two pictures, and refuses a model whose states do not differ between them.

| family | `model_type` | blocks at | hidden states | batch | shared prefix | processor |
|---|---|---|---|---|---|---|
"""


def table() -> str:
    """The whole page."""
    # Imported here, because the program must first extend its path when it is run as a file.
    from layerwise.models.families import FAMILIES as ROWS
    from tests.families import FAMILIES, NOT_SERVED
    from tests.families.measure import measure

    lines, notes = [], []
    for name, kinds in groupby(FAMILIES, key=lambda family: family.name):
        kinds = list(kinds)
        measured = [measure(family) for family in kinds]
        shared = _number(max(one.shared for one in measured))
        if why := kinds[0].not_shared:
            shared = f"not used ({shared}): {why}"
        cells = [
            name,
            f"`{measured[0].model_type}`",
            f"`{measured[0].decoder}`",
            _number(max(one.hooks for one in measured)),
            _number(max(one.batch for one in measured)),
            shared,
            kinds[0].no_own_processor or "own",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        notes += [f"- **{name}**: {family.note}." for family in kinds if family.note]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    refused = [f"- **{name}**: {why}." for name, _, why in NOT_SERVED]
    refused += [f"- `{model_type}`: {row.refused}." for model_type, row in ROWS.items() if row.refused]
    return "\n".join(
        [HEAD.format(**versions) + "\n".join(lines), "", "## To know", "", *notes, "", "## Refused", "", *refused, ""]
    )


def without_numbers(page: str) -> str:
    """The page with every measured number replaced, because they differ between machines."""
    return NUMBER.sub("#", page)


def _number(value: float) -> str:
    return f"{value:.0e}" if value else "0"


if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    TABLE.write_text(table())
