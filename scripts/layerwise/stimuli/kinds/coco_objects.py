"""Image-category pairs: is an object of this category in the image?

The pairs are sampled once, balanced per category, and every prompt of the stimulus set - without a cue, with one
category, with the whole list - is scored on exactly these pairs, so that prompts compare like with like.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from layerwise.config.base import Maybe, Words
from layerwise.config.prompts import Prompt
from layerwise.config.stimuli import ImagesEntry, PairCount
from layerwise.datasets.annotated import AnnotatedPart
from layerwise.datasets.format import DataSize
from layerwise.errors import InputError
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.coco_kind import CocoKind
from layerwise.stimuli.kind import ExpectedItems, placeholders
from layerwise.stimuli.sampling import check_categories, sample_ids, sample_images


class Entry(ImagesEntry):
    """A stimulus set of image-category pairs."""

    kind: Literal["coco-objects"]
    """How items are made."""
    pairs_per_category: PairCount = 400
    """At most this many (image, category) pairs per category, half of them with the object and half without."""
    categories: Maybe[Words] = None
    """Object categories to ask about. Default: all of the data set."""


class _Objects(CocoKind[Entry]):
    entry_class = Entry
    allowed = frozenset({"category", "categories"})
    classes = ("absent", "present")
    asks_category = True

    def make(self, parts: dict[str, AnnotatedPart], entry: Entry, seed: int) -> Stimuli:
        return build_objects(parts, entry.images, entry.pairs_per_category, entry.categories, seed)

    def check_prompt(self, where: str, prompt: Prompt, entry: Entry) -> None:
        super().check_prompt(where, prompt, entry)
        if self.allowed <= placeholders(prompt):
            raise InputError(f"{where}: {{category}} and {{categories}} are two different cues; use one of them")

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        images, categories = self.sampled(entry, size), len(entry.categories or range(size.categories))
        pairs = entry.pairs_per_category * categories
        return ExpectedItems(
            images=min(images, pairs),
            texts_per_image=max(1, pairs / images),
            characters=size.category_characters,
            distinct_texts=categories,
            categories=categories,
            category_characters=size.category_characters,
        )


def build_objects(
    parts: dict[str, AnnotatedPart],
    images: Mapping[str, int | str],
    pairs_per_category: int,
    categories: list[str] | None,
    seed: int,
) -> Stimuli:
    """Per category, as many images with the object as without, divided over the parts by their images with it.

    Args:
        parts: annotated images by official part.
        images: how many images to sample from each part, or ``"all"``.
        pairs_per_category: most pairs per category over all parts together.
        categories: names to ask about, or None for all.
        seed: seed of every choice.

    Raises:
        InputError: on a category that the data set does not have.
    """
    categories = check_categories(categories, parts)
    sampled = sample_images(parts, images, seed)
    total = sum(map(len, sampled.values()))
    shown, provenance = [], []
    for name, ids in sampled.items():
        part = parts[name]
        paths = part.images.set_index("image_id")["image"]
        most = max(1, round(pairs_per_category / 2 * len(ids) / total))
        with_object = part.objects.groupby("category")["image_id"].agg(set).to_dict()
        for category in categories:
            rng = np.random.default_rng([seed, *name.encode(), *category.encode()])
            present = [i for i in ids if i in with_object.get(category, set())]
            absent = [i for i in ids if i not in with_object.get(category, set())]
            count = min(most, len(present), len(absent))
            for label, pool in (("present", present), ("absent", absent)):
                for image_id in sample_ids(pool, count, rng):
                    item_id = f"{name}/{image_id}/{category}"
                    shown.append((item_id, paths[image_id], category))
                    provenance.append((item_id, f"{name}/{image_id}", f"{name}/{image_id}", name, category, label))
    shown = pd.DataFrame(shown, columns=["item_id", "image", "category"])
    provenance = pd.DataFrame(
        provenance, columns=["item_id", "image_id", "group", "part", "category", "label:presence"]
    )
    # Items of one image together, as the extraction wants them.
    order = provenance.sort_values(["part", "image_id", "category"], kind="stable").index
    return Stimuli(
        shown=shown.loc[order].reset_index(drop=True),
        provenance=provenance.loc[order].reset_index(drop=True),
        categories=list(categories),
        notes={"categories_without_pairs": sorted(set(categories) - set(provenance["category"]))},
    )


KIND = _Objects()
