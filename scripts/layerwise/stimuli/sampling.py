"""Seeded choices of images."""

from typing import Any

import numpy as np


def sample_ids(ids: list[Any], count: int | str, rng: np.random.Generator) -> list[Any]:
    """``count`` of ``ids`` in their old order, or all of them when there are no more or ``count`` is ``"all"``."""
    if count == "all" or count >= len(ids):
        return list(ids)
    return [ids[i] for i in np.sort(rng.choice(len(ids), size=count, replace=False))]
