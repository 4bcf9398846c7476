"""Whether running several texts over one prefix is worth it."""

import math
from typing import Literal

import pandas as pd

from layerwise.models.frozen import FrozenModel
from layerwise.states.named import prepare_group

Sharing = Literal["auto", "always", "never"]

# What a shared image costs more than texts in batches: it and its texts are forward passes of their own, and each block
# of a pass costs time however few tokens it has. In operations that the device could do meanwhile: half a millisecond
# at 30 GFLOP/s measured on a core, 0.3 ms at 125 TFLOP/s assumed of a card.
PASSES = 2
PASS_FLOP = {"cpu": 1.3e7, "cuda": 4e10}


def least_texts(model: FrozenModel, inputs: pd.DataFrame, sharing: Sharing, device: str) -> int:
    """From how many texts about an image on they are run over one prefix; 0 for never.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.
        sharing: ``auto`` weighs what is spared, by the first image with several texts, against what it costs.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: naming the item whose picture or prompt the model's processor does not take.
    """
    # Texts without an image have none to share.
    several = inputs[inputs["image"].notna() & inputs["image"].duplicated(keep=False)]
    if sharing == "never" or not model.shares_prefix or several.empty:
        return 0
    if sharing == "always":
        return 2
    first = several[several["image"] == several["image"].iat[0]]
    return worth_from(model.spared_flop(prepare_group(model, first)), device)


def worth_from(spared_flop: float, device: str) -> int:
    """From how many texts about an image on sharing pays, if it spares each but the first so much in a block."""
    return 1 + math.ceil(PASSES * PASS_FLOP[device] / spared_flop)
