"""What each cell of hidden states costs, as a table."""

from typing import Any

import pandas as pd

from layerwise.cost.inputs import Inputs, count_inputs
from layerwise.cost.sizes import ModelSize, sizes_of
from layerwise.planning.grid import StatesCell
from layerwise.study import Study

BYTES = {"float32": 4, "bfloat16": 2}
CELL_COLUMNS = ["model", "stimuli", "prompt", "images", "inputs", "tokens", "flop", "layers", "width", "bytes", "exact"]


def estimate_states(study: Study, device: str) -> pd.DataFrame:
    """One row per states cell.

    Args:
        study: stimuli and models that are made already are read from its results.
        device: ``cuda`` or ``cpu``.

    Returns:
        ``model``, ``stimuli``, ``prompt``, ``images``, ``inputs``, ``layers``, ``width``; ``tokens`` of the decoder;
        ``flop`` (two per parameter and token or patch; attention itself adds a few percent); ``bytes`` of states,
        before compression, which takes about a quarter off 16-bit ones; ``exact``, whether all of it was counted.

    Raises:
        InputError: on a model or data set whose size is unknown.
    """
    cells = study.grid.states_cells()
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    counted: dict[tuple[str, str], Inputs] = {}
    rows = []
    for cell in cells:
        what = cell.stimuli, cell.prompt
        if what not in counted:
            counted[what] = count_inputs(study, *what)
        rows.append({**cell._asdict(), **_cost(study, cell, counted[what], sizes[cell.model])})
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def _cost(study: Study, cell: StatesCell, inputs: Inputs, size: ModelSize) -> dict[str, Any]:
    tokens, patches = (inputs.count * mean for mean in size.per_input(inputs))
    states = study.config.states
    per_input = (size.layers + 2) * len(study.grid.positions(cell.stimuli, cell.prompt))
    per_input += (size.layers + 2) * sum(at[:3] == cell for at in study.grid.position_states())
    # A block's heads side by side are about as wide as its output.
    per_input += size.layers * len(study.grid.sites(cell.model, cell.prompt))
    numbers = per_input * inputs.count * size.width
    return cost_of(inputs, size, tokens, patches, numbers * BYTES[states.dtype])


def cost_of(inputs: Inputs, size: ModelSize, tokens: float, patches: float, kept: float) -> dict[str, Any]:
    """All columns of a cell but its names, from the tokens and patches that are run and the bytes that are kept."""
    return {
        "images": inputs.images,
        "inputs": inputs.count,
        "tokens": round(tokens),
        "flop": size.flop(tokens, patches),
        "layers": size.layers,
        "width": size.width,
        "bytes": kept,
        "exact": inputs.exact and size.exact,
    }
