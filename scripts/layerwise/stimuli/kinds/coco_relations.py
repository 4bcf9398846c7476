"""Which of two objects is further left, or further up? Asked with both of them in the prompt.

Items are (image, first category, second category), where each of the two is annotated exactly once. Every pair of an
image comes in both orders, with opposite labels, so that the image alone tells nothing; and of each ordered pair as
many images of each official part have the first on the left as on the right, so that the text alone tells nothing
either. Both relations are balanced so, each over its own images: an item that was sampled for one of them only has
no label for the other.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
import pandas as pd

from layerwise.config.base import Each, Maybe
from layerwise.config.stimuli import ImagesEntry, Margin, PairCount
from layerwise.config.tasks import Task
from layerwise.datasets.annotated import AnnotatedPart
from layerwise.datasets.format import DataSize
from layerwise.errors import InputError
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.coco_kind import CocoKind
from layerwise.stimuli.kind import ExpectedItems
from layerwise.stimuli.relations import RELATIONS, related_pairs
from layerwise.stimuli.sampling import check_categories, sample_images


class Entry(ImagesEntry):
    """A stimulus set of images with two objects."""

    kind: Literal["coco-relations"]
    """How items are made."""
    images_per_pair: PairCount = 40
    """At most this many images per pair of categories and relation (left-right, above-below), half of them with the one
    further left (or up) and half with the other. Each is asked about in both orders."""
    margin: Margin = 0.1
    """How far apart the centres of two boxes must be, as a share of the image's width or height, for one to be left of
    or above the other. Pairs that are nearer have no label. Our choice."""
    categories: Maybe[Annotated[list[str], Each(2)]] = None
    """Object categories to ask about. Default: all of the data set."""


class _Relations(CocoKind[Entry]):
    entry_class = Entry
    allowed = required = frozenset({"first", "second"})

    def make(self, parts: dict[str, AnnotatedPart], entry: Entry, seed: int) -> Stimuli:
        return build_relations(parts, entry.images, entry.images_per_pair, entry.margin, entry.categories, seed)

    def check_task(self, where: str, task: Task, entry: Entry, stimuli: str) -> None:
        super().check_task(where, task, entry, stimuli)
        if task.knowledge is None and len(task.labels or ()) != 1:
            raise InputError(f"{where}.labels: name one relation, {' or '.join(RELATIONS)}")

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        images = self.sampled(entry, size)
        # At most so many: both orders of every pair of categories, for each of two relations.
        categories = len(entry.categories or range(size.categories))
        pairs = 2 * entry.images_per_pair * categories * (categories - 1)
        return ExpectedItems(
            images=min(images, pairs),
            texts_per_image=max(1, pairs / images),
            characters=2 * size.category_characters,
            distinct_texts=categories * (categories - 1),
        )


def build_relations(
    parts: dict[str, AnnotatedPart],
    images: Mapping[str, int | str],
    images_per_pair: int,
    margin: float,
    categories: list[str] | None,
    seed: int,
) -> Stimuli:
    """Items of two categories in both orders, balanced per ordered pair, relation and official part.

    Args:
        parts: annotated images by official part.
        images: how many images to sample from each part, or ``"all"``.
        images_per_pair: most images per pair of categories and relation, divided over the parts by their images.
        margin: see :func:`related_pairs`.
        categories: names to ask about, or None for all.
        seed: seed of every choice.

    Raises:
        InputError: on a category that the data set does not have, or an object that is asked about and has no box.
    """
    categories = check_categories(categories, parts)
    sampled = sample_images(parts, images, seed)
    total = sum(map(len, sampled.values()))
    chosen = []
    for name, ids in sampled.items():
        annotations = parts[name].annotations
        annotations = annotations[annotations["image_id"].isin(ids) & annotations["category"].isin(categories)]
        most = max(1, round(images_per_pair / 2 * len(ids) / total))
        for relation in RELATIONS:
            pairs = related_pairs(annotations, relation, margin)
            picked = pairs.loc[list(_balanced(pairs, relation, most, [seed, *name.encode()]))]
            chosen.append(_both_orders(picked, relation).assign(part=name, relation=relation))
    rows = pd.concat(chosen, ignore_index=True)
    keys = ["part", "image_id", "first", "second"]
    items = rows.pivot(index=keys, columns="relation", values="class").reindex(columns=list(RELATIONS)).reset_index()
    paths = {name: part.images.set_index("image_id")["image"] for name, part in parts.items()}
    image_id = items["part"] + "/" + items["image_id"].astype(str)
    shown = pd.DataFrame(
        {
            "item_id": image_id + "/" + items["first"] + "/" + items["second"],
            "image": [paths[part][i] for part, i in zip(items["part"], items["image_id"], strict=True)],
            "first": items["first"],
            "second": items["second"],
        }
    )
    provenance = pd.DataFrame(
        {"item_id": shown["item_id"], "image_id": image_id, "group": image_id, "part": items["part"]}
        | {f"label:{relation}": items[relation] for relation in RELATIONS}
    )
    return Stimuli(shown, provenance, categories=[], notes={"pairs_of_categories": _n_pairs(items)})


def _balanced(pairs: pd.DataFrame, relation: str, most: int, seed: list[int]) -> Iterator[int]:
    """Rows of as many images of either class for every pair of categories, at most ``most`` of each."""
    for (first, second), of_pair in pairs.groupby(["first", "second"]):
        rng = np.random.default_rng([*seed, *f"{relation}/{first}/{second}".encode()])
        pools = [of_pair.index[of_pair["class"] == name] for name in RELATIONS[relation][1]]
        count = min(most, *map(len, pools))
        for pool in pools:
            yield from rng.choice(pool, count, replace=False)


def _both_orders(pairs: pd.DataFrame, relation: str) -> pd.DataFrame:
    lower, higher = RELATIONS[relation][1]
    turned = pairs.rename(columns={"first": "second", "second": "first"})
    return pd.concat([pairs, turned.assign(**{"class": turned["class"].map({lower: higher, higher: lower})})])


def _n_pairs(items: pd.DataFrame) -> int:
    """Pairs of categories, whatever their order."""
    return len({frozenset(pair) for pair in zip(items["first"], items["second"], strict=True)})


KIND = _Relations()
