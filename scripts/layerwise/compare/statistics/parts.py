"""Scores on parts of the test items: by whether the text was seen in training, and by what the text alone gives away.

No probe is fitted: the kept predictions of a cell are scored on fewer items. Resamples are those of the scores, of the
groups (and texts) of the part.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, TEXT_COLUMN, Model, Task, read_predictions
from layerwise.compare.parts import ALL, RIGHT, SEEN, UNSEEN, WRONG
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.firsts import text_only_twin
from layerwise.compare.statistics.layers import check_same_run
from layerwise.errors import InputError
from layerwise.probes.bootstrap import difference_interval, distinct_texts
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import constant_margins, predicted
from layerwise.probes.scoring import HELD_OUT
from layerwise.stimuli.item_texts import shows_text
from layerwise.tasks.unseen_texts import PART

KEYS = ["label", "item_id"]
DIFFERENCE = ("difference", "difference_low", "difference_high")
Cell = tuple[str, str, str]


class PartScorer:
    """Scores some test items of a cell, with the resamples of their own groups and texts.

    Attributes:
        counts: ``n``, ``n_groups`` and ``n_texts``, as scores have them.

    Args:
        items: of all labels, columns label, group, y, and text if texts are known.
        task: of the cell.
        n_resamples: bootstrap resamples.
        seed: that of the probes' scores, so that a part of all items has their intervals.
    """

    def __init__(self, items: pd.DataFrame, task: Task, n_resamples: int, seed: int):
        self._metric, self._n_classes = METRICS[task.metric], task.n_classes
        self._rows = list(items.groupby("label", sort=False).indices.values())
        self._y = items["y"].to_numpy()
        groups = items["group"].to_numpy().astype(str)
        texts = [items[TEXT_COLUMN].to_numpy()[rows] for rows in self._rows] if TEXT_COLUMN in items else None
        self._clusters = Clusters([groups[rows] for rows in self._rows], texts)
        draws = self._clusters.draw_seeded(n_resamples, (seed, HELD_OUT.index("test")))
        weights = [self._clusters.weights(draws, place) for place in range(len(self._rows))]
        # The first row is the value itself.
        self._weights = [np.vstack([np.ones_like(of_label[:1]), of_label]) for of_label in weights]
        texts_drawn = distinct_texts(self._clusters.units(self._place))
        self.counts = {"n": len(items), "n_groups": len(np.unique(groups)), "n_texts": texts_drawn}

    @property
    def _place(self) -> int | None:
        """The only label's; None for the mean over several."""
        return 0 if len(self._rows) == 1 else None

    def values(self, scores: np.ndarray, chosen: np.ndarray | None = None, only_value: bool = False) -> np.ndarray:
        """The metric, the mean over the labels for which it is defined: shape (1 + R,), the value and its resamples.

        Args:
            scores: margins by item, shape (n, K).
            chosen: which items are scored, shape (n,). Default - all.
            only_value: whether resamples are left out.
        """
        found = []
        for rows, weights in zip(self._rows, self._weights, strict=True):
            here = slice(None) if chosen is None else chosen[rows]
            of_items = (weights[:1] if only_value else weights)[:, here]
            own = rows[here]
            if len(own) and self._metric.is_defined(self._y[own], self._n_classes):
                # A resample may have no item of a small part.
                with np.errstate(invalid="ignore", divide="ignore"):
                    found.append(self._metric.values(self._y[own], scores[own], of_items, self._n_classes))
        if not found:
            return np.full(1 if only_value else len(self._weights[0]), np.nan)
        values = np.stack(found)
        defined = np.isfinite(values)
        count = defined.sum(axis=0)
        return np.divide(
            np.where(defined, values, 0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0
        )

    def score(self, scores: np.ndarray) -> dict[str, float]:
        """``value``, ``low`` and ``high`` of all items."""
        values = self.values(scores)
        low, high = self._metric.interval(float(values[0]), *self._clusters.evidence(values[1:], self._place))
        return {"value": float(values[0]), "low": low, "high": high}

    def difference(self, scores: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
        """The metric of some items less that of others, and its interval; both are measured on the same resamples."""
        values = self.values(scores, first) - self.values(scores, second)
        evidence = self._clusters.evidence(values[1:], self._place)
        bound = self._metric.greatest_difference
        return float(values[0]), *difference_interval(float(values[0]), *evidence, bound=bound)


def score_parts(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    prompts: Sequence[Mapping[str, str]],
    labels: Mapping[str, pd.DataFrame],
    predictions_root: str | Path,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Score every layer of every cell on the parts of its test items.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        models: Model descriptions; other models are left out.
        prompts: The grid's prompts, see :func:`layerwise.compare.inputs.read_prompts`.
        labels: By task with unseen texts its labels, with the column ``test_part``.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples.
        seed: That of the probes' scores.

    Returns:
        A row per cell, layer and part; :mod:`layerwise.compare.test_parts` lists the columns. A cell has rows if its
        task has unseen texts and its prompt shows them, or if the model also reads its words without the image. Parts
        without items have no row, nor have the parts by the text alone where one of them has a single class.

    Raises:
        InputError: The predictions of a cell do not fit its scores, its task, or those without the image.
    """
    validation, test = (dict(list(headline_scores(scores, tasks, split).groupby(CELL))) for split in ("val", "test"))
    wordings = {(prompt["stimuli"], prompt["prompt"]): prompt["text"] for prompt in prompts}
    predictions = Path(predictions_root)
    parts = []
    for name, task in tasks.items():
        for model in models:
            for cell, of_cell in test.items():
                if cell[:2] != (model, name):
                    continue
                twin = text_only_twin(cell, task, prompts, test)
                # A prompt that shows no text of an item reads the same for seen and unseen ones.
                of_task = labels.get(name) if shows_text(wordings.get((task.stimuli, cell[2]), "")) else None
                if of_task is None and twin is None:
                    continue
                rows = _of_cell(cell, task, of_cell, predictions, of_task, twin, validation, n_resamples, seed)
                described = dict(zip(CELL, cell, strict=True)) | {"metric": task.metric, "label": task.headline_label}
                described |= {"n_layers": int(of_cell["n_layers"].iloc[0]), "text_only_prompt": twin[2] if twin else ""}
                best = choose_layer(validation[cell])
                parts += [described | row | {"is_best": row["layer"] == best} for row in rows]
    return pd.DataFrame(parts)


def _of_cell(
    cell: Cell,
    task: Task,
    test: pd.DataFrame,
    root: Path,
    labels: pd.DataFrame | None,
    twin: Cell | None,
    validation: Mapping[Cell, pd.DataFrame],
    n_resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """The rows of a cell: layer, part, and what the part's items give."""
    values, path = test.set_index("layer")["value"], _path(root, cell)
    items = read_predictions(path, 0, "test")
    chosen = {ALL: np.ones(len(items), bool)}
    if labels is not None:
        chosen |= _by_text(items, labels, path)
    if twin is not None:
        chosen |= _by_text_alone(items, _path(root, twin), choose_layer(validation[twin]))
    chosen = {part: of_part for part, of_part in chosen.items() if of_part.any()}
    scorers = {part: PartScorer(items[of_part], task, n_resamples, seed) for part, of_part in chosen.items()}
    majority = np.stack(items["label"].map(_majority(task)).to_numpy())
    constant = {part: scorers[part].values(majority[of_part], only_value=True)[0] for part, of_part in chosen.items()}
    for layer in values.index:
        margins = _margins(path, layer, items)
        without = None if twin is None else _margins(_path(root, twin), layer, items)
        for part, of_part in chosen.items():
            scorer = scorers[part]
            found = scorer.score(margins[of_part])
            if part == ALL:
                check_same_run(path, layer, task.metric, found["value"], values[layer])
            row = {"layer": layer, "part": part, **found, **scorer.counts, "majority": constant[part]}
            row["text_only"] = np.nan if without is None else scorer.values(without[of_part], only_value=True)[0]
            row |= dict.fromkeys(DIFFERENCE, np.nan)
            if part == UNSEEN and SEEN in chosen:
                apart = scorers[ALL].difference(margins, chosen[UNSEEN], chosen[SEEN])
                row |= dict(zip(DIFFERENCE, apart, strict=True))
            yield row


def _majority(task: Task) -> dict[str, np.ndarray]:
    """By label the margins that always say the most frequent class of the training items.

    Not from the scores of the majority baseline: where test classes are equally frequent, both of two constants have
    that score, and in a part they differ.
    """
    return {
        label: constant_margins(np.array([counts["train"][name] for name in task.classes]))
        for label, counts in task.balance.items()
    }


def _by_text(items: pd.DataFrame, labels: pd.DataFrame, path: Path) -> dict[str, np.ndarray]:
    """Which of the items, shape (n,), have a text that was seen in training, and which have none."""
    part_of = labels.set_index(KEYS)[PART].reindex(pd.MultiIndex.from_frame(items[KEYS]))
    if part_of.isna().any():
        item = items["item_id"][part_of.isna().to_numpy()].iloc[0]
        raise InputError(f"{path}: {item!r} is no test item of the task's labels; run the probes of this cell again")
    return {part: (part_of == part).to_numpy() for part in (SEEN, UNSEEN)}


def _by_text_alone(items: pd.DataFrame, path: Path, layer: int) -> dict[str, np.ndarray]:
    """Which of the items a probe of the words alone has wrong, and which right.

    Neither, if in each label one of the parts has a single class: a constant would be right in all of that part. So it
    is where the words alone always give the same answer.
    """
    right = predicted(_margins(path, layer, items)) == items["y"].to_numpy()
    several = [items[of_part].groupby("label")["y"].nunique() > 1 for of_part in (~right, right)]
    # Labels that one of the parts lacks are lost, too.
    comparable = pd.concat(several, axis=1, join="inner").all(axis=1).any()
    return {WRONG: ~right, RIGHT: right} if comparable else {}


def _margins(path: Path, layer: int, items: pd.DataFrame) -> np.ndarray:
    """Margins of a layer for the test items of a cell, shape (n, K)."""
    found = read_predictions(path, layer, "test")
    if len(found) != len(items) or (found[KEYS].to_numpy() != items[KEYS].to_numpy()).any():
        raise InputError(f"{path}: layer {layer} has other test items than the cell; run its probes again")
    return np.stack(found["scores"].to_numpy())


def _path(root: Path, cell: Cell) -> Path:
    model, task, prompt = cell
    return root / model / task / f"{prompt}.predictions.parquet"
