"""What shortcuts cost: the vision tower once more over all pictures, and probes of simple features."""

import pandas as pd

from layerwise.cost.inputs import count_inputs
from layerwise.cost.probing import training_rows
from layerwise.cost.sizes import sizes_of
from layerwise.models.families import is_measured
from layerwise.planning.shortcut_grid import shown_prompts
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.shortcut_names import MOST_COMPONENTS, MOST_WORDS
from layerwise.study import Study


def pictures_flop(study: Study, device: str) -> float:
    """Floating-point operations of the vision towers over the distinct pictures of each stimulus set.

    Models that run on their authors' code run their decoder too.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Raises:
        InputError: on a model or data set whose size is unknown.
    """
    cells, total = study.grid.pictures_cells(), 0.0
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    prompts = {study.config.tasks[task].stimuli: shown_prompts(study.grid, task) for _, task in study.grid.shortcuts}
    for cell in cells:
        size, inputs = sizes[cell.model], count_inputs(study, cell.stimuli, prompts[cell.stimuli][0])
        before, behind, patches = size.alone(inputs)
        tokens = 0 if is_measured(study.config.models[cell.model].adapter) else before + behind
        total += inputs.images * size.flop(tokens, patches)
    return total


def shortcut_probe_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of all probes of simple features, if the texts have as many words as are counted.

    Args:
        study: tasks that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    widths, total = cells.groupby("model")["width"].first(), 0.0
    pairs = PROBE_KINDS["logistic"].products(1, len(study.config.probes.C))
    for model, task in study.grid.shortcut_cells():
        # Words, pictures side by side, both, and components with their products.
        of_pictures = widths[model] * study.grid.pictures(study.config.tasks[task].stimuli)
        width = 2 * (MOST_WORDS + of_pictures) + MOST_COMPONENTS**2 + 2 * MOST_COMPONENTS
        total += 4 * pairs * training_rows(study, task) * width
    return total
