"""Divides groups of items into train, val and test."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from layerwise.errors import InputError

# A split may have so many times its share of the items, or its share so many times the items of it. More happens only
# where groups are of very different size.
MOST_UNEVEN = 2


def random_split(
    groups: Sequence[str], val: float, test: float, seed: int, contents: pd.DataFrame | None = None
) -> dict[str, str]:
    """Assign each group to a split at random, so that each split has its share of every class.

    Args:
        groups: names.
        val: share of the groups for validation; sizes are rounded, but each share has a group if there are enough.
        test: share of the groups for the test.
        seed: of the choice.
        contents: items of each group (index), by class (columns); classes of several labels stand side by side. If all
            groups have the same, nothing is balanced. Default - nothing is balanced.
    """
    ordered = sorted(groups)
    order = [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
    n_test, n_val = _rounded(test, len(order)), _rounded(val, len(order))
    sizes = {"test": n_test, "val": n_val, "train": len(order) - n_test - n_val}
    if contents is not None:
        contents = contents.reindex(order, fill_value=0)
        if (contents != contents.iloc[0]).any(axis=None):
            return _even(contents, sizes)
    return dict(zip(order, np.repeat(list(sizes), list(sizes.values())).tolist(), strict=True))


def _rounded(share: float, n_groups: int) -> int:
    """A share of the groups, and at least one if there are three."""
    rounded = round(share * n_groups)
    return 1 if rounded == 0 and share > 0 and n_groups >= 3 else rounded


def _even(contents: pd.DataFrame, sizes: dict[str, int]) -> dict[str, str]:
    """A balanced split. If groups of very different size leave a split with far too many or too few items, the largest
    groups choose first, if that is better."""
    found = _balanced(contents, sizes)
    wanted = pd.Series({name: size for name, size in sizes.items() if size}, dtype=float) / sum(sizes.values())

    def shares(split: dict[str, str]) -> pd.Series:
        items = contents.sum(axis=1)
        return items.groupby(split).sum().reindex(wanted.index, fill_value=0) / items.sum()

    ratio = shares(found) / wanted
    if ratio.min() >= 1 / MOST_UNEVEN and ratio.max() <= MOST_UNEVEN:
        return found
    order = contents.sum(axis=1).sort_values(ascending=False, kind="stable").index
    # Compared by the share of the items that would have to move.
    return min(
        (found, _balanced(contents.loc[order], sizes)), key=lambda split: (shares(split) - wanted).abs().sum().round(9)
    )


def _balanced(contents: pd.DataFrame, sizes: dict[str, int]) -> dict[str, str]:
    """Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, ECML PKDD, Algorithm 1), of groups of items.

    The rarest class comes first, as it is the hardest to divide. Each group that has it goes to the split that still
    lacks most of the group's classes, relative to the split's share; of equal splits to the one with most room.

    Args:
        contents: items of each group (index, in random order), by class (columns).
        sizes: groups of each split; they are kept exactly.
    """
    names = [name for name, size in sizes.items() if size]
    room = np.array([sizes[name] for name in names])
    counts = contents.loc[:, contents.any()].to_numpy()
    totals = counts.sum(axis=0)
    # Items that each split is to have, and those that it still lacks, shape (splits, classes).
    share = np.outer(room / room.sum(), totals)
    lacking = share.copy()
    left, split = np.ones(len(counts), bool), np.empty(len(counts), int)
    while (in_groups := (counts[left] > 0).sum(axis=0)).any():
        rarest = np.where(in_groups > 0, in_groups, len(counts) + 1).argmin()
        for group in np.flatnonzero(left & (counts[:, rarest] > 0)):
            wanted = (lacking / share @ (counts[group] / totals)).round(9)
            split[group] = place = max(np.flatnonzero(room), key=lambda place: (wanted[place], room[place]))
            left[group] = False
            room[place] -= 1
            lacking[place] -= counts[group]
    # Groups without an item of the task.
    split[left] = np.repeat(np.arange(len(room)), room)
    return {group: names[place] for group, place in zip(contents.index, split, strict=True)}


def official_split(
    parts: pd.Series, official: Mapping[str, str], val: float, seed: int, contents: pd.DataFrame | None = None
) -> dict[str, str]:
    """Assign each group to the split of its official part.

    Args:
        parts: official part by group (index).
        official: the split of each part, see :func:`layerwise.stimuli.parts.official_parts`.
        val: share of the training groups that become validation where the data set has no validation part.
        seed: seed of that choice.
        contents: what that choice balances, see :func:`random_split`.

    Raises:
        InputError: when no training or no test part was sampled.
    """
    if unknown := sorted(set(parts) - set(official)):
        raise InputError(f"split.by: official does not know the part {unknown[0]!r}; it knows {', '.join(official)}")
    split = parts.map(official)
    for needed in ("train", "test"):
        if not (split == needed).any():
            names = [part for part, name in official.items() if name == needed]
            raise InputError(
                f"split.by: official needs images from a {needed} part ({' or '.join(names)}), but the stimulus set "
                f"has only {', '.join(sorted(set(parts)))}; sample some, or use split.by: random"
            )
    if not (split == "val").any():
        train = list(split.index[split == "train"])
        inner = random_split(train, val=val, test=0.0, seed=seed, contents=contents)
        split.loc[train] = [inner[group] for group in train]
    return split.to_dict()
