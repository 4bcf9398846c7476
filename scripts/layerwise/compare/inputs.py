"""Read what comparisons, figures and tables are made from: scores, predictions, descriptions, and comparisons."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layerwise.compare.catalogue import COMPARISONS
from layerwise.errors import InputError

T = TypeVar("T", "Task", "Model")

# What a cell is named by.
CELL = ["model", "task", "prompt"]
SCORE_COLUMNS = [*CELL, "probe", "layer", "n_layers", "label", "split", "metric"]
SCORE_COLUMNS += ["layer_name", "value", "low", "high", "n", "n_groups"]
KIND_COLUMNS = [*CELL, "kind", "probe", "layer", "n_layers", "label", "split", "metric", "value", "low", "high"]
CURVE_COLUMNS = [*CELL, "layer", "label", "metric", "train_groups", "value", "low", "high"]
SITE_COLUMNS = [*CELL, "site", "layer", "n_layers", "head", "label", "split", "metric"]
SITE_COLUMNS += ["value", "low", "high", "chance", "p_value", "n_groups"]
POSITION_COLUMNS = [*CELL, "position", "layer", "n_layers", "label", "split", "metric"]
POSITION_COLUMNS += ["value", "low", "high", "chance"]
PREDICTION_COLUMNS = ["layer", "label", "split", "item_id", "group", "y", "scores"]
# Older files lack it.
TEXT_COLUMN = "text"
ESTIMATE_COLUMNS = ["label", "item_id", "group", "text", "y", "estimate"]
SPECIFICATION_COLUMNS = ["model", "task", "specification", "metric", "C", "states", "split", "prompt", "probe"]
SPECIFICATION_COLUMNS += ["train_share", "own", "best_layer", "top_layer", "best", "top", "effect", "low", "high"]
SPECIFICATION_COLUMNS += ["n", "n_groups", "testable", "error", "freedom", "possible"]
SPECIFICATION_UNIT_COLUMNS = ["specification", "unit", "part", "name", "gain", "weight", "share"]
QUESTIONS = ("global", "local")
# Files of predictions up to this size stay in memory.
KEPT_BYTES = 4 << 20


@dataclass(frozen=True)
class Task:
    """A task as ``results/tasks/{task}/task.json`` describes it; the fields are keys of that file."""

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
    sources: list[dict[str, str]] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

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

    ``n_layers`` counts blocks, ``width`` is the number of hidden units, ``weights`` is "pretrained" or "random".
    ``base`` is the digest of the same model without the ``intervention``, if there is one.
    ``draws`` is more than 1 only for a model that stands for several draws, see :func:`with_draws`.
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
    draws: int = 1

    @property
    def is_random(self) -> bool:
        """Whether this is an untrained twin, whose probes show what random features give."""
        return self.weights == "random"

    @property
    def in_words(self) -> str:
        """What legends say of its weights."""
        return f"{self.weights} weights" + (f", mean of {self.draws} draws" if self.draws > 1 else "")


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read the tidy probe scores of all cells, one row per model, task, prompt, layer, label, split and metric.

    Raises:
        InputError: The file cannot be read as Parquet, is empty, or lacks a column.
    """
    scores = _read_parquet(path, SCORE_COLUMNS)
    if scores.empty:
        raise InputError(f"{path}: holds no scores; run the probes first")
    return scores


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read the learning curves of all cells.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, CURVE_COLUMNS)


def read_kinds(path: str | Path) -> pd.DataFrame:
    """Read the scores of further kinds of probes, of all cells.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, KIND_COLUMNS)


def read_sites(path: str | Path) -> pd.DataFrame:
    """Read the scores at all sites within blocks.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, SITE_COLUMNS)


def read_positions(path: str | Path) -> pd.DataFrame:
    """Read the scores at the positions of single pictures.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, POSITION_COLUMNS)


def read_task_positions(path: str | Path) -> pd.DataFrame:
    """Read the scores at the further positions that tasks name.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, [*POSITION_COLUMNS, "n", "lacking"])


def read_specification_effects(path: str | Path) -> pd.DataFrame:
    """Read the effects of one model and task under all specifications.

    Raises:
        InputError: The file cannot be read as Parquet, is empty, or lacks a column.
    """
    effects = _read_parquet(path, SPECIFICATION_COLUMNS)
    if effects.empty:
        raise InputError(f"{path}: holds no specifications; delete it and run again")
    return effects


def read_specification_units(path: str | Path) -> pd.DataFrame:
    """Read what images (and texts) add to the effects of one model and task.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    return _read_parquet(path, SPECIFICATION_UNIT_COLUMNS)


def read_comparison(name: str, paths: Sequence[str | Path]) -> pd.DataFrame:
    """Read a table of comparisons, of one file or of several that belong together.

    Args:
        name: of the table, a key of :data:`layerwise.compare.catalogue.COMPARISONS`.
        paths: its files.

    Raises:
        InputError: A file cannot be read as Parquet, or lacks a column.
    """
    tables = [_read_parquet(path, list(COMPARISONS[name].columns)) for path in paths]
    # Concatenating an empty table would lose the types of its columns.
    filled = [table for table in tables if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def as_they_are(scores: pd.DataFrame, models: Mapping[str, Model]) -> tuple[pd.DataFrame, dict[str, Model]]:
    """Scores and models without interventions, which have figures and a table of their own."""
    kept = {name: model for name, model in models.items() if model.intervention is None}
    return scores[scores["model"].isin(kept) | ~scores["model"].isin(models)], kept


def with_draws(models: Mapping[str, Model], headline: pd.DataFrame) -> dict[str, Model]:
    """The models as figures and tables show them: one model in place of several draws of random weights.

    Args:
        models: Model descriptions.
        headline: Headline scores, which say of which draws a row is the mean; see
            :mod:`layerwise.compare.headline`.
    """
    rows = headline.loc[headline["draws"] != "", ["model", "draws"]].drop_duplicates()
    drawn = {draw: row.model for row in rows.itertuples() for draw in row.draws.split()}
    shown: dict[str, Model] = {}
    for name, model in models.items():
        of = drawn.get(name, name)
        if of not in shown:
            shown[of] = replace(model, model=of, draws=list(drawn.values()).count(of)) if name in drawn else model
    return shown


def language_models(headline: pd.DataFrame) -> dict[str, list[str]]:
    """By language model the names of the models that were made from it.

    Args:
        headline: headline scores, which say it; see :mod:`layerwise.compare.headline`.
    """
    rows = headline.loc[headline["made_from"] != "", ["model", "made_from"]].drop_duplicates()
    found: dict[str, list[str]] = {}
    for row in rows.itertuples():
        found.setdefault(row.made_from, []).append(row.model)
    return found


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
    """Read the prompts of the grid: objects with the keys "stimuli", "prompt" and "text", in newer files "image",
    and for stimuli with several pictures "pictures" (their number) and "images" (what stands in the place of each).

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
        chosen = (pc.field("layer") == layer) & (pc.field("split") == split)
        if Path(path).stat().st_size <= KEPT_BYTES:
            table = _whole(str(path), Path(path).stat().st_mtime_ns).select(wanted).filter(chosen)
        else:
            table = pq.read_table(path, columns=wanted, filters=chosen)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as predictions ({error}); delete it and run again") from error
    missing = [column for column in PREDICTION_COLUMNS if column not in table.column_names]
    if missing:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}")
    if not table.num_rows:
        raise InputError(f"{path}: has no predictions of layer {layer} on the {split} split; run the probes again")
    frame = table.drop_columns(["scores", "layer", "split"]).to_pandas()
    frame["scores"] = _rows(table["scores"].combine_chunks())
    frame = frame.sort_values(["label", "item_id"], kind="stable", ignore_index=True)
    twice = frame.duplicated(["label", "item_id"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(f"{path}: layer {layer} has item {row.item_id!r} twice for the label {row.label!r}")
    return frame


@lru_cache(maxsize=16)
def _whole(path: str, _changed: int) -> pa.Table:
    """A small file, whose layers are often read one after the other."""
    return pq.read_table(path)


def _rows(lists: pa.ListArray) -> list[np.ndarray]:
    """The lists as arrays, float64: views of one array if they are equally long, which is much faster."""
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    flat = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    if (lengths == lengths[0]).all():
        return list(flat.reshape(len(lists), int(lengths[0])))
    return np.split(flat, np.cumsum(lengths)[:-1])


def read_estimates(path: str | Path, layer: int, split: str) -> pd.DataFrame:
    """Read the numbers that are read in one layer on one split of a cell, sorted by label and item.

    Columns label, item_id, group, text (a number that is equal where items read the same), y, estimate.

    Raises:
        InputError: The file is missing, or has no such layer.
    """
    try:
        table = pq.read_table(path, columns=ESTIMATE_COLUMNS, filters=[("layer", "=", layer), ("split", "=", split)])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as estimates ({error}); delete it and run again") from error
    if not table.num_rows:
        raise InputError(f"{path}: has no estimates of layer {layer} on the {split} split; run the probes again")
    return table.to_pandas().sort_values(["label", "item_id"], kind="stable", ignore_index=True)


def _read_parquet(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); delete it and run again") from error
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def _json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); delete it and run again") from error


def _from_json(path: str | Path, kind: type[T]) -> T:
    """Keep the keys that ``kind`` knows. The files have others too, such as checksums."""
    found = _json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must be a JSON object, found {type(found).__name__}")
    try:
        return kind(**{key: value for key, value in found.items() if key in kind.__dataclass_fields__})
    except TypeError as error:
        raise InputError(f"{path}: {str(error).split('__init__() ')[-1]}") from error


class Given:
    """The files that a comparison, a figure or a table is made from, by name. Each is read when it is first needed.

    The names are ``scores``, ``curves``, ``kinds``, ``sites``, ``positions`` and ``task-positions`` (of all cells),
    ``predictions`` (their folder), ``tasks``, ``models`` and ``prompts`` (descriptions),
    ``labels`` (of tasks with unseen texts),
    ``set-labels`` (of tasks whose items belong together), ``changes``, ``tracing`` and ``description`` (of information
    flow), ``training`` (of a model that the workflow trains), ``number-scores``, ``number-tasks`` and ``estimates`` (of
    tasks about numbers), ``answers`` and ``generated`` (their folders), ``transfers`` (of carried probes), ``sweeps``
    (their folder: concepts erased and steered), ``likeness`` (its folder), ``route-controls`` (of trained routes),
    ``specification-effects`` and ``specification-units``, ``shortcut-scores`` and ``shortcut-predictions`` (their
    folder, that of ``predictions``), ``tower-scores`` and ``tower-predictions`` (the same of vision towers),
    ``pooled-scores``, ``pooled-predictions`` and ``pooled-place-scores`` (the same of image tokens; where probes look),
    ``lens-scores`` and ``lens-maps``, those of the tables of comparisons, ``stimuli`` (of sampled items: descriptions),
    and what the page shows: ``sampled-items``, ``figures``, ``flow-figures`` and ``tables`` (the latter's pages).

    Args:
        files: by name, one or more.
    """

    def __init__(self, files: Mapping[str, Sequence[str | Path]]):
        self.files = {name: [Path(path) for path in paths] for name, paths in files.items()}

    @classmethod
    def of(cls, pairs: Iterable[str]) -> "Given":
        """From ``NAME=PATH`` pairs of a command line; a name may come several times.

        Raises:
            InputError: A pair has no equals sign.
        """
        files: dict[str, list[str]] = {}
        for pair in pairs:
            name, equals, path = pair.partition("=")
            if not equals:
                raise InputError(f"--inputs: {pair!r} is not NAME=PATH, as in tasks=results/tasks/objects/task.json")
            files.setdefault(name, []).append(path)
        return cls(files)

    def paths(self, name: str) -> list[Path]:
        """The files of a name.

        Raises:
            InputError: There is none.
        """
        if not self.files.get(name):
            raise InputError(f"--inputs has no {name}; add {name}=PATH")
        return self.files[name]

    def path(self, name: str) -> Path:
        """The only file of a name."""
        return self.paths(name)[0]

    def comparison(self, name: str) -> pd.DataFrame:
        """A table of comparisons, see :func:`read_comparison`."""
        return read_comparison(name, self.paths(name))

    def flow_comparison(self, name: str) -> pd.DataFrame:
        """A table of comparisons of information flow, of all models and sets of questions.

        Returns:
            The rows with the columns ``model`` and ``questions`` first. They are the names of the file's folder and of
            the file, where the table does not have them itself.
        """
        tables = []
        for path in self.paths(name):
            table = read_comparison(name, [path])
            found = {"model": path.parent.name, "questions": path.name.removesuffix(f".{name}.parquet")}
            tables.append(table.assign(**{column: found[column] for column in found if column not in table}))
        filled = [table for table in tables if not table.empty]
        every = pd.concat(filled, ignore_index=True) if filled else tables[0]
        return every[["model", "questions", *every.columns.drop(["model", "questions"])]]

    @cached_property
    def scores(self) -> pd.DataFrame:
        return read_scores(self.path("scores"))

    @cached_property
    def curves(self) -> pd.DataFrame:
        return read_curves(self.path("curves"))

    @cached_property
    def kinds(self) -> pd.DataFrame:
        return read_kinds(self.path("kinds"))

    @cached_property
    def sites(self) -> pd.DataFrame:
        return read_sites(self.path("sites"))

    @cached_property
    def positions(self) -> pd.DataFrame:
        return read_positions(self.path("positions"))

    @cached_property
    def task_positions(self) -> pd.DataFrame:
        return read_task_positions(self.path("task-positions"))

    @cached_property
    def tasks(self) -> dict[str, Task]:
        return read_tasks(self.paths("tasks"))

    @cached_property
    def number_scores(self) -> pd.DataFrame:
        return read_scores(self.path("number-scores"))

    @cached_property
    def number_tasks(self) -> dict[str, Task]:
        return read_tasks(self.paths("number-tasks"))

    @cached_property
    def models(self) -> dict[str, Model]:
        return read_models(self.paths("models"))

    @cached_property
    def prompts(self) -> list[dict[str, str]]:
        return [prompt for path in self.paths("prompts") for prompt in read_prompts(path)]
