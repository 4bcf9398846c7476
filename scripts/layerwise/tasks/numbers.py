"""Tasks about numbers: measured quantities of the annotated objects, or a table's own; each item with its value.

``labels.parquet`` is that of :mod:`layerwise.tasks.labels`, and ``y`` is the number itself.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import check_measured
from layerwise.errors import InputError
from layerwise.stimuli.label_columns import NUMBER
from layerwise.stimuli.parts import SPLITS, official_parts
from layerwise.tasks.knowledge import counted, largest_sizes, only_ones
from layerwise.tasks.labels import LABEL_COLUMNS, classes_of_items, contents_of, sizes_of, splits_of

KIND = "regression"
# By what is asked, each label's unit.
UNITS = {
    "count": {"count": "objects"},
    "largest-size": {"largest-size": "share of the image"},
    "asked-centre": {"x": "share of the image's width", "y": "share of the image's height"},
}


def build_number_task(
    provenance: pd.DataFrame,
    kind: str,
    entry: dict[str, Any],
    seed: int,
    objects: pd.DataFrame | None = None,
    described: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Numbers and splits of a task.

    Args:
        provenance: of the stimulus set, see :mod:`layerwise.stimuli.items`.
        kind: the stimulus set's kind.
        entry: the task's config entry; its ``knowledge``, if it has any, asks for numbers.
        seed: of the split, unless the entry has its own.
        objects: the objects annotated in the images, for an entry with ``knowledge``.
        described: what ``stimuli.json`` says of the labels, for an entry without: the ``unit`` of each number.

    Returns:
        The labels, and their description: ``kind`` (regression), ``labels``, ``classes`` (none), ``units`` by label,
        ``sizes`` (items, images and groups per split), ``numbers`` (mean, standard deviation, least and greatest, by
        label and split), ``excluded`` labels with the reason, ``dropped_items``: how many have no number.

    Raises:
        InputError: on an object that lacks what is measured, naming its file and record, or when no label is left.
    """
    about = entry["knowledge"]["about"] if "knowledge" in entry else None
    # Those with classes have no unit.
    own = {label: said["unit"] for label, said in (described or {}).items() if "unit" in said}
    units = own if about is None else UNITS[about]
    wanted = entry.get("labels") or list(units)
    if unknown := [label for label in wanted if label not in units]:
        raise InputError(f"there is no label {unknown[0]!r}; the labels are {', '.join(units)}")
    found = _given(provenance, wanted) if about is None else _measured(provenance, objects, about)
    found = found[found["label"].isin(wanted)].reset_index(drop=True)
    classes = classes_of_items(provenance) if about is None else pd.DataFrame()
    # Balanced over the classes that items have besides, so that all tasks over the stimuli share their splits.
    contents = None if classes.empty else contents_of(classes)
    of_group = splits_of(provenance, entry["split"], official_parts(kind), seed, contents)
    found["split"] = found["group"].map(of_group["split"])
    excluded = _too_few(found, wanted, entry["min_per_class"])
    left = [label for label in wanted if label not in {each["label"] for each in excluded}]
    if not left:
        raise InputError(
            f"no label can be learned ({excluded[0]['label']}: {excluded[0]['reason']}); sample more images, or lower "
            "min_per_class"
        )
    labels = found.loc[found["label"].isin(left), LABEL_COLUMNS].reset_index(drop=True)
    return labels, {
        "kind": KIND,
        "labels": left,
        "classes": [],
        "units": {label: units[label] for label in left},
        "sizes": {name: sizes_of(labels[labels["split"] == name]) for name in SPLITS},
        "numbers": {label: _described(labels[labels["label"] == label]) for label in left},
        "excluded": excluded,
        "dropped_items": len(provenance) - found["item_id"].nunique(),
    }


def _given(provenance: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """The same as :func:`_measured` gives, from the numbers that items have; those without have no row."""
    keys = ["item_id", "image_id", "group"]
    columns = {f"{NUMBER}{label}": label for label in labels}
    long = provenance[[*keys, *columns]].rename(columns=columns).melt(id_vars=keys, var_name="label", value_name="y")
    return long.dropna(subset="y", ignore_index=True)


def _measured(provenance: pd.DataFrame, objects: pd.DataFrame, about: str) -> pd.DataFrame:
    """One row per item and label: ``item_id``, ``image_id``, ``group``, ``label``, ``y``."""
    keys = ["image_id"]
    if about == "asked-centre":
        keys.append("category")
        alone = objects[only_ones(objects) & objects["image_id"].isin(provenance["image_id"])]
        check_measured(alone, "x", "y")
        table = alone.melt(id_vars=keys, value_vars=["x", "y"], var_name="label", value_name="number")
        table = table.rename(columns={"number": "y"})
    else:
        measure = counted if about == "count" else largest_sizes
        of_image = measure(objects, pd.Index(provenance["image_id"].unique(), name="image_id"))
        table = of_image.rename("y").reset_index().assign(label=about)
    table["y"] = table["y"].astype(np.float64)
    items = provenance[["item_id", "group", *keys]].merge(table, on=keys)
    return items[["item_id", "image_id", "group", "label", "y"]]


def _too_few(found: pd.DataFrame, wanted: list[str], least: int) -> list[dict[str, str]]:
    """Labels that some split has too few items or only one number of, each with the reason."""
    excluded = []
    for label in wanted:
        of_label = found[found["label"] == label].groupby("split")["y"]
        counts, distinct = (of.reindex(SPLITS, fill_value=0) for of in (of_label.size(), of_label.nunique()))
        few = [f"{counts[name]} in {name}" for name in SPLITS if counts[name] < least]
        alike = [name for name in SPLITS if distinct[name] < 2]
        if few:
            excluded.append({"label": label, "reason": f"fewer than {least} items: {', '.join(few)}"})
        elif alike:
            excluded.append({"label": label, "reason": f"all numbers are equal in {', '.join(alike)}"})
    return excluded


def _described(of_label: pd.DataFrame) -> Mapping[str, dict[str, float]]:
    """By split, how the numbers of a label are spread."""
    spread = of_label.groupby("split")["y"].agg(["mean", "std", "min", "max"])
    return {name: {key: float(value) for key, value in spread.loc[name].items()} for name in SPLITS}
