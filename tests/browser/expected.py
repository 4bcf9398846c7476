"""What the curves must show, read from the study's files as they are written, and not by the page's own code."""

from typing import Any

import pandas as pd
import pytest

from layerwise.compare.inputs import Given
from tests.browser.made_up.study import TASKS, TEXT_ONLY

# What the page begins with.
FIRST = {"task": "entailment", "prompt": "agree", "metric": "accuracy", "split": "test"}
NUMBERS = ["value", "low", "high", "n", "n_groups"]


def curve(given: Given, what: str = "probe", kind: str = "logistic", position: str = "last", **choice: Any) -> dict:
    """By model and layer the numbers of a line.

    Args:
        given: the study's files.
        what: the line.
        kind: of probe.
        position: that it reads.
        choice: other than :data:`FIRST`.
    """
    choice = FIRST | choice
    task = next(task for task in TASKS if task.task == choice["task"])
    choice = {"label": task.headline_label} | choice
    rename = {}
    if kind != "logistic":
        file, wanted = "kinds", choice | {"kind": kind, "probe": "task"}
    elif position != "last":
        file, wanted = "positions", choice | {"position": position}
    elif what == "said":
        file, wanted = "said", choice | {"answer": "as said"}
    elif what == "threshold":
        file, wanted = "said", choice | {"answer": "threshold"}
    elif what == "difference":
        file, wanted = "twin-differences", {key: choice[key] for key in ("task", "prompt", "label", "metric")}
        rename = {"difference": "value", "difference_low": "low", "difference_high": "high"}
    else:
        probe = what if what in ("control", "selectivity", "majority") else "logistic"
        file, wanted = "scores", choice | {"probe": probe}
        wanted |= {"prompt": TEXT_ONLY} if what == "text" else {}
    table = pd.read_parquet(given.path(file))
    rows = table[(table[list(wanted)] == list(wanted.values())).all(axis=1)].rename(columns=rename)
    untrained = rows["model"].str.endswith("-untrained")
    rows = rows[untrained if what == "twin" else ~untrained]
    assert len(rows), f"{file} has no {wanted}"
    columns = [*NUMBERS, "C"] if "C" in rows else NUMBERS
    return {(row.model, row.layer): [getattr(row, column) for column in columns] for row in rows.itertuples()}


def assert_drawn(rows: list[dict[str, Any]], found: dict) -> None:
    """That a chart's rows are these, to the last digit but for what decimal numbers lose in a script."""
    numbers = {(row["model"], row["layer"]): [row[name] for name in (*NUMBERS, "C")] for row in rows}
    assert set(numbers) == set(found)
    assert len(numbers) == len(rows)
    for place, values in found.items():
        assert numbers[place][: len(values)] == pytest.approx(values, rel=1e-12, nan_ok=True), place
