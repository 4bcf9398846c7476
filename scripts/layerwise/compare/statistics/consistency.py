"""Whether all items of a set are right together: shares of sets, with resamples of the groups that hold them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.answers.table import read_answers
from layerwise.compare.inputs import CELL, TEXT_COLUMN, Given, Model, Task, read_predictions
from layerwise.compare.readings import SAID, WRITTEN
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.answered import Answered, answered_cells, named_cells
from layerwise.compare.statistics.choice import choose_layer
from layerwise.errors import InputError
from layerwise.probes.bootstrap import difference_interval, score_interval
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.scoring import HELD_OUT
from layerwise.several_pictures import each

log = logging.getLogger(__name__)

PROBE = "probe"
KEYS = ["label", "item_id"]


def set_numbers(items: pd.DataFrame, labels: pd.DataFrame) -> np.ndarray:
    """A number for each item, shape (n,), that is equal for items that belong together; -1 for items alone.

    Args:
        items: of all labels: label, item_id, group, and text (a number that is equal where items read the same).
        labels: of the task, with the item_id and image_id (a line per picture) of each item.
    """
    keys = ["label", "group", TEXT_COLUMN]
    if items[TEXT_COLUMN].nunique() == 1:
        # The same words tell no items apart; pictures do, in whichever order they are shown.
        pictures = labels.drop_duplicates("item_id").set_index("item_id")["image_id"]
        shown = items["item_id"].map(pictures).map(lambda image_id: tuple(sorted(each(image_id))))
        items, keys = items.assign(pictures=shown), ["label", "group", "pictures"]
    numbers = items.groupby(keys, sort=False).ngroup().to_numpy()
    return np.where(np.bincount(numbers)[numbers] > 1, numbers, -1)


class SetScorer:
    """Scores which sets are right as a whole, with resamples of the groups.

    Attributes:
        counts: ``n_sets``, ``n`` (items in sets) and ``n_groups``.

    Args:
        items: of all labels, columns label and group.
        numbers: of their sets, see :func:`set_numbers`; some item is in a set.
        n_resamples: bootstrap resamples.
        seed: that of the probes' scores.
    """

    def __init__(self, items: pd.DataFrame, numbers: np.ndarray, n_resamples: int, seed: int):
        self._in_set = numbers >= 0
        codes, first, self._set = np.unique(numbers[self._in_set], return_index=True, return_inverse=True)
        self._size = np.bincount(self._set)
        of_set = items[self._in_set].iloc[first]
        self._rows = list(of_set.groupby("label", sort=False).indices.values())
        groups = of_set["group"].to_numpy().astype(str)
        # A set lies within one group.
        self._clusters = Clusters([groups[rows] for rows in self._rows])
        draws = self._clusters.draw_seeded(n_resamples, (seed, HELD_OUT.index("test")))
        weights = [self._clusters.weights(draws, place) for place in range(len(self._rows))]
        # The first row is the sets as they are.
        self._weights = [np.vstack([np.ones_like(of_label[:1]), of_label]) for of_label in weights]
        self.counts = {"n_sets": len(codes), "n": int(self._size.sum()), "n_groups": len(np.unique(groups))}

    def score(self, right: np.ndarray) -> dict[str, float]:
        """Shares, means over labels, with intervals; :mod:`layerwise.compare.consistency` says what each is.

        Args:
            right: whether each item is right, shape (n,), the items in the order that the scorer was given.
        """
        hits = np.bincount(self._set, right[self._in_set])
        found = np.stack([self._of_label(rows, hits, place) for place, rows in enumerate(self._rows)]).mean(axis=0)
        all_right, accuracy, independent = found
        place = 0 if len(self._rows) == 1 else None
        low, high = score_interval(float(all_right[0]), *self._clusters.evidence(all_right[1:], place))
        apart = all_right - independent
        of_difference = difference_interval(float(apart[0]), *self._clusters.evidence(apart[1:], place))
        return {
            "all_right": float(all_right[0]),
            "low": low,
            "high": high,
            "accuracy": float(accuracy[0]),
            "independent": float(independent[0]),
            "difference": float(apart[0]),
            "difference_low": of_difference[0],
            "difference_high": of_difference[1],
        }

    def _of_label(self, rows: np.ndarray, hits: np.ndarray, place: int) -> np.ndarray:
        """all_right, accuracy and independent, shape (3, 1 + R), of one label."""
        weights, size, right = self._weights[place].astype(float), self._size[rows], hits[rows]
        total = weights.sum(axis=1)
        # A resample may have no set of a label.
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = weights @ right / (weights @ size)
            shares = [(k, weights @ (size == k) / total) for k in np.unique(size)]
            independent = sum(share * accuracy**k for k, share in shares)
            return np.stack([weights @ (right == size) / total, accuracy, independent])


def probed_sets(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    labels: Mapping[str, pd.DataFrame],
    predictions_root: str | Path,
    n_resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """A row for every layer of every probe cell whose test items are in sets.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        models: Model descriptions; other models are left out.
        labels: By task its labels.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples.
        seed: That of the probes' scores.
    """
    rows = headline_scores(scores, tasks, "test")
    validation = dict(list(headline_scores(scores, tasks, "val").groupby(CELL)))
    for cell, of_cell in rows[rows["model"].isin(models)].groupby(CELL, sort=False):
        model, name, prompt = cell
        path = Path(predictions_root) / model / name / f"{prompt}.predictions.parquet"
        items = read_predictions(path, 0, "test")
        if (scorer := _scorer(items, labels[name], str(path), n_resamples, seed)) is None:
            continue
        best = choose_layer(validation[cell])
        for layer in sorted(of_cell["layer"]):
            found = read_predictions(path, layer, "test")
            if len(found) != len(items) or (found[KEYS].to_numpy() != items[KEYS].to_numpy()).any():
                raise InputError(f"{path}: layer {layer} has other test items than layer 0; run its probes again")
            described = _described(models[model], tasks[name], prompt) | {"reading": PROBE, "layer": layer}
            yield described | {"is_best": layer == best} | scorer.score(_right(found)) | scorer.counts


def answered_sets(
    given: Given,
    options: Mapping[str, Any],
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    labels: Mapping[str, pd.DataFrame],
    n_resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """The same for the answers of the model itself: a row per layer in which they are read, and one for written ones.

    Args:
        given: the inputs of the comparison: predictions, answers and generated.
        options: ``said`` and ``generated`` name the cells with answers.
        tasks, models, labels, n_resamples, seed: see :func:`probed_sets`.
    """
    read, wrote = (
        [cell for cell in named_cells(options[name]) if cell[0] in models and cell[1] in tasks]
        for name in ("said", "generated")
    )
    # A table's classes may be others than those that its prompt has answers for.
    read = [cell for cell in read if _has_answers(given.path("answers"), cell, tasks[cell[1]])]
    if not read and not wrote:
        return
    answers = given.path("answers") if read else None
    written = (given.path("generated"), list(map("/".join, wrote))) if wrote else None
    names = list(map("/".join, read))
    for answered in answered_cells(names, tasks, given.path("predictions"), answers, written):
        cell = answered.cell
        items = read_predictions(cell.predictions, answered.known_layers[0], "test")
        if (scorer := _scorer(items, labels[cell.task.task], None, n_resamples, seed)) is None:
            continue
        described = _described(models[cell.model], cell.task, cell.prompt) | scorer.counts
        for layer in answered.layers:
            found = answered.predictions(answered.margins(layer), "test")
            named = {"reading": SAID, "layer": layer, "is_best": layer == answered.top}
            yield described | named | scorer.score(_right(found))
        if cell.written is not None:
            named = {"reading": WRITTEN, "layer": described["n_layers"] + 1, "is_best": True}
            yield described | named | scorer.score(_written_right(answered, items))


def _has_answers(folder: Path, cell: tuple[str, str, str], task: Task) -> bool:
    model, _, prompt = cell
    return bool(set(task.classes) & set(read_answers(folder / model / task.stimuli / f"{prompt}.parquet").classes))


def _scorer(
    items: pd.DataFrame, labels: pd.DataFrame, path: str | None, n_resamples: int, seed: int
) -> SetScorer | None:
    """None where no two items belong together, or older predictions do not tell texts apart."""
    if TEXT_COLUMN not in items:
        if path is not None:
            log.warning("%s: does not say which items read the same; delete it and run again to see its sets", path)
        return None
    numbers = set_numbers(items, labels)
    return SetScorer(items, numbers, n_resamples, seed) if (numbers >= 0).any() else None


def _described(model: Model, task: Task, prompt: str) -> dict[str, Any]:
    names = {"model": model.model, "task": task.task, "prompt": prompt}
    return names | {"label": task.headline_label, "n_layers": model.n_layers}


def _right(found: pd.DataFrame) -> np.ndarray:
    """Which predictions are right, shape (n,); labels have equally many classes."""
    return predicted(np.stack(found["scores"].to_numpy())) == found["y"].to_numpy()


def _written_right(answered: Answered, items: pd.DataFrame) -> np.ndarray:
    """Which written answers are right, in the order of the items."""
    right = {
        (problem.label, item): said == y
        for problem, of_label in zip(answered.problems, answered.written(), strict=True)
        for item, said, y in zip(problem.items["test"], of_label["test"], problem.y["test"], strict=True)
    }
    return np.array([right[key] for key in items[KEYS].itertuples(index=False, name=None)])
