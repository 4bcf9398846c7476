"""The controls: what the reader chooses, once for all parts of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerwise.explore.entry import Content, Part

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.entry import Contents

# What the page calls the choices.
WORDS = {
    "task": "task",
    "prompt": "prompt",
    "label": "label",
    "model": "model",
    "metric": "metric",
    "split": "split",
    "position": "position",
    "kind": "kind of probe",
    "layer": "layer",
    "axis": "axis",
    "what": "line",
}
AXES = {"layer": "layer", "depth": "relative depth"}


def reads(study: Contents) -> Sequence[str]:
    from layerwise.explore.scores_by_layer import read

    return read(study)


def make(given: Given, names: Sequence[str]) -> Content:
    from layerwise.explore.columns import as_columns
    from layerwise.explore.scores_by_layer import DASHES, WHAT, cells, scores_by_layer

    table, shown = cells(given), set(scores_by_layer(given)["what"])
    called = {
        "metric": {metric: _metric(metric) for metric in table["metric"].unique()},
        "split": {"val": "validation", "train": "training"},
        "label": {"macro": "mean over labels"},
        "kind": {kind: kind.replace("-", " ") for kind in table["kind"].unique()},
        "position": {position: position.replace("-", " ") for position in table["position"].unique()},
        "what": {what: name for what, name in WHAT.items() if what in shown},
        "axis": AXES,
    }
    selects = {key: word for key, word in WORDS.items() if key in table and table[key].nunique() > 1}
    dashes = {what: " ".join(map(str, DASHES[what])) for what in called["what"]}
    return Content(
        {"selects": selects, "axes": AXES, "lines": called["what"], "dashes": dashes},
        {"choice": {"cells": as_columns(table), "words": WORDS, "names": called}},
    )


def _metric(metric: str) -> str:
    from layerwise.figures.names import OF_NUMBERS, metric_name
    from layerwise.probes.metrics.catalogue import METRICS

    return metric_name(metric) if metric in OF_NUMBERS or metric in METRICS else metric.replace("_", " ")


PART = Part(place=10, title="", reads=reads, exists=lambda study: study.probes or study.numbers, make=make)
