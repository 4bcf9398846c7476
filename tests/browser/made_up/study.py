"""How large a made-up study is, and what its tables have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Task

TASKS = (
    Task("entailment", "captions", "global", "binary", ["match"], ["mismatch", "match"], "accuracy"),
    Task("objects", "objects", "local", "multilabel", ["circle", "star"], ["absent", "present"], "balanced_accuracy"),
    Task("relations", "hypotheses", "global", "multiclass", ["relation"], ["against", "neutral", "for"], "f1"),
)
PROMPTS = ("agree", "words-alone", "caption", "statement", "entail", "choose")
# The first prompt's words without the image.
TEXT_ONLY = PROMPTS[1]


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Attributes:
        models: every second one is the untrained twin of the one before it.
        tasks: at most 3.
        prompts: of each task, 2 to 6.
        layers: the embedding output, the blocks, and the final norm.
        heads: of each block.
        items: test items of a task.
    """

    models: int = 4
    tasks: int = 2
    prompts: int = 3
    layers: int = 7
    heads: int = 4
    items: int = 40

    @property
    def n_layers(self) -> int:
        """Blocks of each model."""
        return self.layers - 2

    @property
    def trained(self) -> list[str]:
        return [f"model-{chr(ord('a') + i)}" for i in range(self.models // 2)]

    @property
    def all_models(self) -> list[str]:
        return [name for trained in self.trained for name in (trained, twin(trained))]

    @property
    def task_names(self) -> list[str]:
        return [task.task for task in TASKS[: self.tasks]]

    @property
    def blocks(self) -> range:
        return range(1, self.n_layers + 1)


SMALL = Size()
LARGE = Size(models=12, tasks=3, prompts=6, layers=41, heads=16, items=200)


def twin(model: str) -> str:
    return f"{model}-untrained"


def cross(**axes: Sequence[Any]) -> pd.DataFrame:
    """A row for each combination of values."""
    return pd.MultiIndex.from_product(list(axes.values()), names=list(axes)).to_frame(index=False)


def cells(size: Size, models: Sequence[str], **axes: Sequence[Any]) -> pd.DataFrame:
    """A row for each cell of these models, and for each combination of further values; with its task's metric."""
    rows = cross(model=models, task=size.task_names, prompt=PROMPTS[: size.prompts], **axes)
    return rows.assign(n_layers=size.n_layers, n=size.items, n_groups=size.items // 2)


def of_task(rows: pd.DataFrame, attribute: str) -> pd.Series:
    """An attribute of each row's task, such as its metric."""
    return rows["task"].map({task.task: getattr(task, attribute) for task in TASKS})


def risen(rows: pd.DataFrame, layer: str, seed: int) -> np.ndarray:
    """A score for each row: it rises from chance as its layer does, where its model knows something."""
    random = np.random.default_rng(seed)
    place = rows["model"].str.removesuffix("-untrained").rank(method="dense") - 1
    start = rows["n_layers"] * (0.25 + 0.05 * rows["prompt"].map(PROMPTS.index))
    height = np.where(rows["prompt"] == TEXT_ONLY, 0.08, 0.42 - 0.015 * place)
    height = np.where(rows["model"].str.endswith("-untrained"), 0.01, height)
    share = 1 / (1 + np.exp(-(rows[layer] - start) / (0.06 * rows["n_layers"])))
    return (0.52 + height * share + random.normal(0, 0.004, len(rows))).to_numpy()


def ends(rows: pd.DataFrame, value: Any, name: str = "value", prefix: str = "", width: float = 0.03) -> pd.DataFrame:
    """The rows with a number and its interval."""
    return rows.assign(**{name: value, f"{prefix}low": value - width, f"{prefix}high": value + 0.9 * width})


def as_compared(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with exactly the columns of a table of comparisons: those that are missing are empty."""
    return rows.reindex(columns=list(COMPARISONS[name].columns))
