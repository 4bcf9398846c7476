"""Which changes of the last token's state are run in a cell, and what each of them is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from layerwise.errors import InputError
from layerwise.models.interventions.concept_file import Change, Concept, ConceptFile
from layerwise.used.changes import Changes

FREE, ERASE, STEER = "free", "erase", "steer"
OWN, CONTROL, OTHER = "own", "control", "other"
# What a run is, in the columns of the sweep's table.
RUN_COLUMNS = ["block", "change", "strength", "source", "of", "draw"]


@dataclass(frozen=True)
class Runs:
    """The changed runs of a cell.

    Attributes:
        changes: one group for each rank.
        table: a row per run, in the order of the changes: :data:`RUN_COLUMNS`.
    """

    changes: list[Changes]
    table: pd.DataFrame

    @property
    def erased(self) -> pd.DataFrame:
        """The runs above whose block probes read: the cell's own erasers and their controls."""
        return self.table[(self.table["change"] == ERASE) & (self.table["source"] != OTHER)]

    def chosen(self, rows: Sequence[int]) -> list[Changes]:
        """Some runs of the table, each as changes of its own."""
        singles = [(group, i) for group in self.changes for i in range(len(group))]
        return [group.one(i) for group, i in (singles[row] for row in rows)]


@dataclass(frozen=True)
class Plan:
    """What a cell asks for.

    Attributes:
        of: the cell's own concept, as ``task/prompt``.
        strengths: of steering, in standard deviations; nothing is steered where there are more than two classes.
        along: kind of direction that is steered along.
        draws: controls of each change.
    """

    of: str
    strengths: Sequence[float]
    along: str
    draws: int


def planned_runs(
    plan: Plan, concept: ConceptFile, others: Mapping[str, ConceptFile], n_layers: int, device: torch.device
) -> Runs:
    """The changed runs of a cell, those of one rank together.

    Behind each block: the concept is erased, and so are random concepts (controls) and those of other tasks; the state
    is steered along the concept by each strength, and as far along random directions.

    Args:
        plan: what the cell asks for.
        concept: of the cell.
        others: of other tasks, by ``task/prompt``.
        n_layers: blocks of the model; the concepts must have all.
        device: on which the changes are kept: that of the last block's output.

    Raises:
        InputError: when a concept lacks a block, directions or controls, or erases or steers nothing.
    """
    for file in (concept, *others.values()):
        _check(file, n_layers)
    _check_controls(plan, concept)
    runs = [run for block in range(1, n_layers + 1) for run in _behind(plan, block, concept, others)]
    of_rank: dict[int, list[_Run]] = {}
    for run in runs:
        of_rank.setdefault(len(run.change.from_), []).append(run)
    changes = [
        Changes.of([r.change for r in group], [r.what["block"] for r in group], [r.reads for r in group], device)
        for group in of_rank.values()
    ]
    table = pd.DataFrame([run.what for group in of_rank.values() for run in group])
    return Runs(changes, table[RUN_COLUMNS])


@dataclass(frozen=True)
class _Run:
    """One changed run: its row of the table, its change, and whether probes read the blocks above."""

    what: dict[str, Any]
    change: Change
    reads: bool


def _behind(plan: Plan, block: int, concept: ConceptFile, others: Mapping[str, ConceptFile]) -> Iterator[_Run]:
    """The runs that change the output of one block."""

    def run(
        change: Change, name: str, source: str, of: str = "", strength: float = 0, draw: int = -1, reads: bool = False
    ) -> _Run:
        what = {"block": block, "change": name, "strength": float(strength), "source": source, "of": of, "draw": draw}
        return _Run(what, change, reads)

    here, draws = concept.block(block), range(plan.draws)
    _check_erases(concept, here, block)
    yield run(here.erased(), ERASE, OWN, plan.of, reads=True)
    for draw in draws:
        yield run(here.erased(draw), ERASE, CONTROL, draw=draw, reads=True)
    for name, file in others.items():
        other = file.block(block)
        _check_erases(file, other, block)
        yield run(other.erased(), ERASE, OTHER, name)
    for strength in plan.strengths if _steers(plan, concept) else ():
        _check_steers(concept, here, plan.along, block)
        yield run(here.steered(plan.along, strength), STEER, OWN, plan.of, strength)
        for draw in draws:
            yield run(here.steered(plan.along, strength, draw=draw), STEER, CONTROL, "", strength, draw)


def _steers(plan: Plan, concept: ConceptFile) -> bool:
    return len(concept.classes) == 2 and len(plan.strengths) > 0


def _check(file: ConceptFile, n_layers: int) -> None:
    if lacking := sorted(set(range(1, n_layers + 1)) - set(file.blocks)):
        raise InputError(f"{file.path}: has no block {lacking[0]}, but the model has {n_layers}; fit the concept again")
    if file.rank == 0:
        raise InputError(f"{file.path}: its rank is 0, so that erasing it changes nothing; fit the concept again")


def _check_controls(plan: Plan, concept: ConceptFile) -> None:
    if concept.draws < plan.draws:
        raise InputError(
            f"{concept.path}: has {concept.draws} controls, but `used.draws` asks for {plan.draws}; fit the concept "
            "again"
        )
    if _steers(plan, concept) and plan.along not in concept.steer:
        raise InputError(
            f"{concept.path}: has no direction of the kind {plan.along} (`used.along`); it has "
            f"{', '.join(concept.steer) or 'none'}"
        )


def _check_steers(file: ConceptFile, concept: Concept, along: str, block: int) -> None:
    steering = concept.steer[along]
    if not (steering.deviation > 0).all() or not steering.direction.any():
        raise InputError(
            f"{file.path}: steering along {along} at block {block} changes nothing: its direction or its deviation is "
            "0; check that the states of the training items differ, or erase only"
        )


def _check_erases(file: ConceptFile, concept: Concept, block: int) -> None:
    for part in concept.erase:
        if not part.any():
            raise InputError(
                f"{file.path}: erasing the concept at block {block} changes nothing: its eraser is 0; check that the "
                "states of the training items differ between the classes"
            )
