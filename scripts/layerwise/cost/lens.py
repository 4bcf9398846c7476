"""What the patch lens costs: a forward pass per picture, and the output head at all its image tokens in every layer."""

from typing import NamedTuple

from layerwise.cost.inputs import count_inputs
from layerwise.cost.sizes import sizes_of
from layerwise.lens.sampling import ABSENT
from layerwise.study import Study

# Kinds of objects in a picture, as in COCO.
PRESENT = 3
NUMBER_BYTES = 4


class LensCost(NamedTuple):
    """Floating-point operations of the forward passes and of the output head, and bytes of maps before compression."""

    passes: float
    head: float
    stored: float


def lens_cost(study: Study, device: str) -> LensCost:
    """The cost of all cells of the patch lens.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Raises:
        InputError: on a model or data set whose size is unknown.
    """
    asked, cells = study.config.lens, study.grid.lens_cells()
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    passes = head = stored = 0.0
    for cell in cells:
        size, prompts = sizes[cell.model], study.grid.prompts(cell.stimuli)
        inputs = count_inputs(study, cell.stimuli, next(name for name, prompt in prompts.items() if prompt.is_own))
        before, behind, patches = size.alone(inputs)
        pictures, layers = min(0 if asked is None else asked.pictures, inputs.images), size.layers + 2
        passes += pictures * size.flop(before + behind, patches)
        # Nearly all tokens up to the image's end are the image's.
        head += 2.0 * pictures * before * layers * size.width * size.vocabulary
        stored += NUMBER_BYTES * pictures * before * layers * (PRESENT + ABSENT)
    return LensCost(passes, head, stored)
