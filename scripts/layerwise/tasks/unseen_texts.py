"""Texts that only test items read: ``split.unseen_texts`` of a task.

A probe may know an answer from the text alone, if it was fitted to other items with the same text. So some texts are
held out: training and validation items that read them are left out of the task, and test items are in one of two parts.

Counterparts are held out together: texts that are right of a picture where the other one is wrong, such as "circle,
star" and "star, circle". If one of the two were held out, each picture would keep only the other in training. So the
picture alone would tell the label there, and the opposite in the test. If both are held out or neither is, the picture
alone tells nothing.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet

from layerwise.errors import InputError
from layerwise.stimuli.item_texts import NO_TEXT
from layerwise.stimuli.items import ITEM_COLUMNS, further_columns

SEEN, UNSEEN = "seen texts", "unseen texts"
# Columns that :func:`with_parts` adds to the labels.
TEXT, PART = "text", "test_part"


def numbered_texts(items: pd.DataFrame, seed: int) -> pd.Series:
    """A number for the text of each item, by item id: equal where all that prompts can show of two items is equal.

    The numbers are those of a random order of the texts, in which they are held out.

    Args:
        items: of a stimulus set, see :mod:`layerwise.stimuli.items`.
        seed: of the order.

    Raises:
        InputError: when all items have the same text.
    """
    columns = [column for column in [*ITEM_COLUMNS, *further_columns(items)] if column not in NO_TEXT]
    shown = items[columns].astype(object)
    texts = [json.dumps(row) for row in shown.where(shown.notna(), None).itertuples(index=False, name=None)]
    distinct = sorted(set(texts))
    if len(distinct) < 2:
        raise InputError(
            "split.unseen_texts: all items have the same text, which cannot be both seen and unseen; leave the key out"
        )
    # Sorted first, so that the order depends on the texts alone.
    number_of = dict(zip(distinct, np.random.default_rng(seed).permutation(len(distinct)).tolist(), strict=True))
    return pd.Series([number_of[text] for text in texts], index=items["item_id"], name=TEXT, dtype=np.int64)


def counterpart_sets(items: pd.DataFrame) -> dict[int, int]:
    """By text, the least of its set: the text, its counterparts, theirs, and so on.

    Two texts are counterparts if they are shown with the same pictures and have different classes on each, as where a
    relation is asked in both orders; or if two pictures of a group swap them: both are shown with both texts, and on
    each picture the texts have different classes, which are the other way round on the other picture.

    Args:
        items: a row per item and label: ``group``, ``image_id``, ``label``, ``text`` (a number), and ``y`` (its class).
    """
    joined = DisjointSet(items[TEXT].unique().tolist())
    for _, of_label in items.groupby("label", sort=False):
        for one, other in _opposites(of_label):
            joined.merge(one, other)
    grouped = items.groupby(["label", "group"], sort=False)
    # A swap takes two pictures and two texts.
    several = (grouped["image_id"].transform("nunique") > 1) & (grouped[TEXT].transform("nunique") > 1)
    for _, of_group in items[several].groupby(["label", "group"], sort=False):
        for one, other in _swaps(of_group):
            joined.merge(one, other)
    return {text: min(subset) for subset in joined.subsets() for text in subset}


def _opposites(of_label: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Texts that are shown with the same pictures, and have different classes on each."""
    answers: dict[int, set[tuple[Any, Any]]] = {}
    for image, text, y in zip(of_label["image_id"], of_label[TEXT].tolist(), of_label["y"], strict=True):
        answers.setdefault(text, set()).add((image, y))
    of_pictures: dict[frozenset[Any], list[int]] = {}
    for text, found in answers.items():
        of_pictures.setdefault(frozenset(image for image, _ in found), []).append(text)
    for texts in of_pictures.values():
        yield from (pair for pair in combinations(texts, 2) if answers[pair[0]].isdisjoint(answers[pair[1]]))


def _swaps(of_group: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Texts that pictures of a group swap; enough of the pairs to join all of them."""
    said: dict[Any, dict[int, Any]] = {}
    for image, text, y in zip(of_group["image_id"], of_group[TEXT].tolist(), of_group["y"], strict=True):
        said.setdefault(image, {})[text] = y
    for one, other in combinations(said.values(), 2):
        by_classes: dict[tuple[Any, Any], list[int]] = {}
        for text in one.keys() & other.keys():
            if one[text] != other[text]:
                by_classes.setdefault((one[text], other[text]), []).append(text)
        for classes, texts in by_classes.items():
            opposite = by_classes.get(classes[::-1], [])
            if opposite:
                yield from ((text, opposite[0]) for text in texts)


def left_out(texts: pd.Series, split: pd.Series, share: float, sets: Mapping[int, int] | None = None) -> pd.Series:
    """Which training and validation items a split loses, so that a share of the texts is unseen in the test.

    The share is of the texts that test items have in common with other items. A text of test items alone is unseen
    anyway, and one of training items alone would be lost for nothing.

    Args:
        texts: by row, see :func:`numbered_texts`.
        split: by row: train, val, test, or missing.
        share: of the texts.
        sets: texts that are held out together, see :func:`counterpart_sets`; sets that would exceed the share are
            passed over, unless all of them would: then it is the smallest. Default - each text is alone.

    Returns:
        A boolean by row.
    """
    held_in = split.isin(["train", "val"])
    set_of = texts if sets is None else texts.map(sets)
    # Sets in the order of the first of their texts.
    of_set: dict[int, int] = {}
    common = sorted(set(texts[split == "test"]) & set(texts[held_in]))
    for text in common:
        own = text if sets is None else sets[text]
        of_set[own] = of_set.get(own, 0) + 1
    wanted, held_out = max(1, round(share * len(common))), set()
    for own, size in of_set.items():
        if size <= wanted:
            held_out.add(own)
            wanted -= size
    if of_set and not held_out:
        held_out.add(min(of_set, key=lambda own: of_set[own]))
    return held_in & set_of.isin(held_out)


def with_parts(labels: pd.DataFrame, lost: Mapping[str, pd.Series]) -> pd.DataFrame:
    """The labels of a task with its parts of the test set, in a column ``test_part``.

    Args:
        labels: with a column ``text``, and splits that still have all items.
        lost: by column of a split, which rows it loses; their split will be missing.

    Returns:
        The labels; ``test_part`` is missing for rows that the first split does not test. A text is seen if the first
        split trains or validates a probe of the same label on it.

    Raises:
        InputError: when all items of a label have the same text, or a split loses all of its training or validation
            items.
    """
    alone = labels.groupby("label")[TEXT].nunique() == 1
    if alone.any():
        raise InputError(
            f"split.unseen_texts: all items of the label {alone.index[alone][0]!r} have the same text, which cannot be "
            "both seen and unseen; leave the key out"
        )
    found = labels.assign(**{column: labels[column].mask(of_split) for column, of_split in lost.items()})
    for column in lost:
        for name in ("train", "val"):
            if (labels[column] == name).any() and not (found[column] == name).any():
                raise InputError(
                    f"split.unseen_texts: {name} has no text that may be seen; lower the share, or sample more texts "
                    "(texts with opposite answers about the same pictures are held out together)"
                )
    held_in = found["split"].isin(["train", "val"])
    keys = pd.MultiIndex.from_frame(found[["label", TEXT]])
    seen = keys.isin(keys[held_in])
    part = pd.Series(np.where(seen, SEEN, UNSEEN), index=found.index, dtype=object)
    return found.assign(**{PART: part.where(found["split"] == "test", None)})


def described_parts(labels: pd.DataFrame, whole: pd.Series) -> dict[str, dict[str, Any]]:
    """What ``task.json`` says of the parts.

    Args:
        labels: with parts.
        whole: the first split by row, before it lost any item.

    Returns:
        ``test_parts``: items, groups and texts of each; ``left_out_for_unseen_texts``: items that train and val lose,
        and how many texts they have.
    """
    counts = {"items": "item_id", "groups": "group", "texts": TEXT}
    parts = {
        name: {count: int(labels.loc[labels[PART] == name, column].nunique()) for count, column in counts.items()}
        for name in (SEEN, UNSEEN)
    }
    lost = labels[labels["split"].isna()]
    gone = {name: int(lost.loc[whole.loc[lost.index] == name, "item_id"].nunique()) for name in ("train", "val")}
    return {"test_parts": parts, "left_out_for_unseen_texts": gone | {"texts": int(lost[TEXT].nunique())}}
