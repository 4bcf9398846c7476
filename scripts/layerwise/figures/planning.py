"""Which figures and tables a study has, for the rules. No program imports this, so no digest covers it."""

from dataclasses import dataclass

from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.entry import Contents


@dataclass(frozen=True)
class Picture:
    """One variant of a figure: its figure, the variant, and how the report lists it."""

    figure: str
    variant: str
    title: str
    axis: str


def pictures(study: Contents) -> dict[str, Picture]:
    """The figures of the whole study, by the name of their file without its suffix."""
    return {
        figure.file.format(name=name, variant=variant): Picture(
            name, variant, f"{figure.place:02d} {figure.title.format(variant=variant)}", axis
        )
        for name, figure in FIGURES.items()
        if not figure.per_flow and figure.exists(study)
        for variant, axis in figure.variants(study).items()
    }


def flow_figures(study: Contents, questions: str | None = None) -> list[str]:
    """The figures of each model and set of questions of information flow; of one set those that it has."""
    return [
        name
        for name, figure in FIGURES.items()
        if figure.per_flow
        and figure.exists(study)
        and (questions is None or not figure.only_with or figure.only_with in study.question_sets[questions])
    ]


def tables(study: Contents) -> list[str]:
    """The tables of the study."""
    return [name for name, table in TABLES.items() if table.exists(study)]
