"""What answers cost: those that models write, and the probabilities that are read off hidden states."""

import pandas as pd

from layerwise.answers.lens import MASS_ITEMS
from layerwise.cost.estimate import CELL_COLUMNS, cost_of
from layerwise.cost.inputs import count_inputs, count_items
from layerwise.cost.sizes import sizes_of
from layerwise.study import Study

# Of a row of the table of answers, compressed (docs/benchmarks.md): layer, item, a score for each class, mass.
BYTES_PER_ROW = 16


def estimate_writing(study: Study, device: str) -> pd.DataFrame:
    """One row per cell in which a model writes its answers.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Returns:
        The columns of that function. Each input runs alone, and as many tokens follow it as the prompt allows. There
        are no states to keep. Tokens that are written one by one leave most of a card idle: its hours are a lower
        bound.

    Raises:
        InputError: on a model whose size is unknown.
    """
    cells = study.grid.generated_cells()
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    rows = []
    for cell in cells:
        inputs, size = count_inputs(study, cell.stimuli, cell.prompt), sizes[cell.model]
        prompt = study.grid.prompt(cell.stimuli, cell.prompt)
        if prompt.image == "none":
            # Without an image there is no prefix to share.
            read, patches = size.per_input(inputs)
        else:
            before, behind, patches = size.alone(inputs)
            read = before + behind
        tokens = inputs.count * (read + (prompt.generate or 0))
        rows.append(cell._asdict() | cost_of(inputs, size, tokens, inputs.count * patches, kept=0))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def reading_cost(study: Study, cells: pd.DataFrame) -> tuple[float, float]:
    """Floating-point operations and bytes of all answers that are read off states.

    All items need the whole output head at the top, and a sample of them in every other layer.

    Args:
        study: stimuli that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    flop = stored = 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    answered = study.grid.answers_cells()
    sizes = sizes_of(study, [cell.model for cell in answered], "cpu")
    for cell in answered:
        inputs, layers = of_cell.loc[cell, "inputs"], of_cell.loc[cell, "layers"] + 2
        states = inputs + min(inputs, MASS_ITEMS) * (layers - 1)
        flop += 2 * states * sizes[cell.model].vocabulary * sizes[cell.model].width
        stored += BYTES_PER_ROW * layers * count_items(study, cell.stimuli)
    return flop, stored
