"""The task contract: labels and splits over a stimulus set.

``labels.parquet`` has one row per item and label: ``item_id``, ``image_id``, ``group``, ``label`` (its name), ``y``
(index into the classes) and ``split``; for each further seed of the split a column ``split:SEED``. A task of several
labels (categories) is one two-class problem per label, each over its own items. ``task.json`` describes it: see
:func:`build_task`. Tasks about numbers are made by :mod:`layerwise.tasks.numbers`. Tasks with unseen texts have the
columns ``text`` and ``test_part`` too, and a split is missing for the items that it leaves out: see
:mod:`layerwise.tasks.unseen_texts`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.class_order import in_order
from layerwise.stimuli.duplicates import picture_ids
from layerwise.stimuli.parts import SPLITS, official_parts
from layerwise.tasks.knowledge import label_items
from layerwise.tasks.splits import official_split, random_split
from layerwise.tasks.unseen_texts import PART, TEXT, counterpart_sets, described_parts, left_out, with_parts

LABEL_COLUMNS = ["item_id", "image_id", "group", "label", "y", "split"]


def build_task(
    provenance: pd.DataFrame,
    kind: str,
    entry: dict[str, Any],
    seed: int,
    categories: Sequence[str] = (),
    objects: pd.DataFrame | None = None,
    texts: pd.Series | None = None,
    described: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Labels and splits of a task.

    Args:
        provenance: of the stimulus set, see :mod:`layerwise.stimuli.items`.
        kind: the stimulus set's kind.
        entry: the task's config entry.
        seed: of the split, unless the entry has its own.
        categories: categories that were asked about; those without items are listed as excluded.
        objects: the objects annotated in the images, for an entry with ``knowledge``.
        texts: by item id a number for its text, for an entry with ``unseen_texts``.
        described: what ``stimuli.json`` says of the labels: the ``classes`` of each in index order. Default: they are
            in alphabetical order.

    Returns:
        The labels, and their description: ``kind`` (binary, multiclass, multilabel), ``labels``, ``classes``, ``sizes``
        (items, images and groups per split), ``balance`` (items per label, split and class), ``excluded`` labels with
        the reason, ``dropped_items``: how many have no class, or one not asked for. With ``texts`` also what
        :func:`layerwise.tasks.unseen_texts.described_parts` gives.

    Raises:
        InputError: when classes, labels or splits leave nothing to learn.
    """
    official = official_parts(kind)
    of_group = splits_of(provenance, entry["split"], official, seed)
    if "knowledge" in entry:
        # Thresholds that depend on the annotations come from the first split's training images.
        in_training = provenance["group"].map(of_group["split"]) == "train"
        long, known = label_items(provenance, objects, entry["knowledge"], in_training)
        if long.empty:
            raise InputError(f"knowledge: the annotations of no image tell of {entry['knowledge']['about']}")
        categories = ()
    else:
        long, known = classes_of_items(provenance), list(KINDS[kind].classes or ())
    # Thresholds from the training images would move with the split, and the classes with them.
    if not isinstance(entry.get("knowledge", {}).get("bins"), int):
        # Balanced over all classes, even those not asked for, so that tasks over the same stimuli share their splits.
        of_group = splits_of(provenance, entry["split"], official, seed, contents_of(long))
    wanted = entry.get("labels") or list(dict.fromkeys([*categories, *long["label"]]))
    if unknown := [label for label in wanted if label not in {*categories, *long["label"]}]:
        if f"label:{unknown[0]}" in provenance:
            raise InputError(f"no item has the label {unknown[0]!r}; its cells are empty, or all are left out")
        raise InputError(f"there is no label {unknown[0]!r}; the stimuli have {', '.join(sorted(set(long['label'])))}")
    # Where no item has two labels, those of other labels, such as other categories, are not this task's.
    alone = "knowledge" in entry or long["item_id"].is_unique
    unlabelled = len(provenance) - (long if alone else long[long["label"].isin(wanted)])["item_id"].nunique()
    long = long[long["label"].isin(wanted)]
    if not known:
        told = {} if "knowledge" in entry else described or {}
        known = in_order(set(long["class"]), [told.get(label, {}).get("classes") for label in long["label"].unique()])
    classes = _classes(long, known, entry)
    dropped = unlabelled + int((~long["class"].isin(classes)).sum())
    long = long[long["class"].isin(classes)].reset_index(drop=True)
    long["y"] = long["class"].map({name: index for index, name in enumerate(classes)}).astype("int64")
    for column, split_of in of_group.items():
        long[column] = long["group"].map(split_of)
    if texts is not None:
        lost = _left_out(provenance, texts, of_group, entry["split"]["unseen_texts"])
        long[TEXT] = long["item_id"].map(texts)
        long = with_parts(long, {column: long["item_id"].isin(items) for column, items in lost.items()})

    counts = long.groupby(["label", "split", "y"]).size()
    balance = {
        label: {name: {c: int(counts.get((label, name, y), 0)) for y, c in enumerate(classes)} for name in SPLITS}
        for label in wanted
    }
    excluded = _too_few(balance, entry["min_per_class"])
    left = [label for label in wanted if label not in {each["label"] for each in excluded}]
    if not left:
        raise InputError(
            f"no label has {entry['min_per_class']} items of each class in each split ({excluded[0]['label']}: "
            f"{excluded[0]['reason']}); sample more images, or lower min_per_class"
            f"{'' if texts is None else ' or split.unseen_texts, which leaves items out of train and val'}"
            f"{_few_groups(provenance)}"
        )
    repeats = [column for column in of_group if column != "split"]
    parts = [] if texts is None else [TEXT, PART]
    labels = long.loc[long["label"].isin(left), LABEL_COLUMNS + repeats + parts].reset_index(drop=True)
    for column in repeats:
        _check_resplit(labels, left, len(classes), column)
    return labels, {
        "kind": "multilabel" if len(left) > 1 else "binary" if len(classes) == 2 else "multiclass",
        "labels": left,
        "classes": classes,
        "sizes": {name: sizes_of(labels[labels["split"] == name]) for name in SPLITS},
        "balance": {label: balance[label] for label in left},
        "excluded": excluded,
        "dropped_items": dropped,
        **({} if texts is None else described_parts(labels, labels["group"].map(of_group["split"]))),
    }


def _left_out(
    provenance: pd.DataFrame, texts: pd.Series, of_group: Mapping[str, Mapping[str, str]], share: float
) -> dict[str, set[str]]:
    """By column of a split, the items that it loses. Chosen among all items, as splits are, so that tasks over the same
    stimuli hold out the same texts."""
    of_item, classes = provenance["item_id"].map(texts), classes_of_items(provenance)
    sets = counterpart_sets(classes.assign(**{TEXT: classes["item_id"].map(texts), "y": classes["class"]}))
    # Items without a class have texts, too.
    sets = {text: sets.get(text, text) for text in of_item.unique().tolist()}
    found = {}
    for column, split_of in of_group.items():
        lost = left_out(of_item, provenance["group"].map(split_of), share, sets)
        found[column] = set(provenance.loc[lost, "item_id"])
    return found


def _too_few(balance: dict[str, dict[str, dict[str, int]]], min_per_class: int) -> list[dict[str, str]]:
    """Labels that lack items of a class in a split, each with the reason."""
    excluded = []
    for label, of_label in balance.items():
        few = [
            f"{number} {class_name} in {split}"
            for split, of_split in of_label.items()
            for class_name, number in of_split.items()
            if number < min_per_class
        ]
        if few:
            excluded.append({"label": label, "reason": f"fewer than {min_per_class} items: {', '.join(few)}"})
    return excluded


def _few_groups(provenance: pd.DataFrame) -> str:
    """What a message adds where there are too few groups for three splits."""
    groups = provenance["group"].unique()
    if len(groups) >= len(SPLITS):
        return ""
    return (
        f". All items are in {len(groups)} group{'s' * (len(groups) > 1)} ({', '.join(groups)}), which no split divides"
    )


def _check_resplit(labels: pd.DataFrame, names: list[str], n_classes: int, column: str) -> None:
    """Raise InputError when a further split, in ``column``, leaves a label without one of its classes."""
    places = pd.MultiIndex.from_product([names, SPLITS])
    found = labels.groupby(["label", column])["y"].nunique().reindex(places, fill_value=0)
    lacking = found[found < n_classes]
    if len(lacking):
        label, name = lacking.index[0]
        raise InputError(
            f"split.seeds: with the seed {column.removeprefix('split:')} the label {label!r} lacks a class in "
            f"{name}; leave the seed out, raise min_per_class, or sample more images"
        )


def sizes_of(labels: pd.DataFrame) -> dict[str, int]:
    """How many items, images (each one of those that an item shows) and groups labels are of."""
    images = {"images": len(picture_ids(labels["image_id"]))}
    return {"items": int(labels["item_id"].nunique()), **images, "groups": int(labels["group"].nunique())}


def splits_of(
    provenance: pd.DataFrame,
    entry: dict[str, Any],
    official: Mapping[str, str],
    seed: int,
    contents: pd.DataFrame | None = None,
) -> dict[str, dict[str, str]]:
    """By column of the labels, the split of each group: the first split, and one for each further seed."""
    parts = provenance.drop_duplicates("group").set_index("group")["part"]
    seeds = {"split": entry.get("seed", seed)} | {f"split:{other}": other for other in entry.get("seeds", [])}
    if entry["by"] == "official":
        return {column: official_split(parts, official, entry["val"], of, contents) for column, of in seeds.items()}
    groups = list(parts.index)
    return {column: random_split(groups, entry["val"], entry["test"], of, contents) for column, of in seeds.items()}


def contents_of(long: pd.DataFrame) -> pd.DataFrame:
    """Items of each group, by label and class, for a split that balances them."""
    return long.pivot_table(index="group", columns=["label", "class"], aggfunc="size", fill_value=0)


def classes_of_items(provenance: pd.DataFrame) -> pd.DataFrame:
    """One row per item and label of the stimuli's own, with the class's name: ``item_id``, ``image_id``, ``group``,
    ``label``, ``class``."""
    keys = ["item_id", "image_id", "group"]
    if "category" in provenance:
        return provenance.rename(columns={"category": "label", "label:presence": "class"})[[*keys, "label", "class"]]
    columns = [column for column in provenance if column.startswith("label:")]
    long = provenance.melt(id_vars=keys, value_vars=columns, var_name="label", value_name="class")
    # An item that was sampled for one label has no class of another.
    long = long.dropna(subset="class", ignore_index=True)
    return long.assign(label=long["label"].str.removeprefix("label:"))


def _classes(long: pd.DataFrame, known: list[str], entry: dict[str, Any]) -> list[str]:
    classes = entry.get("classes") or known
    if unknown := [name for name in classes if name not in known]:
        raise InputError(f"there is no class {unknown[0]!r}; the labels have {', '.join(known)}")
    if len(classes) < 2:
        raise InputError(f"every label is {classes[0]!r}; a probe needs two classes")
    if long["label"].nunique() > 1 and len(classes) > 2:
        names = list(dict.fromkeys(long["label"]))
        raise InputError(
            f"the labels {', '.join(names)} must share the same two classes, but they have {', '.join(classes)}; write "
            f"a task for each, such as one with `labels: [{names[0]}]`, which costs no forward pass"
        )
    return list(classes)


def read_task(folder: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a task's labels and description.

    Raises:
        InputError: when a column is missing.
    """
    folder = Path(folder)
    labels = pd.read_parquet(folder / "labels.parquet")
    if missing := [column for column in LABEL_COLUMNS if column not in labels]:
        raise InputError(f"{folder / 'labels.parquet'}: there is no column {missing[0]!r}")
    return labels, read_description(folder / "task.json", "labels", "classes", "metric")
