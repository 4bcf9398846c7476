"""What erasing and steering costs: fitting concepts, and sweeps over the blocks."""

from typing import NamedTuple

import pandas as pd

from layerwise.cost.estimate import CELL_COLUMNS, cost_of
from layerwise.cost.inputs import Inputs, count_inputs, count_items
from layerwise.cost.power import held_out_size
from layerwise.cost.probing import PER_EIGENVECTORS, outputs_of, training_rows
from layerwise.cost.sizes import ModelSize, sizes_of
from layerwise.planning.grid import ProbeCell
from layerwise.study import Study

# Of a row of the table, compressed, besides the numbers themselves: item, block, change and so on hardly count.
BYTES_PER_ROW = 1


class Concept(NamedTuple):
    """The numbers that decide what a concept costs.

    Attributes:
        margins: 1 for two classes, else one per class; as many directions are kept of each kind.
        rank: of what is erased.
        draws: random controls of each change.
    """

    margins: int
    rank: int
    draws: int

    @property
    def classes(self) -> int:
        """Classes of the task."""
        return self.rank + 1


def estimate_used(study: Study, device: str) -> pd.DataFrame:
    """One row per sweep.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Returns:
        The columns of that function. Of ``tokens``, one that runs through half of the blocks counts half. There are no
        states to keep.

    Raises:
        InputError: on a model whose size is unknown.
    """
    cells = study.grid.used_cells()
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    rows = []
    for cell in cells:
        stimuli, size = study.config.tasks[cell.task].stimuli, sizes[cell.model]
        inputs = _swept(study, cell)
        tokens, patches = _run(study, cell, inputs, size)
        names = {"model": cell.model, "stimuli": stimuli, "prompt": cell.prompt}
        rows.append(names | cost_of(inputs, size, tokens, patches, kept=0))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def runs_per_block(study: Study, cell: ProbeCell) -> int:
    """How many changes are made behind each block, each a run from there on."""
    asked, concept = study.config.used, concept_of(study, cell)
    assert asked is not None
    runs = 1 + concept.draws + len(study.grid.other_concepts(cell))
    # Only two classes are steered between.
    return runs + (len(asked.strengths) * (1 + concept.draws) if concept.classes == 2 else 0)


def concept_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of fitting all concepts: per block a covariance and its eigenvectors.

    Args:
        study: tasks that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    of_cell, total = cells.set_index(["model", "stimuli", "prompt"]), 0.0
    for cell in study.grid.concept_cells():
        states = of_cell.loc[(cell.model, study.config.tasks[cell.task].stimuli, cell.prompt)]
        rows = training_rows(study, cell.task) / concept_of(study, cell).margins
        width = float(states["width"])
        total += states["layers"] * (2 * rows * width**2 + PER_EIGENVECTORS * width**3)
    return total


def used_bytes(study: Study, cells: pd.DataFrame) -> float:
    """Bytes of all concepts, and of the tables of sweeps.

    Arguments are those of :func:`concept_flop`.
    """
    of_cell, total = cells.set_index(["model", "stimuli", "prompt"]), 0.0
    for cell in study.grid.concept_cells():
        states = of_cell.loc[(cell.model, study.config.tasks[cell.task].stimuli, cell.prompt)]
        total += concept_bytes(concept_of(study, cell), int(states["layers"]), int(states["width"]))
    for cell in study.grid.used_cells():
        layers = int(of_cell.loc[(cell.model, study.config.tasks[cell.task].stimuli, cell.prompt), "layers"])
        concept, items = concept_of(study, cell), _swept(study, cell).count
        answers = 1 + layers * runs_per_block(study, cell)
        # A probe of each block from the erased one on, and those of the free run.
        above = layers + (1 + concept.draws) * layers * (layers + 1) / 2
        total += items * answers * (4 * concept.classes + 4 + BYTES_PER_ROW)
        total += items * above * (4 * concept.margins + BYTES_PER_ROW)
    return total


def concept_bytes(concept: Concept, blocks: int, width: int) -> float:
    """Bytes of a concept's file: float32 vectors, see :mod:`layerwise.models.interventions.concept_file`."""
    erasing = 2 * concept.rank * (concept.draws + 1)
    steering = concept.draws + 2 * concept.margins
    return 4 * blocks * ((1 + erasing + steering) * width + 2 * concept.margins)


def concept_of(study: Study, cell: ProbeCell) -> Concept:
    """What a cell's concept is like; a task of a table that is not made yet counts as one of two classes."""
    margins = outputs_of(study, cell.task)
    return Concept(margins, 1 if margins == 1 else margins - 1, study.grid.concept_draws())


def _swept(study: Study, cell: ProbeCell) -> Inputs:
    """The inputs of a sweep: test items, each an input of its own."""
    asked, stimuli = study.config.used, study.config.tasks[cell.task].stimuli
    assert asked is not None
    inputs, size = count_inputs(study, stimuli, cell.prompt), held_out_size(study, cell.task)
    items = asked.items if size is None else min(asked.items, round(size.items))
    images = round(items * inputs.images / count_items(study, stimuli))
    return Inputs(max(1, images), items, inputs.before, inputs.after, inputs.sample)


def _run(study: Study, cell: ProbeCell, inputs: Inputs, size: ModelSize) -> tuple[float, float]:
    """Tokens through all blocks, and patches through the vision tower."""
    # A change behind block l runs the last token through the L - l blocks above.
    again = runs_per_block(study, cell) * (size.layers - 1) / 2
    stimuli = study.config.tasks[cell.task].stimuli
    if study.grid.is_text_only(stimuli, cell.prompt):
        tokens, patches = size.per_input(count_inputs(study, stimuli, cell.prompt))
        return inputs.count * (tokens + again), inputs.count * patches
    # Items of an image share one run of it, which takes a token more. They also share words that all begin with: these
    # are few, and counted for each.
    before, behind, patches = size.alone(inputs)
    return inputs.images * (before + 1) + inputs.count * (behind + again), inputs.images * patches
