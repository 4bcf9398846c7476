"""What kept image tokens cost: a forward pass per drawn picture, and much space."""

from typing import NamedTuple

from layerwise.cost.estimate import BYTES
from layerwise.cost.inputs import count_inputs
from layerwise.cost.sizes import sizes_of
from layerwise.planning.tower_grid import own_prompts
from layerwise.study import Study


class TokensCost(NamedTuple):
    """Floating-point operations of the forward passes, pictures that run, and bytes of tokens before compression."""

    passes: float
    pictures: float
    stored: float


def tokens_cost(study: Study, device: str) -> TokensCost:
    """The cost of all files of image tokens.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Raises:
        InputError: on a model or data set whose size is unknown.
    """
    asked, cells = study.config.pooled, study.grid.tokens_cells()
    if asked is None:
        return TokensCost(0, 0, 0)
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    prompts = {
        (model, study.config.tasks[task].stimuli): own_prompts(study.grid, model, task)[0]
        for model, task in study.grid.pooled_cells()
    }
    passes = shown = stored = 0.0
    for cell in cells:
        size, inputs = sizes[cell.model], count_inputs(study, cell.stimuli, prompts[cell])
        before, behind, patches = size.alone(inputs)
        pictures = asked.share * inputs.images
        layers = size.layers + 2 if asked.layers is None else len(asked.layers)
        shown += pictures
        passes += pictures * size.flop(before + behind, patches)
        # Nearly all tokens up to the image's end are the image's.
        stored += BYTES[study.config.states.dtype] * pictures * before * layers * size.width
    return TokensCost(passes, shown, stored)
