"""The answers of a cell for the items of a task, in the form of probes' predictions: margins by layer and label.

So the same code scores answers and probes, on the same resamples.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from layerwise.answers.table import Answers, read_answers
from layerwise.answers.thresholds import choose_offsets, item_weights
from layerwise.compare.inputs import TEXT_COLUMN, Given, Task, read_predictions
from layerwise.compare.statistics.gains import area_residuals
from layerwise.errors import InputError
from layerwise.probes.bootstrap import Interval, area_interval, distinct_texts, score_interval
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.metric import NUMBERS_AT_ONCE
from layerwise.probes.problems import Problem
from layerwise.probes.scoring import HELD_OUT, Guess, Scorer, clusters_of

log = logging.getLogger(__name__)

ITEM_COLUMNS = ["label", "split", "item_id", "group", "y"]


@dataclass(frozen=True)
class Cell:
    """A probe cell whose classes the model is asked for, and its files.

    Attributes:
        model, task, prompt: its names.
        predictions: of the cell's probes.
        answers: table of answers of the cell's states; None where they are not read off states.
        written: table of generated answers; None without.
    """

    model: str
    task: Task
    prompt: str
    predictions: Path
    answers: Path | None
    written: Path | None = None

    def __str__(self) -> str:
        return f"model {self.model!r}, task {self.task.task!r}, prompt {self.prompt!r}"


def answered_cells(
    names: Sequence[str],
    tasks: Mapping[str, Task],
    predictions: Path,
    answers: Path | None,
    written: tuple[Path, Sequence[str]] | None = None,
) -> "Iterator[Answered]":
    """The answers of some cells, one cell after the other.

    A table's classes stand in no config, so that a task of quite other classes may be among the names. It is left out.

    Args:
        names: of the cells, see :func:`named_cells`.
        tasks: task descriptions; cells of other tasks are left out.
        predictions: folder with {model}/{task}/{prompt}.predictions.parquet.
        answers: folder with {model}/{stimuli}/{prompt}.parquet; None if all answers are written.
        written: folder with {model}/{stimuli}/{prompt}.parquet, and the names of the cells that have one, also of those
            without a table of answers.

    Raises:
        InputError: see :class:`Answered`; or no cell is left.
    """
    folder, those = (written[0], set(named_cells(written[1]))) if written else (None, set())
    read, found = set(named_cells(names)), 0
    for name in named_cells([*names, *(written[1] if written else ())]):
        model, task, prompt = name
        if task not in tasks:
            continue
        file = f"{model}/{tasks[task].stimuli}/{prompt}.parquet"
        probed = predictions / model / task / f"{prompt}.predictions.parquet"
        text = folder / file if folder is not None and name in those else None
        table = answers / file if answers is not None and name in read else None
        cell = Cell(model, tasks[task], prompt, probed, table, text)
        said = None if table is None else read_answers(table)
        if said is None or set(tasks[task].classes) & set(said.classes):
            found += 1
            yield Answered(cell, said)
        else:
            log.warning("%s: the prompt has no answers for the task's classes; the cell is left out", cell)
    if not found:
        raise InputError("no prompt has answers for the classes of its tasks; name them in `answers`, class by class")


def named_cells(patterns: Sequence[str]) -> list[tuple[str, str, str]]:
    """Model, task and prompt of each cell, each once, model by model.

    Args:
        patterns: MODELS/TASK/PROMPTS with commas between names, as ``llava,kosmos/objects/category,no-cue``.
    """
    split = [pattern.split("/") for pattern in patterns]
    cells = [
        (model, task, prompt)
        for models, task, prompts in split
        for model in models.split(",")
        for prompt in prompts.split(",")
    ]
    place = {model: number for number, model in enumerate(dict.fromkeys(model for model, _, _ in cells))}
    return sorted(dict.fromkeys(cells), key=lambda cell: place[cell[0]])


def given_cells(given: Given, options: Mapping[str, Any]) -> "Iterator[Answered]":
    """The same from the inputs and options of a comparison, see :class:`layerwise.compare.entry.Comparison`."""
    written = (given.path("generated"), options["generated"]) if options.get("generated") else None
    answers = given.path("answers") if options["said"] else None
    return answered_cells(options["said"], given.tasks, given.path("predictions"), answers, written)


class Answered:
    """The answers of a cell. One layer is turned into margins at a time.

    Args:
        cell: whose.
        answers: its table; None if it has only written answers, and so no layers.

    Raises:
        InputError: the predictions are missing or damaged, a class of the task has no answers, or an item has none.
    """

    def __init__(self, cell: Cell, answers: Answers | None):
        self.cell = cell
        self.problems = _problems(cell.predictions, cell.task)
        self._by_layer: dict[int, pd.DataFrame] = {}
        if answers is None:
            return
        self._answers = answers
        self._by_layer = dict(list(answers.table.groupby("layer")))
        without = [name for name in cell.task.classes if name not in answers.classes]
        if without:
            raise InputError(
                f"{cell.answers}: has no answers for {', '.join(without)} of task {cell.task.task!r}; name the words "
                f"for all of its classes in `answers` of prompt {cell.prompt!r}"
            )

    @property
    def layers(self) -> list[int]:
        """Those that answers were read in, the lowest first."""
        return sorted(self._by_layer)

    @property
    def top(self) -> int:
        """The layer that the model itself answers from."""
        return self.layers[-1]

    def margins(self, layer: int) -> list[Guess]:
        """Margins of a layer, a guess per label."""
        rows = self._by_layer[layer]
        margins = self._answers.margins(self.cell.task.classes, rows).astype(np.float64)
        if np.isnan(margins).any():
            raise InputError(f"{self.cell.answers}: layer {layer} has an answer without a number; delete it, run again")
        return [Guess({split: margins[at] for split, at in places.items()}) for places in self._places(rows)]

    def at_threshold(self, guesses: list[Guess]) -> list[Guess]:
        """The same margins with the offsets that are best on the validation split, label by label."""
        return [
            Guess({split: scores + offsets for split, scores in guess.scores.items()})
            for guess, offsets in zip(guesses, self.offsets(guesses), strict=True)
        ]

    def offsets(self, guesses: list[Guess]) -> list[np.ndarray]:
        """The offsets of each label that :meth:`at_threshold` adds."""
        metric = METRICS[self.cell.task.metric]
        # A ranking knows no predicted classes; items then count alike.
        by_class = metric.by_class and not metric.ranks
        return [
            choose_offsets(problem.y["val"], guess.scores["val"], item_weights(problem.y["val"], by_class))
            for problem, guess in zip(self.problems, guesses, strict=True)
        ]

    def mass(self, layer: int) -> list[dict[str, np.ndarray]]:
        """The probability of all answers together, per label by split, shape (n,); NaN where it was not computed."""
        rows = self._by_layer[layer]
        mass = rows["mass"].to_numpy(np.float64)
        return [{split: mass[at] for split, at in places.items()} for places in self._places(rows)]

    def predictions(self, guesses: list[Guess], split: str) -> pd.DataFrame:
        """Margins in the form of :func:`layerwise.compare.inputs.read_predictions`."""
        parts = [
            pd.DataFrame(
                {
                    "label": problem.label,
                    "item_id": problem.items[split],
                    "group": problem.groups[split],
                    "y": problem.y[split],
                    "scores": list(guess.scores[split]),
                }
                | ({TEXT_COLUMN: problem.texts[split]} if problem.texts else {})
            )
            for problem, guess in zip(self.problems, guesses, strict=True)
        ]
        return pd.concat(parts).sort_values(["label", "item_id"], kind="stable", ignore_index=True)

    def known(self, layer: int, split: str) -> list[np.ndarray]:
        """Margins of the probe of a layer, per label, for the items in the order of :attr:`problems`."""
        found = read_predictions(self.cell.predictions, layer, split)
        by_label = {label: rows.set_index("item_id")["scores"] for label, rows in found.groupby("label")}
        return [np.stack(by_label[problem.label].loc[problem.items[split]].to_numpy()) for problem in self.problems]

    @cached_property
    def known_layers(self) -> list[int]:
        """The layers that have a probe."""
        return sorted(pq.read_table(self.cell.predictions, columns=["layer"])["layer"].unique().to_pylist())

    def written(self) -> list[dict[str, np.ndarray]]:
        """The class that each generated answer says, per label by split: its index, -1 for another, -2 for none."""
        assert self.cell.written is not None
        try:
            table = pd.read_parquet(self.cell.written, columns=["item_id", "class"])
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.cell.written}: cannot be read as generated answers ({error}); delete it and run again"
            ) from error
        classes = {name: k for k, name in enumerate(self.cell.task.classes)}
        said = table["class"].fillna("").map(lambda name: classes.get(name, -1) if name else -2).to_numpy()
        return [{split: said[at] for split, at in places.items()} for places in self._places(table, self.cell.written)]

    def _places(self, rows: pd.DataFrame, file: Path | None = None) -> Iterator[dict[str, np.ndarray]]:
        """For each label where its items stand among some rows, by split."""
        known = pd.Index(rows["item_id"])
        for problem in self.problems:
            places = {split: known.get_indexer(problem.items[split]) for split in HELD_OUT}
            for split, found in places.items():
                if (found < 0).any():
                    item = problem.items[split][found < 0][0]
                    raise InputError(
                        f"{file or self.cell.answers}: has no answer for item {item!r}; it was made of other stimuli: "
                        "delete it and run again"
                    )
            yield places


class ItemScorer(Scorer):
    """Scores of answers that no metric of probes gives: means of what each item has, such as a probability."""

    def means(self, values: list[np.ndarray], split: str) -> np.ndarray:
        """Means over items, and those of the resamples: shape (labels, S, 1 + R).

        Args:
            values: per label, shape (S, n): S quantities of its items.
            split: of the items.
        """
        found = []
        for of_label, weights in zip(values, self._weights[split], strict=True):
            at_once = max(1, NUMBERS_AT_ONCE // of_label.shape[1])
            parts = (weights[start : start + at_once] for start in range(0, len(weights), at_once))
            sums = [part.astype(np.float64) @ np.vstack([of_label, np.ones(of_label.shape[1])]).T for part in parts]
            total = np.concatenate(sums).T
            found.append(total[:-1] / total[-1])
        return np.stack(found)

    def area_rows(self, guesses: list[Guess], split: str) -> Iterator[dict[str, object]]:
        """Score rows of ROC AUC, for each label and for their mean ``macro``.

        Intervals are made from what each item adds to the area (:func:`area_residuals`), because the areas of resamples
        take longer than all other scores together.

        Args:
            guesses: one per label.
            split: of the items.
        """
        values, residuals = [], []
        for problem, guess in zip(self.problems, guesses, strict=True):
            y, scores = problem.y[split], guess.scores[split]
            values.append(float(METRICS["roc_auc"].values(y, scores, np.ones((1, len(y))), problem.n_classes)[0]))
            # Without items of both kinds there is no area, and the mean is over the other labels.
            residuals.append(
                area_residuals(y, scores, problem.n_classes) if np.isfinite(values[-1]) else np.zeros(len(y))
            )
        for problem, value, of_label in zip(self.problems, values, residuals, strict=True):
            yield self._area_row(problem.label, split, value, clusters_of([problem], split), [of_label])
        if len(values) > 1:
            defined = np.isfinite(values)
            mean = float(np.mean(values, where=defined)) if defined.any() else np.nan
            parts = [of_label / max(1, int(defined.sum())) for of_label in residuals]
            yield self._area_row("macro", split, mean, self._clusters[split], parts)

    def _area_row(
        self, label: str, split: str, value: float, clusters: Clusters, residuals: list[np.ndarray]
    ) -> dict[str, object]:
        units = clusters.units()
        low, high = area_interval(value, *clusters.error_of_sum(residuals), units)
        place = self._place(label)
        groups = [problem.groups[split] for problem in (self.problems if place is None else [self.problems[place]])]
        together = np.concatenate(groups)
        row = {"label": label, "split": split, "metric": "roc_auc", "value": value, "low": low, "high": high}
        return row | {"n": len(together), "n_groups": len(np.unique(together)), "n_texts": distinct_texts(units)}

    def mean_rows(
        self, split: str, metric: str, values: np.ndarray, interval: Interval = score_interval
    ) -> Iterator[dict[str, object]]:
        """Score rows of a quantity, for each label and for their mean ``macro``.

        Args:
            split: of the items.
            metric: name of the quantity.
            values: shape (labels, 1 + R).
            interval: how an interval is made; that of a share also suits means of numbers between 0 and 1.
        """
        for problem, of_label in zip(self.problems, values, strict=True):
            yield self._row(problem.label, split, metric, of_label, problem.groups[split], interval)
        if len(values) > 1:
            groups = np.concatenate([problem.groups[split] for problem in self.problems])
            yield self._row("macro", split, metric, np.nanmean(values, axis=0), groups, interval)


def _problems(path: Path, task: Task) -> list[Problem]:
    """The held-out items of each label, in the order in which probes were scored."""
    try:
        lowest = pq.read_table(path, columns=["layer"])["layer"].to_numpy().min()
        columns = [*ITEM_COLUMNS, *({TEXT_COLUMN} & set(pq.read_schema(path).names))]
        items = pq.read_table(path, columns=columns, filters=[("layer", "=", lowest)]).to_pandas()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as predictions ({error}); delete it and run again") from error
    found = []
    for label, rows in items.groupby("label", sort=False):
        splits = dict(list(rows.groupby("split", sort=False)))
        by_split = {
            column: {split: of_split[column].to_numpy() for split, of_split in splits.items()}
            for column in rows.columns.drop(["label", "split"])
        }
        texts = by_split.get(TEXT_COLUMN, {})
        found.append(
            Problem(str(label), task.n_classes, by_split["item_id"], by_split["group"], {}, by_split["y"], texts)
        )
    return found
