"""Kept probes on the hidden states of another cell: which classes and labels correspond, which items may be scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.several_pictures import each

# With more labels the probe of a label reads the items of so many others, evenly spread over the list.
MOST_OTHER_LABELS = 10


@dataclass(frozen=True)
class Carried:
    """Probes of one cell that read the states of another.

    Attributes:
        kind: why: ``prompts``, ``versions``, ``tasks`` or ``labels``.
        prompt: of the states that are read.
        source: model, task and prompt of the probes.
        classes: which class of the source is which of the target. None: classes of the same names.
        flipped: the same where one of the two prompts negates, so that "yes" means the other class. None: neither
            does, or both do.
    """

    kind: str
    prompt: str
    source: tuple[str, str, str]
    classes: Mapping[str, str] | None = None
    flipped: Mapping[str, str] | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "list[Carried]":
        """From JSON, see :func:`layerwise.planning.grid.in_short`: one for each prompt of the source."""
        rest = {key: value for key, value in entry.items() if key not in ("source", "source_prompts")}
        model, task = entry["source"]
        return [cls(source=(model, task, prompt), **rest) for prompt in entry["source_prompts"]]


@dataclass(frozen=True)
class SameClasses:
    """Classes of two tasks that correspond: equally many of each, in the order of the target's."""

    source: list[str]
    target: list[str]

    @classmethod
    def of(cls, source: Sequence[str], target: Sequence[str], classes: Mapping[str, str] | None) -> "SameClasses":
        """
        Args:
            source, target: all classes of the two tasks.
            classes: from those of the source to those of the target. Default - those of the same names.

        Raises:
            InputError: when a task has no such class, or fewer than two correspond.
        """
        named = {name: name for name in source if name in target} if classes is None else classes
        for names, known, what in (
            (named, source, "whose probes are carried"),
            (named.values(), target, "whose states are read"),
        ):
            if missing := [name for name in names if name not in known]:
                raise InputError(f"the task {what} has no class {missing[0]!r}; it has {', '.join(known)}")
        if len(named) < 2 or len(set(named.values())) < len(named):
            raise InputError(
                f"the classes {', '.join(source)} and {', '.join(target)} do not correspond: at least two of the one "
                "task must each be another of the other; name them in carry.tasks, as in `classes: {match: entailment}`"
            )
        back = {of_target: of_source for of_source, of_target in named.items()}
        in_order = [name for name in target if name in back]
        return cls([back[name] for name in in_order], in_order)


def margins_of(margins: np.ndarray, classes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Margins of some classes alone, in another order: shape (n, 1) for two classes, else (n, K).

    Args:
        margins: of all classes, shape (n, 1) for two of them, else one column each.
        classes: all of them.
        wanted: some of them.
    """
    columns = np.hstack([np.zeros_like(margins), margins]) if margins.shape[1] == 1 else margins
    chosen = columns[:, [list(classes).index(name) for name in wanted]]
    return chosen[:, 1:] - chosen[:, :1] if len(wanted) == 2 else chosen


def same_labels(kind: str, source: Sequence[str], target: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a label whose items are read and the label whose probe reads them.

    Args:
        kind: of :class:`Carried`.
        source: labels of the task whose probes are carried.
        target: labels of the task whose states are read.

    Raises:
        InputError: when no label is in both tasks, though one of them has several.
    """
    if kind == "labels":
        if len(target) < 2:
            raise InputError(f"carry.labels: the task has only one label, {target[0]}; leave it out")
        pairs = []
        for place, label in enumerate(target):
            others = [*source[place + 1 :], *source[:place]]
            step = max(1, len(others) / MOST_OTHER_LABELS)
            pairs += [(label, others[int(k * step)]) for k in range(min(len(others), MOST_OTHER_LABELS))]
        return pairs
    if len(source) == len(target) == 1:
        return [(target[0], source[0])]
    if not (common := [label for label in target if label in source]):
        raise InputError(
            f"no probe can be carried from the labels {', '.join(source)} to the labels {', '.join(target)}: none is "
            "in both tasks; take this pair out of carry.tasks"
        )
    return [(label, label) for label in common]


def groups_seen(
    target: pd.DataFrame, source: pd.DataFrame, target_pictures: pd.Series, source_pictures: pd.Series
) -> set[str]:
    """Groups of a task with a picture that another task's probes were fitted or chosen on, by content.

    A group holds near-equal pictures too, so that one of them rules out all. Pictures of the source's validation split
    count: C was chosen on them.

    Args:
        target, source: labels of the two tasks: ``item_id``, ``group``, ``split``.
        target_pictures, source_pictures: checksums of the items' pictures, by item id; of several pictures one a line.
    """
    fitted = source.loc[source["split"] != "test", "item_id"].unique()
    # Items without a picture have an empty checksum.
    seen = set(source_pictures.loc[fitted].dropna().map(each).explode()) - {""}
    of_target = target_pictures.dropna().map(each).explode()
    items = set(of_target.index[of_target.isin(seen)])
    return set(target.loc[target["item_id"].isin(items), "group"])
