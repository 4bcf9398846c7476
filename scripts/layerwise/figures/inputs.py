"""What figures and tables read: scores, held-out predictions, and the descriptions of tasks, models and prompts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.errors import InputError

T = TypeVar("T", "Task", "Model")

SCORE_COLUMNS = ["model", "task", "prompt", "probe", "layer", "n_layers", "label", "split", "metric"]
SCORE_COLUMNS += ["layer_name", "value", "low", "high", "n", "n_groups"]
PREDICTION_COLUMNS = ["layer", "label", "split", "item_id", "group", "y", "scores"]
# Older files do not have it.
TEXT_COLUMN = "text"
QUESTIONS = ("global", "local")


@dataclass(frozen=True)
class Task:
    """A task as ``results/tasks/{task}/task.json`` describes it; the fields are that file's keys."""

    task: str
    stimuli: str
    question: str
    kind: str
    labels: list[str]
    classes: list[str]
    metric: str
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    balance: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    excluded: list[dict[str, str]] = field(default_factory=list)

    @property
    def headline_label(self) -> str:
        """The label of the rows that stand for the whole task: its only label, or the mean over its labels."""
        return self.labels[0] if len(self.labels) == 1 else "macro"

    @property
    def n_classes(self) -> int:
        """Classes of each label."""
        return len(self.classes) if self.kind == "multiclass" else 2


@dataclass(frozen=True)
class Model:
    """A model as ``results/models/{model}/model.json`` describes it.

    ``n_layers`` counts blocks, ``width`` is the number of hidden units, ``weights`` is "pretrained" or "random". With
    an ``intervention`` the model is another one than that of the same files, whose digest is ``base``.
    """

    model: str
    source: str
    weights: str
    n_layers: int
    width: int
    revision: str | None = None
    dtype: str | None = None
    digest: str = ""
    intervention: dict[str, Any] | None = None
    base: str | None = None

    @property
    def is_random(self) -> bool:
        """Whether this is an untrained twin, whose probes show what random features give."""
        return self.weights == "random"


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read the tidy probe scores of all cells, one row per model, task, prompt, layer, label, split and metric.

    Raises:
        InputError: The file cannot be read as Parquet, is empty, or lacks a column.
    """
    try:
        scores = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as a table of probe scores ({error})") from error
    missing = [column for column in SCORE_COLUMNS if column not in scores.columns]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(scores.columns)}")
    if scores.empty:
        raise InputError(f"{path}: holds no scores; run the probes first")
    return scores


def as_they_are(scores: pd.DataFrame, models: Mapping[str, Model]) -> tuple[pd.DataFrame, dict[str, Model]]:
    """Scores and models without those that an intervention changes, which have figures of their own."""
    kept = {name: model for name, model in models.items() if model.intervention is None}
    return scores[scores["model"].isin(kept) | ~scores["model"].isin(models)], kept


def read_tasks(paths: Iterable[str | Path]) -> dict[str, Task]:
    """Read task descriptions, by task name, in the order given.

    Raises:
        InputError: A file is not JSON, lacks a key, or asks neither a "global" nor a "local" question.
    """
    tasks = {}
    for path in paths:
        task = _from_json(path, Task)
        if task.question not in QUESTIONS:
            raise InputError(f'{path}: "question" is {task.question!r}; it must be "global" or "local"')
        if not task.labels:
            raise InputError(f'{path}: "labels" is empty; a task needs at least one label')
        tasks[task.task] = task
    return tasks


def read_models(paths: Iterable[str | Path]) -> dict[str, Model]:
    """Read model descriptions, by model name, in the order given.

    Raises:
        InputError: A file is not JSON or lacks a key.
    """
    models = (_from_json(path, Model) for path in paths)
    return {model.model: model for model in models}


def read_prompts(path: str | Path) -> list[dict[str, str]]:
    """Read the prompts of the grid: objects with the keys "stimuli", "prompt" and "text", in newer files "image".

    Raises:
        InputError: The file is not a JSON list of such objects.
    """
    prompts = _json(path)
    if not isinstance(prompts, list):
        raise InputError(f"{path}: must be a JSON list of prompts, found {type(prompts).__name__}")
    for i, prompt in enumerate(prompts):
        missing = [key for key in ("stimuli", "prompt", "text") if not isinstance(prompt, dict) or key not in prompt]
        if missing:
            raise InputError(f"{path}: prompt {i} lacks {', '.join(missing)}")
    return prompts


def read_predictions(path: str | Path, layer: int, split: str) -> pd.DataFrame:
    """Read one layer's predictions on one split of a cell, sorted by label and item.

    Columns label, item_id, group, y (int class index), text (a number that is equal where items read the same; not in
    older files) and scores, whose entries are margins of shape (K,): one for a binary label, one per class otherwise.

    Raises:
        InputError: The file is missing, lacks a column, has no such layer, or has an item twice.
    """
    try:
        wanted = [*PREDICTION_COLUMNS, *({TEXT_COLUMN} & set(pq.read_schema(path).names))]
        table = pq.read_table(path, columns=wanted, filters=[("layer", "=", layer), ("split", "=", split)])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as predictions ({error})") from error
    missing = [column for column in PREDICTION_COLUMNS if column not in table.column_names]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    if not table.num_rows:
        raise InputError(f"{path}: has no predictions of layer {layer} on the {split} split; run the probes again")
    frame = table.drop_columns(["scores", "layer", "split"]).to_pandas()
    frame["scores"] = [np.asarray(margins, dtype=np.float64) for margins in table["scores"].to_pylist()]
    frame = frame.sort_values(["label", "item_id"], kind="stable", ignore_index=True)
    twice = frame.duplicated(["label", "item_id"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(f"{path}: layer {layer} has item {row.item_id!r} twice for the label {row.label!r}")
    return frame


def _json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error


def _from_json(path: str | Path, kind: type[T]) -> T:
    """Keep the keys that ``kind`` knows: the files carry more, such as checksums, that no figure shows."""
    found = _json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must be a JSON object, found {type(found).__name__}")
    try:
        return kind(**{key: value for key, value in found.items() if key in kind.__dataclass_fields__})
    except TypeError as error:
        raise InputError(f"{path}: {str(error).split('__init__() ')[-1]}") from error
