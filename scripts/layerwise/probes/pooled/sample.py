"""What is left of a task where only some of its pictures are kept."""

import logging
from collections.abc import Collection, Sequence

import pandas as pd

from layerwise.errors import InputError
from layerwise.probes.scoring import HELD_OUT

log = logging.getLogger(__name__)


def labels_of_sample(
    task: str, labels: pd.DataFrame, names: Sequence[str], n_classes: int, item_ids: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The labels of the items that show a kept picture.

    Args:
        task: its name, for messages.
        labels: ``item_id``, ``label``, ``y`` and ``split``.
        names: of the labels.
        n_classes: classes per label.
        item_ids: items whose picture is kept.

    Returns:
        Their rows, and the names of the labels that still have every class in every split. A warning names the others.

    Raises:
        InputError: when there is no such label.
    """
    splits = ("train", *HELD_OUT)
    kept = labels[labels["item_id"].isin(item_ids) & labels["split"].isin(splits)].reset_index(drop=True)
    places = pd.MultiIndex.from_product([list(names), splits])
    whole = kept.groupby(["label", "split"])["y"].nunique().reindex(places, fill_value=0) == n_classes
    of_label = whole.groupby(level=0, sort=False).all()
    left = [name for name in names if of_label[name]]
    if not left:
        label, split = whole[~whole].index[0]
        raise InputError(
            f"{task}: among the pictures whose image tokens are kept, {label!r} lacks a class in {split}; raise "
            "pooled.share, or leave the task out of pooled.tasks"
        )
    if lost := [name for name in names if name not in left]:
        log.warning(
            "%s: %s left out, which lack a class in some split among the kept pictures; a larger pooled.share has more",
            task,
            ", ".join(lost),
        )
    return kept[kept["label"].isin(left)].reset_index(drop=True), left
