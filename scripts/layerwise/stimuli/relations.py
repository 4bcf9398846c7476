"""How two objects of an image lie to each other."""

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import check_measured

# By relation the measure that decides it (of the boxes' centres, growing to the right and downwards), and the classes:
# where the first object lies, seen from the second.
RELATIONS = {"left-right": ("x", ["left", "right"]), "above-below": ("y", ["above", "below"])}


def related_pairs(annotations: pd.DataFrame, relation: str, margin: float) -> pd.DataFrame:
    """Pairs of objects that stand in a relation, each the only one of its category in its image.

    A category with a crowd region is never "the only one". Overlapping boxes have centres as any do.

    Args:
        annotations: of one or more images, as :class:`layerwise.datasets.annotated.AnnotatedPart` has them.
        relation: a key of :data:`RELATIONS`.
        margin: centres must be further apart than this share of the image's width (or height).

    Returns:
        ``image_id``, ``first``, ``second`` (categories, in the order of their names), ``class``.

    Raises:
        InputError: naming the record of an object without a usable box.
    """
    measure, (lower, higher) = RELATIONS[relation]
    alone = annotations[~annotations.duplicated(["image_id", "category"], keep=False) & ~annotations["crowd"]]
    alone = alone[alone.duplicated("image_id", keep=False)]
    check_measured(alone, measure)
    alone = alone[["image_id", "category", measure]].sort_values(["image_id", "category"])
    pairs = alone.merge(alone, on="image_id", suffixes=("_first", "_second"))
    pairs = pairs[pairs["category_first"] < pairs["category_second"]]
    apart = pairs[f"{measure}_second"] - pairs[f"{measure}_first"]
    return pd.DataFrame(
        {
            "image_id": pairs["image_id"],
            "first": pairs["category_first"],
            "second": pairs["category_second"],
            "class": np.where(apart > 0, lower, higher),
        }
    )[apart.abs() > margin].reset_index(drop=True)
