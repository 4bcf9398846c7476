"""What the vision tower as layers costs: the tower once more over all pictures, its states, and their probes."""

import pandas as pd

from layerwise.cost.estimate import BYTES
from layerwise.cost.inputs import count_inputs
from layerwise.cost.probing import training_rows
from layerwise.cost.sizes import sizes_of
from layerwise.planning.tower_grid import own_prompts
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.study import Study

# Parameters of a block of a transformer, by the square of its width: four matrices of attention, and an MLP four times
# as wide.
PER_BLOCK = 12
# Of the block's width, in most towers.
BLOCKS, WIDEST = 27, 1152


def tower_cost(study: Study, device: str) -> tuple[float, float]:
    """Floating-point operations of the towers, and bytes of their states before compression.

    Depth and width of a tower are taken from its number of parameters, as if it had blocks of the usual shape; so the
    bytes are a guess.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Raises:
        InputError: on a model or data set whose size is unknown.
    """
    cells, flop, stored = study.grid.tower_cells(), 0.0, 0.0
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    prompts = {
        (model, study.config.tasks[task].stimuli): own_prompts(study.grid, model, task)[0]
        for model, task in study.grid.tower_probe_cells()
    }
    for cell in cells:
        size, inputs = sizes[cell.model], count_inputs(study, cell.stimuli, prompts[cell])
        _, _, patches = size.alone(inputs)
        flop += inputs.images * size.flop(0, patches)
        stored += inputs.images * BYTES[study.config.states.dtype] * numbers_kept(size.vision_parameters, size.width)
    return flop, stored


def numbers_kept(parameters: float, width: int) -> float:
    """About how many numbers are kept of a picture: patches and class token of each block, and the projector's output.

    Args:
        parameters: of the tower.
        width: of the decoder.
    """
    blocks, of_block = shape_of(parameters)
    return 2 * blocks * of_block + width


def shape_of(parameters: float) -> tuple[int, float]:
    """Blocks and width of a tower of so many parameters: no more blocks than most have, and no wider than they are deep
    in the usual proportion."""
    width = min(WIDEST, (parameters * WIDEST / (PER_BLOCK * BLOCKS)) ** (1 / 3))
    return max(1, round(parameters / (PER_BLOCK * width**2))), width


def tower_probe_flop(study: Study, cells: pd.DataFrame, device: str) -> float:
    """Floating-point operations of all probes of towers, and of the decoder at the image's tokens beside them.

    Args:
        study: tasks that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
        device: see :func:`tower_cost`.
    """
    sizes = sizes_of(study, [model for model, _ in study.grid.tower_probe_cells()], device)
    pairs = PROBE_KINDS["logistic"].products(1, len(study.config.probes.C))
    fits = 1 + study.config.probes.controls.random_labels / 2
    layers, total = cells.groupby("model")["layers"].first(), 0.0
    for model, task in study.grid.tower_probe_cells():
        size = sizes[model]
        numbers = numbers_kept(size.vision_parameters, size.width)
        if study.grid.pooled_prompt(model, task) is not None:
            numbers += layers[model] * size.width
        total += 4 * pairs * fits * training_rows(study, task) * numbers
    return total
