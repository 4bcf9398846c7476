"""Attributes of objects that are the only ones of their category: as annotated, else as captions say."""

import json

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.attributes import NEAR
from layerwise.stimuli.minimal_pairs.known import Known, places
from layerwise.stimuli.minimal_pairs.nouns import NOUNS

COLUMNS = ["image", "category", "family", "value"]


def single_values(part: AnnotatedPart, known: Known, captions: int) -> tuple[pd.DataFrame, bool, dict[str, int]]:
    """Objects with one value of an attribute.

    Args:
        part: annotated images.
        known: of the same part.
        captions: how many captions must surely say the value, where nothing is annotated, and none contradict it.

    Returns:
        A row for each object and attribute: ``image``, ``category`` (places), ``family``, ``value``; whether the values
        are annotated, and exclude each other; and what was left out, by reason.
    """
    if (part.annotations["attributes"] != "{}").any():
        return _annotated(part, known.alone), True, {}
    described = np.array([NOUNS[name].described if name in NOUNS else True for name in part.categories], dtype=bool)
    said = known.described[described[known.described["category"]]]
    alone = known.alone[said["image"], said["category"]]
    often = (said["captions"] >= captions).to_numpy()
    left_out = {
        "descriptions_that_captions_contradict": known.contradictory,
        "descriptions_of_one_among_several": int((~alone).sum()),
        f"descriptions_in_fewer_than_{captions}_captions": int((alone & ~often).sum()),
    }
    return said.loc[alone & often, COLUMNS], False, left_out


def _annotated(part: AnnotatedPart, alone: np.ndarray) -> pd.DataFrame:
    """Values that are no words, such as the numbers and booleans of some annotation tools, are left out."""
    having = part.annotations[part.annotations["attributes"] != "{}"]
    category = having["category"].map({name: i for i, name in enumerate(part.categories)})
    rows = [
        (image, index, family, value)
        for image, index, attributes in zip(places(part, having), category, having["attributes"], strict=True)
        if alone[image, index]
        for family, value in json.loads(attributes).items()
        if isinstance(value, str) and value.replace("-", "").replace(" ", "").isalpha()
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"image": int, "category": int})


def is_near(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Whether people may call one thing by both values (:data:`layerwise.stimuli.minimal_pairs.attributes.NEAR`)."""
    return np.array([frozenset(values) in NEAR for values in zip(first, second, strict=True)], dtype=bool)
