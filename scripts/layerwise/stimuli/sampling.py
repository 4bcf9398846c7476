"""Seeded choices of images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.errors import InputError


def sample_ids(ids: list[Any], count: int | str, rng: np.random.Generator) -> list[Any]:
    """``count`` of ``ids`` in their old order, or all of them when there are no more or ``count`` is ``"all"``."""
    if isinstance(count, str) or count >= len(ids):
        return list(ids)
    return [ids[i] for i in np.sort(rng.choice(len(ids), size=count, replace=False))]


def sample_images(parts: dict[str, AnnotatedPart], images: Mapping[str, int | str], seed: int) -> dict[str, list[int]]:
    """Ids of the images sampled from each part; another part changes nothing in the others."""
    return {
        name: sample_ids(list(parts[name].images["image_id"]), count, np.random.default_rng([seed, *name.encode()]))
        for name, count in images.items()
    }


def check_categories(categories: list[str] | None, parts: dict[str, AnnotatedPart]) -> list[str]:
    """The categories to ask about: those named, or all of the data set.

    Raises:
        InputError: on a category that the data set does not have.
    """
    known = next(iter(parts.values())).categories
    for category in categories or []:
        if category not in known:
            raise InputError(f"stimuli: there is no category {category!r}; the data set has {', '.join(known)}")
    return categories or known
