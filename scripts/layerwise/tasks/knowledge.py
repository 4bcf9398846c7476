"""Labels from the objects annotated in a stimulus set's images, for tasks over hidden states that already exist.

Labels of a whole image, such as the number of objects, are given to each of its items, so that all prompts of a
stimulus set are scored on the same items.
"""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import check_measured
from layerwise.errors import InputError
from layerwise.stimuli.relations import RELATIONS, related_pairs

ABSENT_PRESENT = ["absent", "present"]


def label_items(
    provenance: pd.DataFrame, objects: pd.DataFrame, knowledge: dict[str, Any], in_training: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    """Labels of a task's items from annotated objects.

    Args:
        provenance: of the stimulus set.
        objects: its ``objects.parquet``.
        knowledge: the task's config entry of that name.
        in_training: by row of the provenance, whether it is in the training split. Thresholds that depend on the
            annotations come from these images alone.

    Returns:
        One row per item and label that the item has (``item_id``, ``image_id``, ``group``, ``label``, ``class``), and
        the classes in order.

    Raises:
        InputError: on an object that lacks what the label needs, naming its file and record, or on thresholds that
            leave fewer than two classes.
    """
    images = pd.Index(provenance["image_id"].unique(), name="image_id")
    training = pd.Index(provenance.loc[in_training, "image_id"].unique())
    of_kind = {
        "count": _count,
        "largest-size": _largest_size,
        "attributes": _attributes,
        "asked-attribute": _asked_attribute,
    }
    about = knowledge["about"]
    if about in RELATIONS:
        table, classes = _relation(objects, knowledge)
    else:
        table, classes = of_kind[about](objects, knowledge, images, training)
    keys = ["image_id", "category"] if "category" in table else ["image_id"]
    items = provenance[["item_id", "group", *keys]]
    return items.merge(table, on=keys)[["item_id", "image_id", "group", "label", "class"]], classes


def counted(objects: pd.DataFrame, images: pd.Index) -> pd.Series:
    """By image, how many objects it has. Images with a crowd region have no number, as its objects are not counted."""
    crowded = objects.loc[objects["crowd"], "image_id"].unique()
    return objects.groupby("image_id").size().reindex(images, fill_value=0).drop(crowded, errors="ignore")


def largest_sizes(objects: pd.DataFrame, images: pd.Index) -> pd.Series:
    """By image, the annotated area of the largest object, as a share of the image. Crowd regions are no objects."""
    single = objects[~objects["crowd"] & objects["image_id"].isin(images)]
    check_measured(single, "area")
    return single.groupby("image_id")["area"].max()


def only_ones(objects: pd.DataFrame) -> pd.Series:
    """Whether an object is the only one of its category in its image, and no crowd region."""
    return ~objects.duplicated(["image_id", "category"], keep=False) & ~objects["crowd"]


def _count(
    objects: pd.DataFrame, knowledge: dict[str, Any], images: pd.Index, training: pd.Index
) -> tuple[pd.DataFrame, list[str]]:
    return _binned(counted(objects, images), knowledge, training, whole=True)


def _largest_size(
    objects: pd.DataFrame, knowledge: dict[str, Any], images: pd.Index, training: pd.Index
) -> tuple[pd.DataFrame, list[str]]:
    return _binned(largest_sizes(objects, images), knowledge, training, whole=False)


def _attributes(
    objects: pd.DataFrame, knowledge: dict[str, Any], images: pd.Index, training: pd.Index
) -> tuple[pd.DataFrame, list[str]]:
    """For each value of the attribute: is there an object with it? Only for images whose objects all have a value."""
    values = _values(objects, knowledge["attribute"])
    unknown = objects.loc[values.isna(), "image_id"]
    found = pd.crosstab(objects["image_id"], values).gt(0).reindex(images, fill_value=False)
    table = found.drop(unknown, errors="ignore").melt(var_name="label", value_name="class", ignore_index=False)
    return table.assign(**{"class": np.take(ABSENT_PRESENT, table["class"])}).reset_index(), ABSENT_PRESENT


def _asked_attribute(
    objects: pd.DataFrame, knowledge: dict[str, Any], images: pd.Index, training: pd.Index
) -> tuple[pd.DataFrame, list[str]]:
    """The attribute of the object that an item asks about, if it is the only one of its category."""
    values = _values(objects, knowledge["attribute"])
    alone = only_ones(objects) & values.notna()
    table = objects.loc[alone, ["image_id", "category"]].assign(label=knowledge["attribute"], **{"class": values})
    return table, sorted(set(table["class"]))


def _relation(objects: pd.DataFrame, knowledge: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """For each pair of categories: where is the one, seen from the other? For images that have one of each."""
    pairs = related_pairs(objects, knowledge["about"], knowledge["margin"])
    table = pairs[["image_id", "class"]].assign(label=pairs["first"] + ", " + pairs["second"])
    return table, RELATIONS[knowledge["about"]][1]


def _values(objects: pd.DataFrame, attribute: str) -> pd.Series:
    """The attribute's value of each object, as a word, or missing."""
    attributes = objects["attributes"].map(json.loads)
    values = attributes.map(lambda of_object: None if of_object.get(attribute) is None else str(of_object[attribute]))
    if values.isna().all():
        known = sorted({name for of_object in attributes for name in of_object})
        raise InputError(
            f"knowledge.attribute: no annotated object has the attribute {attribute!r}; they have "
            f"{', '.join(known) or 'none at all, as COCO itself'}"
        )
    return values


def _binned(
    values: pd.Series, knowledge: dict[str, Any], training: pd.Index, *, whole: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Numbers by image as classes, named by their limits. Numbers below the lowest limit have no class.

    If ``bins`` is a number, each class has about the same share of the training images.
    """
    bins = knowledge["bins"]
    if isinstance(bins, int):
        inner = np.quantile(values[values.index.isin(training)], np.arange(1, bins) / bins)
        # Rounded as in the classes' names: to whole numbers, or three digits.
        inner = [np.ceil(limit) if whole else float(f"{limit:.3g}") for limit in inner]
        bins = [-np.inf, *inner]
    if any(low >= high for low, high in pairwise(bins)):
        raise InputError(
            f"knowledge.bins: the lower limits {', '.join(f'{limit:g}' for limit in bins)} do not grow; fewer bins, or "
            "limits of your own, would do"
        )
    names = _bin_names(bins, whole)
    place = np.searchsorted(bins, values.to_numpy(), side="right") - 1
    table = pd.DataFrame({"image_id": values.index, "label": knowledge["about"], "class": np.take(names, place)})
    return table[place >= 0], names


def _bin_names(limits: list[float], whole: bool) -> list[str]:
    names = []
    for low, high in zip(limits, [*limits[1:], np.inf], strict=True):
        if high == np.inf:
            names.append(f"{low:g} or more")
        elif low == -np.inf:
            names.append(f"less than {high:g}")
        elif whole:
            names.append(f"{low:g}" if high - low == 1 else f"{low:g} to {high - 1:g}")
        else:
            names.append(f"{low:g} to {high:g}")
    return names
