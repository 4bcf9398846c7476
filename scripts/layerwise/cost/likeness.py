"""What it costs to measure what layers are like, and to compare them."""

import pandas as pd

from layerwise.likeness.grams import SCALINGS
from layerwise.likeness.pairs import compared
from layerwise.study import Study

# Products of two numbers that CKA of two layers takes for each pair of items: one for both layers together, and one for
# each of them with the sums of the other.
PER_PAIR = 3
BYTES = 4


def likeness_cost(study: Study, cells: pd.DataFrame) -> tuple[float, float]:
    """Floating-point operations, and bytes of the products of items that are kept.

    Args:
        study: names the cells and the twins.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    flop = stored = 0.0
    of_cell, twins = cells.set_index(["model", "stimuli", "prompt"]), study.grid.twins()
    layers: dict[tuple[str, str], dict[str, int]] = {}
    for cell in study.likeness_cells():
        n, found = min(study.config.likeness.items, of_cell.loc[cell, "inputs"]), of_cell.loc[cell]
        positions = len(study.grid.positions(cell.stimuli, cell.prompt))
        layers.setdefault(cell[1:], {})[cell.model] = int(found["layers"]) + 2
        products = positions * len(SCALINGS) * (found["layers"] + 2) * n**2
        flop += 2 * products * found["width"]
        stored += BYTES * products / 2
    for (stimuli, prompt), models in layers.items():
        n = study.config.likeness.items
        maps = len(study.grid.positions(stimuli, prompt)) * len(SCALINGS)
        pairs = sum(models[model] * models[other] for model, other, _ in compared(models, twins))
        flop += 2 * PER_PAIR * maps * pairs * n**2
    return flop, stored
