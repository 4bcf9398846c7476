"""SNLI-VE's image-hypothesis pairs, its official parts kept."""

import numpy as np
import pandas as pd

from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.sampling import sample_ids


def build_hypotheses(parts: dict[str, tuple[pd.DataFrame, int]], images: dict[str, int | str], seed: int) -> Stimuli:
    """All pairs of the sampled images.

    Args:
        parts: what :func:`layerwise.datasets.snli_ve.read_part` gave, by part.
        images: how many images to sample from each part, or ``"all"``.
        seed: seed of the sampling.
    """
    tables, undecided = [], 0
    for part, count in images.items():
        pairs, left_out = parts[part]
        undecided += left_out
        rng = np.random.default_rng([seed, *part.encode()])
        kept = sample_ids(list(pairs["image_id"].unique()), count, rng)
        tables.append(pairs[pairs["image_id"].isin(kept)].assign(part=part))
    pairs = pd.concat(tables, ignore_index=True).sort_values(["part", "image_id"], kind="stable", ignore_index=True)
    return Stimuli(
        shown=pd.DataFrame({"item_id": pairs["pair_id"], "image": pairs["image"], "text": pairs["hypothesis"]}),
        provenance=pd.DataFrame(
            {
                "item_id": pairs["pair_id"],
                "image_id": pairs["image_id"],
                "group": pairs["image_id"],
                "part": pairs["part"],
                "label:gold_label": pairs["gold_label"],
            }
        ),
        categories=[],
        notes={"pairs_without_gold_label": undecided},
    )
