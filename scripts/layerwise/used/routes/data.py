"""What a route is trained on: the items of a task, and the hidden states of one cell at the last token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.probes.problems import Problem, make_problems
from layerwise.states.shards import States

POSITION = "last"


@dataclass(frozen=True)
class Items:
    """The training and validation items of a task, in this order.

    Attributes:
        y: their classes, shape (n,).
        rows: their rows in the states file, shape (n,).
        ids: their ids.
        n_training: how many are training items; the others are validation items.
    """

    y: Tensor
    rows: np.ndarray
    ids: np.ndarray
    n_training: int

    @property
    def training(self) -> Tensor:
        """Places of the training items."""
        return torch.arange(self.n_training)

    @property
    def validation(self) -> Tensor:
        """Places of the validation items."""
        return torch.arange(self.n_training, len(self.y))


def read_problems(labels: pd.DataFrame, task: dict[str, Any], states: States, texts: np.ndarray) -> list[Problem]:
    """The labels of a task over a states file.

    Args:
        labels: ``labels.parquet``.
        task: ``task.json``.
        states: of the cell.
        texts: a number per item, equal where items read the same.

    Raises:
        InputError: when one input asks for several labels, or an item has no states.
    """
    problems = make_problems(
        labels, task["labels"], len(task["classes"]), states.item_ids, states.row_of_item, texts=texts
    )
    label_of_row: dict[int, str] = {}
    for problem in problems:
        for row in np.concatenate(list(problem.rows.values())):
            if label_of_row.setdefault(int(row), problem.label) != problem.label:
                raise InputError(
                    f"used.routes: the task has the labels {label_of_row[int(row)]} and {problem.label} for one input; "
                    "a route answers one question: name a prompt that asks for one category, or another task"
                )
    return problems


def training_items(problems: Sequence[Problem]) -> Items:
    """The training and the validation items of all labels together.

    Raises:
        InputError: when there are none of either.
    """
    parts = {split: [problem for problem in problems if split in problem.y] for split in ("train", "val")}
    for split, there in parts.items():
        if not there:
            raise InputError(f"used.routes: the task has no items in the split {split}; sample more images")

    def all_of(field: str) -> np.ndarray:
        return np.concatenate([getattr(problem, field)[split] for split in parts for problem in parts[split]])

    n_training = sum(len(problem.y["train"]) for problem in parts["train"])
    return Items(torch.tensor(all_of("y")), all_of("rows"), all_of("items"), n_training)


def states_at(states: States, blocks: Sequence[int], rows: np.ndarray) -> Tensor:
    """Outputs of blocks at the last token for some rows, shape (n, blocks, width), float32.

    Raises:
        InputError: when the last token was not kept.
    """
    found = torch.empty(len(rows), len(blocks), states.shape(POSITION)[1])
    for place, block in enumerate(blocks):
        found[:, place] = torch.from_numpy(states.layer(POSITION, block)[rows])
    return found
