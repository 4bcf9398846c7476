"""Table 1: what was probed. The tasks and their data, the models, the prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.compare.inputs import with_draws
    from layerwise.figures.writing.overview import overview_sections
    from layerwise.figures.writing.sections import to_csv

    headline = given.comparison("headline")
    models = with_draws(given.models, headline)
    numbers = given.number_tasks if given.files.get("number-tasks") else {}
    sections = overview_sections(headline, given.tasks, models, given.prompts, position, numbers)
    return sections, to_csv(sections)


TABLE = Table(
    title="Table 1: tasks, models and prompts",
    category="Tables",
    labels={"table": "1 What was probed"},
    reads=("headline", "tasks", "number-tasks", "models", "prompts"),
    write=write,
    exists=lambda study: study.probes,
)
