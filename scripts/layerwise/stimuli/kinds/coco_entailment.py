"""Image-text pairs from captions: an image with its own caption, or with another image's.

The mismatching caption always comes from the image's *partner*: images are paired off (at random, or with the image
that shares most object categories), and the two swap captions. So each caption is used once as a match and once as
a mismatch, each image too, and neither text nor image alone tells the label. The pair is the group that a split must
keep together, which holds for every split seed.

Other mismatches are minimal pairs: statements that say nearly the same, made from annotations
(:mod:`layerwise.stimuli.minimal_pairs`). The swap and the group are the same.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd

from layerwise.config.base import Count, Maybe, among
from layerwise.config.stimuli import ImagesEntry, Margin
from layerwise.datasets.annotated import AnnotatedPart
from layerwise.datasets.format import DataSize
from layerwise.errors import InputError
from layerwise.stimuli.annotated_kind import AnnotatedKind
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.kind import ExpectedItems
from layerwise.stimuli.minimal_pairs.catalogue import SWAPS
from layerwise.stimuli.sampling import sample_ids

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

MARGIN = 0.1


class Entry(ImagesEntry):
    """A stimulus set of image-text pairs from captions."""

    kind: Literal["coco-entailment"]
    """How items are made."""
    captions_per_image: Count = 1
    """Captions sampled per image. Each is used once as a match and once as a mismatch. Of random and hard mismatches
    only: minimal pairs have one statement for each image."""
    mismatch: Annotated[str, among(("random", "hard", *SWAPS))] = "random"
    """Whose caption is the mismatch: a random image's, or that of an image that shares most object categories (hard).
    The paper's rule is unknown; random is our choice. Or a minimal pair, of statements in place of captions: two
    objects exchange their attribute (attribute) or their places (relation), or an object has another attribute
    (adjective), there is one more or less (number), or another thing is there (noun). Both statements are checked
    against both images."""
    margin: Maybe[Margin] = None
    """Of relation only: how far apart the centres of two boxes must be, as a share of the image's width or height, for
    one to be left of or above the other. Default: 0.1."""


class _Entailment(AnnotatedKind[Entry]):
    entry_class = Entry
    allowed = required = frozenset({"text"})
    classes = ("mismatch", "match")

    def make(self, parts: dict[str, AnnotatedPart], entry: Entry, seed: int) -> Stimuli:
        if entry.mismatch in SWAPS:
            margin = MARGIN if entry.margin is None else entry.margin
            return SWAPS[entry.mismatch].build(parts, entry.images, margin, seed)
        return build_entailment(parts, entry.images, entry.captions_per_image, entry.mismatch, seed)

    def files(self, entry: Entry, data: "Locations") -> list[str]:
        # Loaded by name, so that their code makes nothing stale whose mismatches are captions.
        swap = [SWAPS.file(entry.mismatch)] if entry.mismatch in SWAPS else []
        return [*super().files(entry, data), *swap]

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        super().check(where, entry, data)
        if entry.margin is not None and entry.mismatch != "relation":
            raise InputError(f"{where}.margin: only `mismatch: relation` has one, not {entry.mismatch}; leave it out")
        if entry.mismatch not in SWAPS:
            return
        if entry.captions_per_image != 1:
            raise InputError(
                f"{where}.captions_per_image: `mismatch: {entry.mismatch}` shows statements, one for each image, and "
                "no captions; leave it out"
            )
        if small := [part for part, count in entry.images.items() if count == 1]:
            raise InputError(f"{where}.images.{small[0]}: a pair takes two images; give 2 or more, or the word all")

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        if entry.mismatch in SWAPS:
            # At most so many: not every image finds a partner, and many pairs share their statements.
            images, swap = self.sampled(entry, size), SWAPS[entry.mismatch]
            characters = swap.text_length + swap.nouns * size.category_characters
            return ExpectedItems(images, 2, characters, distinct_texts=images)
        images, texts = self.sampled(entry, size), 2 * entry.captions_per_image
        # Each caption is shown with two images.
        return ExpectedItems(images, texts, size.characters, distinct_texts=images * texts / 2)


def build_entailment(
    parts: dict[str, AnnotatedPart],
    images: Mapping[str, int | str],
    captions_per_image: int,
    mismatch: str,
    seed: int,
) -> Stimuli:
    """Two items for each caption of each sampled image.

    Args:
        parts: annotated images by official part; pairs never cross parts.
        images: how many images to sample from each part, or ``"all"``.
        captions_per_image: captions sampled per image; images with fewer are left out and counted.
        mismatch: ``"random"`` or ``"hard"``, see :func:`pair_off`.
        seed: seed of every choice.
    """
    shown, provenance, notes = [], [], {"images_without_enough_captions": 0, "images_without_partner": 0}
    for part_name, count in images.items():
        part = parts[part_name]
        # One stream per part: adding a part changes nothing in the others.
        rng = np.random.default_rng([seed, *part_name.encode()])
        captions = part.captions.groupby("image_id", sort=False)
        enough = [
            i for i in part.images["image_id"] if i in captions.groups and len(captions.groups[i]) >= captions_per_image
        ]
        notes["images_without_enough_captions"] += len(part.images) - len(enough)
        ids = sample_ids(enough, count, rng)
        chosen = {i: part.captions.loc[rng.choice(captions.groups[i], captions_per_image, replace=False)] for i in ids}
        categories = part.objects.groupby("image_id")["category"].agg(frozenset).to_dict()
        texts = {i: frozenset(table["caption"]) for i, table in chosen.items()}
        pairs, alone = pair_off(
            ids, [categories.get(i, frozenset()) for i in ids], [texts[i] for i in ids], mismatch, rng
        )
        notes["images_without_partner"] += alone
        paths = part.images.set_index("image_id")["image"]
        for first, second in pairs:
            for image, other in ((first, second), (second, first)):
                for owner, match in ((image, "match"), (other, "mismatch")):
                    for caption in chosen[owner].itertuples():
                        item_id = f"{part_name}/{image}/{caption.caption_id}"
                        shown.append((item_id, paths[image], caption.caption))
                        provenance.append(
                            (item_id, f"{part_name}/{image}", f"{part_name}/{first}+{second}", part_name, match)
                        )
    return Stimuli(
        shown=pd.DataFrame(shown, columns=["item_id", "image", "text"]),
        provenance=pd.DataFrame(provenance, columns=["item_id", "image_id", "group", "part", "label:match"]),
        categories=[],
        notes=notes,
    )


def pair_off(
    ids: Sequence[int],
    categories: Sequence[frozenset[str]],
    texts: Sequence[frozenset[str]],
    mismatch: str,
    rng: np.random.Generator,
) -> tuple[list[tuple[int, int]], int]:
    """Divide images into pairs that share no caption text.

    ``hard`` goes through the images in random order and gives each the free image that shares most categories with it
    (Jaccard index, first in random order on ties); ``random`` gives the first free one.

    Returns:
        The pairs, and how many images found no partner (an odd one out, or equal captions throughout).
    """
    names = sorted(frozenset().union(*categories))
    present = np.array([[name in of_image for name in names] for of_image in categories], dtype=np.float32)
    sizes = present.sum(axis=1)
    order = rng.permutation(len(ids))
    pairs, alone = [], 0
    while order.size:
        first, order = order[0], order[1:]
        if mismatch == "hard":
            shared = present[order] @ present[first]
            union = np.maximum(sizes[order] + sizes[first] - shared, 1)
            candidates = np.argsort(-shared / union, kind="stable")
        else:
            candidates = np.arange(len(order))
        best = next((k for k in candidates if not texts[first] & texts[order[k]]), None)
        if best is None:
            alone += 1
        else:
            pairs.append((ids[first], ids[order[best]]))
            order = np.delete(order, best)
    return pairs, alone


KIND = _Entailment()
