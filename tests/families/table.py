"""Write docs/families.md from what the checks of all families give: ``make families``."""

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import torch
import transformers

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "docs/families.md"
NUMBER = re.compile(r"\de[+-]\d\d|(?<=\| )0(?=[ ;])")
# A type in the first column.
TYPE = re.compile(r"^\| `([^`]+)`", flags=re.MULTILINE)
# What does not depend on the numbers.
PAGE = Path(__file__).with_name("page.md")
REFUSED = "## Refused"
UNTESTED = "\n\nNo test covers these types yet; they run with the defaults, checked before each run: {}."
# From here on, a block's output is not the sum of its parts.
SUM = 1e-2

COLUMNS = ("type", "family", "hidden states", "batch", "shared prefix", "interventions", "knockout", "text alone")
COLUMNS += ("sites", "several pictures", "processor")
NOT_THE_SUM = (
    "a block does not just add `attention` and `mlp` to its input: it norms or scales them first, or something else "
    "runs between one block's output and the next"
)


def table() -> str:
    """The whole page."""
    # Imported here, because the program must first extend its path when it is run as a file.
    from layerwise.models.families import FAMILIES as ROWS
    from tests.families import FAMILIES, NOT_SERVED
    from tests.families.cells import Reasons, cells, of_all_kinds
    from tests.families.measure import measure
    from tests.families.registered import registered

    rows, notes, cannot, to_know = [], [], Reasons(), Reasons()
    for name, kinds in groupby(FAMILIES, key=lambda family: family.name):
        of_kinds = []
        for family in kinds:
            measured = measure(family)
            model_type = measured.model_type
            # All of one kind before the next, so that its model is built once.
            of_kinds.append(cells(measured, family, cannot))
            if not isinstance(measured.adds_up, str) and measured.adds_up > SUM:
                to_know.add("sites", NOT_THE_SUM, model_type)
            if family.changed_processor:
                to_know.add("processor", family.changed_processor, model_type)
            notes += [f"- {name} (`{model_type}`): {family.note}."] if family.note else []
        rows.append((model_type, name, of_all_kinds(of_kinds)))
    served, types = {model_type for model_type, _, _ in rows}, registered()
    refused = {one: ROWS[one].refused for one in sorted({*types} & {*ROWS}) if ROWS[one].refused}
    untested = sorted(set(types) - served - set(refused))
    return PAGE.read_text(encoding="utf-8").format(
        transformers=transformers.__version__,
        torch=torch.__version__,
        registered=len(types),
        served=len(served),
        refused=len(refused),
        untested=UNTESTED.format(", ".join(f"`{one}`" for one in untested)) if untested else "",
        table=_lines(COLUMNS, ([f"`{model_type}`", name, *of_type] for model_type, name, of_type in sorted(rows))),
        cannot=cannot.lines(),
        notes="\n".join([*sorted(notes), to_know.lines()]),
        why_refused=_lines(
            ("type", "why"),
            [
                *([f"`{model_type}`", why] for model_type, why in refused.items()),
                *([name, why] for name, _, why in NOT_SERVED),
            ],
        ),
    )


def _lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))


def listed(page: str) -> tuple[list[str], list[str]]:
    """The types that a page lists as served (once for each family of a type) and as refused."""
    served, _, refused = page.partition(f"\n{REFUSED}\n")
    return TYPE.findall(served), TYPE.findall(refused)


def without_numbers(page: str) -> str:
    """The page with every measured number replaced, because they differ between machines."""
    return NUMBER.sub("#", page)


if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    TABLE.write_text(table())
