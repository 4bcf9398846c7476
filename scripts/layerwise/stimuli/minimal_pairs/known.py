"""What annotations and captions tell of the images of a part, as matrices of images x categories.

An object may be there without being annotated, and a caption need not say all. So a question is answered with "yes"
only if annotations and captions agree as far as they speak; :class:`Known` says what makes an answer doubtful.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.captions import SOME, CaptionReader
from layerwise.stimuli.minimal_pairs.nouns import mixed_up

# Objects that cover a smaller share of the image may be overlooked. COCO calls objects below 32 x 32 pixels small: that
# is a 300th of an image of 640 x 480.
LEAST_AREA = 1 / 300
# Captions speak of no plural, or of different numbers.
NEVER, DIFFERENT = -1, -2


@dataclass(frozen=True)
class Known:
    """Booleans and counts of shape (images, categories), in the order of the part's tables.

    Attributes:
        count: annotated objects; a crowd region counts as one.
        visible: whether at least one of them is large enough to be seen (:data:`LEAST_AREA`); an object without an area
            counts as large.
        clear: whether all of them are, and none is a crowd region.
        named: whether a caption has a word that may mean the category.
        number_said: how many captions speak of: a number, :data:`SOME` (a plural without one), :data:`NEVER`, or
            :data:`DIFFERENT` if they do not agree. A singular says nothing: others may be there that it leaves out.
        alone: whether there is exactly one, clear, and no caption speaks of more.
        absent: whether none is annotated, no caption has a word that may mean it, and nothing is there that it is
            mixed up with.
        mixed_up: of shape (categories, categories): whether people mix two up; true for a category and itself.
        described: what captions surely say of a category: ``image``, ``category`` (places), ``family``, ``value`` and
            ``captions``, how many; only where all captions that describe it agree.
        contradictory: how many descriptions were left out because captions do not agree.
    """

    count: np.ndarray
    visible: np.ndarray
    clear: np.ndarray
    named: np.ndarray
    number_said: np.ndarray
    alone: np.ndarray
    absent: np.ndarray
    mixed_up: np.ndarray
    described: pd.DataFrame
    contradictory: int

    @classmethod
    def of(cls, part: AnnotatedPart) -> "Known":
        """What is known of a part's images."""
        image = places(part, part.annotations)
        category = part.annotations["category"].map({name: i for i, name in enumerate(part.categories)}).to_numpy(int)
        shape = len(part.images), len(part.categories)
        tiny = (part.annotations["area"] < LEAST_AREA).to_numpy()
        crowd = part.annotations["crowd"].to_numpy(bool)

        count = np.zeros(shape, dtype=np.int16)
        np.add.at(count, (image, category), 1)
        visible, clear = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
        visible[image[~tiny], category[~tiny]] = True
        clear[image[tiny | crowd], category[tiny | crowd]] = False

        named, number_said, described, contradictory = _read_captions(part)
        mixed = np.zeros((shape[1], shape[1]), dtype=bool)
        pairs = mixed_up(part.categories)
        for i, first in enumerate(part.categories):
            for j, second in enumerate(part.categories):
                mixed[i, j] = (first, second) in pairs
        like_it = ((count > 0).astype(np.float32) @ mixed.astype(np.float32)) > 0
        return cls(
            count=count,
            visible=visible,
            clear=clear,
            named=named,
            number_said=number_said,
            alone=(count == 1) & clear & (number_said == NEVER),
            absent=~like_it & ~named,
            mixed_up=mixed,
            described=described,
            contradictory=contradictory,
        )


def places(part: AnnotatedPart, table: pd.DataFrame) -> np.ndarray:
    """The place of each row's image in the part."""
    place = pd.Series(np.arange(len(part.images)), index=part.images["image_id"].to_numpy())
    return place.reindex(table["image_id"].to_numpy()).to_numpy(dtype=int)


def _read_captions(part: AnnotatedPart) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, int]:
    shape = len(part.images), len(part.categories)
    named = np.zeros(shape, dtype=bool)
    number_said = np.full(shape, NEVER, dtype=np.int16)
    reader = CaptionReader(part.categories)
    said: dict[tuple[int, int, str], set[str | None]] = {}
    surely: Counter[tuple[int, int, str]] = Counter()
    for image, caption in zip(places(part, part.captions).tolist(), part.captions["caption"], strict=True):
        of_caption = set()
        for mention in reader.mentions(caption):
            category = mention.category
            named[image, category] = True
            if not mention.sure:
                continue
            if mention.number != 1:
                number_said[image, category] = _agreed(int(number_said[image, category]), mention.number)
            for family, value, sure in mention.adjectives:
                key = image, category, family
                said.setdefault(key, set()).add(value)
                if sure:
                    of_caption.add(key)
        surely.update(of_caption)
    rows = [
        (*key, value, surely[key])
        for key, values in said.items()
        if key in surely and len(values) == 1
        for value in values
        if value is not None
    ]
    described = pd.DataFrame(rows, columns=["image", "category", "family", "value", "captions"])
    return named, number_said, described.astype({"image": int, "category": int}), len(surely) - len(rows)


def _agreed(before: int, now: int) -> int:
    """The number that captions say, after one more. "Dogs" and "three dogs" agree."""
    if before in (NEVER, now):
        return now
    return max(before, now) if SOME in (before, now) and DIFFERENT not in (before, now) else DIFFERENT
