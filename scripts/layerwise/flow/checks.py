"""What is checked of a model on one of its own questions before the long run."""

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.flow.flows import Flow
from layerwise.flow.knockout import Knockouts, knockout, naive_knockout
from layerwise.flow.positions import PositionSets
from layerwise.models.adapters.generic import GenericModel

log = logging.getLogger(__name__)

# How far the logarithm of an answer's probability may be from that of whole forward passes. Logits are of about 10, so
# rounding alone moves them by some hundredths in half precision; a run that goes on at wrong positions moves them more.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.3, torch.float16: 0.05}


def check_knockout(
    model: GenericModel,
    prepared: Mapping[str, Tensor],
    sets: PositionSets,
    flows: Sequence[Flow],
    windows: Sequence[range],
    answer_id: int,
) -> None:
    """Compare a question's free and blocked runs with whole forward passes, in the first, a middle and the last window.

    It also shows that the family does nothing behind its output head that is not known of.

    Args:
        model, prepared, sets, flows, windows, answer_id: see :func:`layerwise.flow.knockout.knockout`.

    Raises:
        InputError: naming the flow and the window where they differ by more than rounding.
    """
    some = [windows[i] for i in sorted({0, len(windows) // 2, len(windows) - 1})]
    ours, theirs = (run(model, prepared, sets, flows, some, answer_id) for run in (knockout, naive_knockout))
    names = ["nothing blocked"]
    names += [f"{flow.name} blocked in blocks {span[0] + 1} to {span[-1] + 1}" for flow in flows for span in some]
    differences = (_log(ours) - _log(theirs)).abs()
    log.info("blocked runs: log probabilities differ by %.1e from those of whole forward passes", differences.max())
    # Written so that NaN does not pass.
    if not (differences <= TOLERANCE[model.dtype]).all():
        worst = int(differences.nan_to_num(math.inf).argmax())
        raise InputError(
            f"with {names[worst]}, the log probability of the answer differs by {differences[worst]:.1e} from that of "
            f"a whole forward pass, more than the rounding of {model.dtype} explains: information flow cannot be "
            f"measured in this model of type {model.model.config.model_type} by runs that go on from a free one"
        )


def _log(knockouts: Knockouts) -> Tensor:
    return torch.cat([torch.tensor([knockouts.free]), knockouts.blocked.flatten()]).double().log()
