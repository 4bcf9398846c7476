"""The document of a study's findings: a template that is filled in from the table of its numbers alone."""

import re
from functools import cache
from pathlib import Path

import jinja2
import pandas as pd

from layerwise.errors import InputError
from layerwise.findings.claims import Findings
from layerwise.findings.gather import COLUMNS

TEXT = ["what", "model", "objective", "task", "prompt"]


def read_findings(path: Path) -> pd.DataFrame:
    """Read the table of findings.

    Raises:
        InputError: when it cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table of findings ({error})") from error
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: must have the columns {', '.join(COLUMNS)}; make findings writes them")
    return table


def render(template: Path, table: pd.DataFrame) -> str:
    """Fill in a template (Jinja, Markdown), in which ``f`` holds the numbers, see :class:`Findings`.

    Every claim in it depends on a condition. A name that is not defined is an error.
    """
    text = _templates(template.parent).get_template(template.name).render(f=Findings(table))
    # Remove the blank lines of sentences that were left out.
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip() + "\n"


@cache
def _templates(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
