"""Which layer knows it: from which layer on a model is above chance, above its untrained twin, above the text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.which_layer import which_layer_sections, with_sentences

    table = with_sentences(given.comparison("which-layer"))
    return which_layer_sections(table), numbers_csv(table)


TABLE = Table(
    title="Which layer knows it?",
    category="Tables",
    labels={"table": "0 Which layer knows it?"},
    reads=("which-layer",),
    write=write,
    exists=lambda study: study.probes,
)
