"""Which changes of the last token's state are run in a cell, and what each of them is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from layerwise.errors import InputError
from layerwise.models.interventions.concept_file import Change, Concept, ConceptFile
from layerwise.used.changes import BlockChanges

FREE, ERASE, STEER = "free", "erase", "steer"
OWN, CONTROL, OTHER = "own", "control", "other"
# What a run is, in the columns of the sweep's table.
RUN_COLUMNS = ["block", "change", "strength", "source", "of", "draw"]


@dataclass(frozen=True)
class Runs:
    """The changed runs of a cell.

    Attributes:
        changes: a group for each block and kind of change.
        table: a row per run, in the order of the changes: :data:`RUN_COLUMNS`.
    """

    changes: list[BlockChanges]
    table: pd.DataFrame

    @property
    def erased(self) -> pd.DataFrame:
        """The runs above whose block probes read: the cell's own erasers and their controls."""
        return self.table[(self.table["change"] == ERASE) & (self.table["source"] != OTHER)]

    def chosen(self, rows: Sequence[int]) -> list[BlockChanges]:
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
    plan: Plan, concept: ConceptFile, others: Mapping[str, ConceptFile], devices: Sequence[torch.device]
) -> Runs:
    """The changed runs of a cell, from the lowest block up.

    Behind each block: the concept is erased, and so are random concepts (controls) and those of other tasks; the state
    is steered along the concept by each strength, and as far along random directions.

    Args:
        plan: what the cell asks for.
        concept: of the cell.
        others: of other tasks, by ``task/prompt``.
        devices: of each block of the model; the concepts must have all blocks.

    Raises:
        InputError: when a concept lacks a block, directions or controls, or erases or steers nothing.
    """
    for file in (concept, *others.values()):
        _check(file, len(devices))
    _check_controls(plan, concept)
    changes, rows = [], []
    for block, device in enumerate(devices, start=1):
        for reads, group in _behind(plan, block, concept, others):
            changes.append(BlockChanges.of(block, [change for _, change in group], device, reads))
            rows += [{"block": block} | what for what, _ in group]
    return Runs(changes, pd.DataFrame(rows)[RUN_COLUMNS])


# What a run is, and its change.
Named = tuple[dict[str, Any], Change]


def _behind(
    plan: Plan, block: int, concept: ConceptFile, others: Mapping[str, ConceptFile]
) -> Iterator[tuple[bool, list[Named]]]:
    """Groups of changes of one rank behind a block, and whether blocks above are read."""
    here = concept.block(block)
    _check_erases(concept, here, block)
    draws = range(plan.draws)
    own = _run(ERASE, 0, OWN, plan.of)
    yield True, [(own, here.erased()), *((_run(ERASE, 0, CONTROL, draw=draw), here.erased(draw)) for draw in draws)]
    for name, file in others.items():
        other = file.block(block)
        _check_erases(file, other, block)
        yield False, [(_run(ERASE, 0, OTHER, name), other.erased())]
    if _steers(plan, concept):
        if not (here.steer[plan.along].deviation > 0).all() or not here.steer[plan.along].direction.any():
            raise InputError(
                f"{concept.path}: steering along {plan.along} at block {block} changes nothing: its direction or its "
                "deviation is 0; check that the states of the training items differ, or erase only"
            )
        yield (
            False,
            [
                (what, here.steered(plan.along, strength, draw=draw))
                for strength in plan.strengths
                for what, draw in (
                    (_run(STEER, strength, OWN, plan.of), None),
                    *((_run(STEER, strength, CONTROL, draw=draw), draw) for draw in draws),
                )
            ],
        )


def _run(change: str, strength: float, source: str, of: str = "", draw: int = -1) -> dict[str, Any]:
    return {"change": change, "strength": float(strength), "source": source, "of": of, "draw": draw}


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


def _check_erases(file: ConceptFile, concept: Concept, block: int) -> None:
    for part in concept.erase:
        if not part.any():
            raise InputError(
                f"{file.path}: erasing the concept at block {block} changes nothing: its eraser is 0; check that the "
                "states of the training items differ between the classes"
            )
