"""The answers: for each task a sentence with its interval, beside a small curve. A click chooses the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layerwise.explore.entry import Content, Part

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given
    from layerwise.figures.entry import Contents


def reads(study: Contents) -> Sequence[str]:
    return (
        *(("which-layer", "headline") if study.probes else ()),
        *(("numbers", "number-headline", "models") if study.numbers else ()),
    )


def make(given: Given, names: Sequence[str]) -> Content:
    from layerwise.figures.writing.numbers import number_sentence
    from layerwise.figures.writing.which_layer import with_sentences

    answers = []
    if "which-layer" in given.files:
        table = with_sentences(given.comparison("which-layer"))
        answers += _answers(table[table["first_page"]], given.comparison("headline"), "logistic", "majority")
    if "numbers" in given.files:
        # The first prompt that a trained model was asked, for want of a reason to prefer another.
        table = given.comparison("numbers").sort_values("weights", kind="stable")
        table = table.drop_duplicates(["task", "model"])
        table = table.assign(sentence=[number_sentence(row) for row in table.to_dict("records")])
        answers += _answers(table, given.comparison("number-headline"), "ridge", "mean")
    return Content({"answers": answers})


def _answers(table: pd.DataFrame, headline: pd.DataFrame, probe: str, baseline: str) -> list[dict[str, Any]]:
    """By task: the row of its first model with a curve, and the sentences of the others."""
    answers = []
    for task, rows in table.groupby("task", sort=False):
        first, *others = rows.to_dict("records")
        cell = headline[(headline[["model", "task", "prompt"]] == [first["model"], task, first["prompt"]]).all(axis=1)]
        cell = cell[(cell["split"] == "test") & (cell["metric"] != "code_bits")]
        answers.append(
            {
                "task": task,
                "sentence": first["sentence"],
                "address": _address(first),
                "curve": _curve(cell, first, probe, baseline),
                "others": [{"sentence": row["sentence"], "address": _address(row)} for row in others],
            }
        )
    return answers


def _address(row: Mapping[str, Any]) -> str:
    """What choosing a row writes into the page's address."""
    from urllib.parse import urlencode

    return urlencode({"task": row["task"], "prompt": row["prompt"], "model": row["model"], "layer": row["best_layer"]})


def _curve(cell: pd.DataFrame, row: Mapping[str, Any], probe: str, baseline: str) -> dict[str, Any]:
    from layerwise.explore.small_curve import small_curve
    from layerwise.figures.names import metric_name

    layers = cell[(cell["probe"] == probe) & cell["layer"].between(0, row["n_layers"])].sort_values("layer")
    level = cell.loc[cell["probe"] == baseline, "value"]
    metric = metric_name(layers["metric"].iloc[0])
    return small_curve(layers, float(level.iloc[0]), int(row["best_layer"])) | {
        "label": f"Test {metric} of {row['model']} by layer, highest on validation in layer {row['best_layer']}"
    }


PART = Part(
    place=0,
    title="Which layer knows it?",
    reads=reads,
    exists=lambda study: study.probes or study.numbers,
    make=make,
)
