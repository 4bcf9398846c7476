"""What multimodal training changed: models against their language models, in prompts without an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.language_models import sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("language-models")
    return sections(table), numbers_csv(table)


TABLE = Table(
    title="What multimodal training changed",
    category="Tables",
    labels={"table": "What multimodal training changed"},
    reads=("language-models",),
    write=write,
    exists=lambda study: study.probes and study.made_from,
)
