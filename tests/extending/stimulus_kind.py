"""Image-number pairs: does the image have this many objects?

Goes to scripts/layerwise/stimuli/kinds/, with a line in KINDS of scripts/layerwise/stimuli/catalogue.py. A study then
has

    stimuli:
      numbers: {kind: coco-numbers, dataset: mine, images: {train2017: all, val2017: all}, most: 3, prompts: [how-many]}
    prompts:
      coco-numbers: {how-many: {text: "Are there {number} objects? Answer yes or no."}}
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd

from layerwise.config.base import whole
from layerwise.config.stimuli import ImagesEntry
from layerwise.datasets.annotated import AnnotatedPart
from layerwise.datasets.format import DataSize
from layerwise.stimuli.annotated_kind import AnnotatedKind
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.kind import ExpectedItems
from layerwise.stimuli.sampling import sample_images


class Entry(ImagesEntry):
    """A stimulus set of image-number pairs."""

    kind: Literal["coco-numbers"]
    """How items are made."""
    most: Annotated[int, whole(2)] = 3
    """The largest number that is asked for. Images with more objects are left out."""


class _Numbers(AnnotatedKind[Entry]):
    entry_class = Entry
    # Each item has a column of this name.
    allowed = required = frozenset({"number"})
    classes = ("wrong", "right")

    def make(self, parts: dict[str, AnnotatedPart], entry: Entry, seed: int) -> Stimuli:
        shown, provenance = [], []
        for name, ids in sample_images(parts, entry.images, seed).items():
            # A stream for each part: another part changes nothing in this one.
            rng = np.random.default_rng([seed, *name.encode()])
            numbers = parts[name].annotations.groupby("image_id").size().reindex(ids, fill_value=0)
            pools = [list(numbers.index[numbers == number]) for number in range(1, entry.most + 1)]
            fewest = min(map(len, pools))
            paths = parts[name].images.set_index("image_id")["image"]
            for number, pool in enumerate(pools, start=1):
                # Every number is as often right as wrong, so that the text alone tells nothing.
                for image_id in rng.permutation(pool)[:fewest]:
                    for asked, label in ((number, "right"), (number % entry.most + 1, "wrong")):
                        image, item_id = f"{name}/{image_id}", f"{name}/{image_id}/{asked}"
                        shown.append((item_id, paths[image_id], str(asked)))
                        provenance.append((item_id, image, image, name, label))
        return Stimuli(
            shown=pd.DataFrame(shown, columns=["item_id", "image", "number"]),
            provenance=pd.DataFrame(provenance, columns=["item_id", "image_id", "group", "part", "label:number"]),
            categories=[],
            notes={},
        )

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        images = self.sampled(entry, size)
        return ExpectedItems(images, texts_per_image=2, characters=1, distinct_texts=entry.most)


KIND = _Numbers()
