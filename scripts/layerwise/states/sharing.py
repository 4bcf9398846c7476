"""Whether running several texts over one shared prefix saves time."""

import math

import pandas as pd

from layerwise.jobs.options import Sharing
from layerwise.models.frozen import FrozenModel
from layerwise.states.named import prepare_group
from layerwise.states.plan import prefixes

# The overhead of sharing: an image and its texts take extra forward passes, and each block of a pass costs time however
# few tokens it has. In operations that the device could do in that time: half a millisecond at 30 GFLOP/s, measured on
# a core, and 0.3 ms at 125 TFLOP/s, assumed for a GPU.
PASSES = 2
PASS_FLOP = {"cpu": 1.3e7, "cuda": 4e10}


def least_texts(model: FrozenModel, inputs: pd.DataFrame, sharing: Sharing, device: str) -> int:
    """How many texts about an image it takes to run them over one prefix; 0 for never.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.
        sharing: ``auto`` compares the saving, estimated from the first image with several texts, with the overhead.
            Texts that differ before the last of several pictures have nothing to share.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: naming the item whose picture or prompt the model's processor does not take.
    """
    # Texts without an image have no prefix to share.
    shared = prefixes(inputs)
    several = shared[shared.notna() & shared.duplicated(keep=False)]
    if sharing == "never" or not model.shares_prefix or several.empty:
        return 0
    if sharing == "always":
        return 2
    first = inputs.loc[several.index[several == several.iat[0]]]
    return worth_from(model.spared_flop(prepare_group(model, first)), device)


def worth_from(spared_flop: float, device: str) -> int:
    """How many texts about an image it takes for sharing to pay, if each but the first saves so much in a block."""
    return 1 + math.ceil(PASSES * PASS_FLOP[device] / spared_flop)
