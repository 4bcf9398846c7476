"""Choose which test items of a task are shown: some drawn by seed, and the worst."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from layerwise.explore.items.held_out import TestItems

# Of a task with many labels, at least so many of each label are drawn, and so many of the worst.
LEAST_OF_A_LABEL = 2


def wanted_of_each(items: int, labels: int) -> int:
    """How many items of each label are drawn, and how many of the worst."""
    return max(LEAST_OF_A_LABEL, -(-items // labels))


def choose(
    tested: TestItems, wrong: Mapping[tuple[str, str], np.ndarray], wanted: int, task: str, seed: int
) -> pd.DataFrame:
    """The items to show.

    The worst of a label are those that the probes of some model and prompt are furthest wrong about, in any layer. As
    margins of different cells have different units, cells take turns: the worst item of each, then the next one.

    Args:
        tested: all test items of the task.
        wrong: how far each cell, a model and a prompt, is wrong about each item, shape (n,); 0 where it never is.
        wanted: how many of each label are drawn, and how many of the worst.
        task: its name; tasks draw from streams of their own.
        seed: of the study.

    Returns:
        A row per item and label: ``label``, ``item_id``, ``y``, ``drawn`` and ``worst`` (its place among those of its
        label, from 1; 0 if it is not among them), sorted by label and place.
    """
    parts = []
    labels = tested.keys.get_level_values("label")
    for number, label in enumerate(dict.fromkeys(labels)):
        places = np.flatnonzero(labels == label)
        # Drawn in the order of ids, so that the order of a file does not count.
        places = places[np.argsort(tested.keys.get_level_values("item_id")[places])]
        rng = np.random.default_rng([seed, zlib.crc32(task.encode()), number])
        drawn = rng.permutation(places)[:wanted].tolist()
        worst = _in_turns([places[_worst_first(of_cell[places])] for of_cell in wrong.values()], wanted)
        chosen = list(dict.fromkeys([*drawn, *worst]))
        ranks = [{place: rank for rank, place in enumerate(found, start=1)} for found in (drawn, worst)]
        of_label = pd.DataFrame({"item_id": tested.keys.get_level_values("item_id")[chosen], "y": tested.y[chosen]})
        for name, rank in zip(("drawn", "worst"), ranks, strict=True):
            of_label[name] = [rank.get(place, 0) for place in chosen]
        parts.append(of_label.assign(label=label))
    return pd.concat(parts, ignore_index=True)[["label", "item_id", "y", "drawn", "worst"]]


def among_the_first(chosen: pd.DataFrame, wanted: int) -> pd.Series:
    """Which of the chosen items would be there if fewer of each label were wanted."""
    return chosen["drawn"].between(1, wanted) | chosen["worst"].between(1, wanted)


def _worst_first(wrong: np.ndarray) -> np.ndarray:
    """Places of what is wrong, from the worst on; of equals the first."""
    order = np.argsort(-wrong, kind="stable")
    return order[wrong[order] > 0]


def _in_turns(of_cells: Sequence[np.ndarray], wanted: int) -> list[int]:
    """The first of each cell, then the second, each once, until enough are found."""
    found: dict[int, None] = {}
    for rank in range(max(map(len, of_cells), default=0)):
        for of_cell in of_cells:
            if rank < len(of_cell) and len(found) < wanted:
                found.setdefault(int(of_cell[rank]), None)
    return list(found)
