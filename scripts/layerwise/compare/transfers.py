"""Kept probes that read the states of a task's prompt: their scores and what they lose, layer by layer, as one table.

Columns are those of :mod:`layerwise.compare.carried`, except ``best_layer`` and ``p_holm``, which take the whole study.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import TEXT_COLUMN, read_predictions
from layerwise.compare.statistics.transfer import TransferLoss
from layerwise.errors import InputError
from layerwise.probes.carrying import Carried, SameClasses, groups_seen, margins_of, same_labels
from layerwise.probes.kept import KeptProbes, LayerProbe, digest_of_labels
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.problems import in_blocks

# A class of a label with fewer items is not scored.
FEWEST_PER_CLASS = 5
CENTRES = ("source", "own")
AREA = "roc_auc"
COLUMNS = [
    "model",
    "task",
    "prompt",
    "kind",
    "source_model",
    "source_task",
    "source_prompt",
    "layer",
    "n_layers",
    "label",
    "metric",
]
COLUMNS += ["centre", "flipped", "value", "own", "home", "loss", "loss_low", "loss_high", "p_value", "chance"]
COLUMNS += ["n", "n_groups", "n_labels", "left_out", "why_not"]


@dataclass(frozen=True)
class ProbedTask:
    """A task as probes know it.

    Attributes:
        description: ``task.json``.
        labels: ``labels.parquet``.
        pictures: checksums of the pictures of its stimuli, by item id; of several pictures one a line.
    """

    description: Mapping[str, Any]
    labels: pd.DataFrame
    pictures: pd.Series

    @property
    def names(self) -> list[str]:
        """Its labels."""
        return list(self.description["labels"])

    @property
    def classes(self) -> list[str]:
        """Of each label."""
        return list(self.description["classes"])

    @cached_property
    def labels_digest(self) -> str:
        """That of kept probes, see :func:`layerwise.probes.kept.digest_of_labels`."""
        return digest_of_labels(self.labels)


class Homes:
    """Test predictions of finished cells, and scores of their probes at home; each score is computed once.

    Args:
        root: folder with {model}/{task}/{prompt}.predictions.parquet and .probes.h5.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self._scores: dict[tuple, float] = {}

    def file(self, cell: tuple[str, str, str], what: str) -> Path:
        """A file of a cell, such as ``probes.h5``."""
        model, task, prompt = cell
        return self.root / model / task / f"{prompt}.{what}"

    def predictions(self, cell: tuple[str, str, str], layer: int) -> pd.DataFrame:
        """Of one layer, on the test split."""
        return read_predictions(self.file(cell, "predictions.parquet"), layer, "test")

    def score(
        self,
        cell: tuple[str, str, str],
        layer: int,
        metric: str,
        classes: Sequence[str],
        chosen: Sequence[str],
        labels: Sequence[str],
    ) -> float:
        """The mean over labels of a cell's own test score.

        Args:
            cell: model, task and prompt.
            layer: index.
            metric: one of :data:`METRICS`.
            classes: of the task.
            chosen: the classes whose items count.
            labels: one entry for each value that the mean is over.
        """
        wanted = {label: (cell, layer, metric, label, *chosen) for label in dict.fromkeys(labels)}
        if not set(wanted.values()) <= self._scores.keys():
            table = self.predictions(cell, layer)
            for label, key in wanted.items():
                of_label = table[table["label"] == label]
                y = _renumbered(of_label["y"].to_numpy(), classes, chosen)
                margins = margins_of(np.stack(of_label["scores"].to_numpy()[y >= 0]), classes, chosen)
                weights = np.ones((1, len(margins)))
                self._scores[key] = float(METRICS[metric].values(y[y >= 0], margins, weights, len(chosen))[0])
        return float(np.mean([self._scores[wanted[label]] for label in labels]))


@dataclass(frozen=True)
class _Pair:
    """A label whose items are read, and the label whose probe reads them.

    ``items`` are the places of the items among the target's test predictions, ``rows`` those of their states, ``y``
    their classes among those that correspond.
    """

    label: str
    source: str
    items: np.ndarray
    rows: np.ndarray
    y: np.ndarray


class TransfersInto:
    """All kept probes that read the states of one prompt of a task.

    Layers are given one after the other with :meth:`layer`; then :meth:`table` has all rows.
    """

    def __init__(
        self,
        cell: tuple[str, str, str],
        carried: Sequence[Carried],
        tasks: Mapping[str, ProbedTask],
        homes: Homes,
        layers: Sequence[str],
        row_of_item: pd.Series,
        made_from: Mapping[str, Any] | None = None,
    ):
        """
        Args:
            cell: model, task and prompt of the states.
            carried: what reads them.
            tasks: its task, and those of all sources.
            homes: finished cells.
            layers: names of the layers of the states.
            row_of_item: the row of the states of each item, by item id.
            made_from: ``model_digest`` and ``position`` of the states, which kept probes must be fitted on. Default -
                this is not checked.

        Raises:
            InputError: when labels or classes do not correspond.
        """
        self.cell, self.task, self._layers, self._homes = cell, tasks[cell[1]], list(layers), homes
        self._test = homes.predictions(cell, 0)
        self._row_of_item, self._tasks, self._made_from = row_of_item, tasks, made_from
        self._readings = [_Reading(self, each, tasks[each.source[1]]) for each in carried]

    def layer(self, layer: int, states: np.ndarray) -> None:
        """Let all probes of a layer read its states, shape (rows, width).

        Raises:
            InputError: when kept probes are of another task or shape, or the predictions are of other items.
        """
        test = self._homes.predictions(self.cell, layer)
        if not test["item_id"].equals(self._test["item_id"]):
            raise InputError(
                f"{self._homes.file(self.cell, 'predictions.parquet')}: layer {layer} has other items than layer 0; "
                "run the probes of this cell again"
            )
        own = np.stack(test["scores"].to_numpy())
        readings = [reading for reading in self._readings if reading.scores_something]
        with ExitStack() as opened:
            cells = [self.cell, *(reading.carried.source for reading in readings)] if readings else []
            kept = {cell: self._layer_of(self._opened(opened, cell), layer) for cell in dict.fromkeys(cells)}
            for reading in readings:
                probe, centre = kept[reading.carried.source], kept[self.cell].centre.astype(np.float64)
                if probe.weights.shape[-1] != states.shape[1]:
                    raise InputError(
                        f"{self._homes.file(reading.carried.source, 'probes.h5')}: probes of width "
                        f"{probe.weights.shape[-1]} cannot read states of width {states.shape[1]}; the two models "
                        "are not versions of one: set carry.versions to false"
                    )
                reading.layer(layer, states, probe, centre, own)

    def table(self, permutations: int, seed: int) -> pd.DataFrame:
        """The rows of all probes; columns are those of this module's docstring.

        Args:
            permutations: swaps, or draws, for each set of p-values.
            seed: of these.
        """
        rows = [row for reading in self._readings for row in reading.rows(permutations, seed)]
        return pd.DataFrame(rows, columns=COLUMNS)

    @property
    def n_layers(self) -> int:
        """Blocks of the model."""
        return len(self._layers) - 2

    @property
    def homes(self) -> Homes:
        """Finished cells."""
        return self._homes

    @property
    def test(self) -> pd.DataFrame:
        """The test items of all labels, as the predictions have them."""
        return self._test

    def rows_of(self, items: pd.Series) -> np.ndarray:
        """The rows of the states that items have."""
        return self._row_of_item.loc[items].to_numpy()

    @cached_property
    def training_rows(self) -> dict[str, np.ndarray]:
        """By label, the rows of the states that its training items have."""
        training = self.task.labels[self.task.labels["split"] == "train"]
        return {str(label): self.rows_of(items) for label, items in training.groupby("label")["item_id"]}

    def _layer_of(self, probes: KeptProbes, layer: int) -> LayerProbe:
        try:
            return probes.layer(layer)
        except (OSError, KeyError) as error:
            raise InputError(f"{probes.path}: is damaged ({error}); delete it and run again") from error

    def _opened(self, opened: ExitStack, cell: tuple[str, str, str]) -> KeptProbes:
        probes = opened.enter_context(KeptProbes(self._homes.file(cell, "probes.h5")))
        if probes.layers != self._layers:
            raise InputError(
                f"{probes.path}: has probes of {len(probes.layers)} layers, and the states have {len(self._layers)}; "
                "the two models are not versions of one: set carry.versions to false"
            )
        if self._made_from is not None:
            # Of another model's digest only its own job knows.
            same_model = cell[0] == self.cell[0]
            wanted = {key: self._made_from[key] for key in ("position", *(["model_digest"] if same_model else []))}
            wanted |= {"classes": self._tasks[cell[1]].classes, "labels_digest": self._tasks[cell[1]].labels_digest}
            if other := [key for key, value in wanted.items() if probes.cell.get(key) != value]:
                raise InputError(
                    f"{probes.path}: these probes were fitted on another cell or task ({', '.join(other)} differ); "
                    "delete it and run again"
                )
        return probes


class _Reading:
    """One cell's kept probes on the test items of a target: both centres, both metrics, and flipped classes."""

    def __init__(self, into: TransfersInto, carried: Carried, source: ProbedTask):
        self._into, self.carried, self._source = into, carried, source
        target = into.task
        metric = target.description["metric"]
        self._same = SameClasses.of(source.classes, target.classes, carried.classes)
        self._ways = {False: self._same}
        # A prompt of a user's own table may have answers for other classes than the task's.
        flipped = carried.flipped or {}
        if set(flipped) == set(self._same.source) and set(flipped.values()) == set(self._same.target):
            self._ways[True] = SameClasses.of(source.classes, target.classes, flipped)
        test = into.test
        seen: set[str] = set()
        if source is not target:
            seen = groups_seen(target.labels, source.labels, target.pictures, source.pictures)
        unseen = ~test["group"].isin(seen).to_numpy()
        self._left_out = int((~unseen).sum())
        y = _renumbered(test["y"].to_numpy(), target.classes, self._same.target)
        pairs, few = [], ""
        for label, of_source in same_labels(carried.kind, source.names, target.names):
            items = np.flatnonzero(unseen & (y >= 0) & (test["label"] == label).to_numpy())
            counts = np.bincount(y[items], minlength=len(self._same.target))
            if counts.min() < FEWEST_PER_CLASS:
                named = f"{counts.min()} of {self._same.target[int(counts.argmin())]}"
                few = few or f"fewer than {FEWEST_PER_CLASS} items: {named} in {label}"
                continue
            pairs.append(_Pair(label, of_source, items, into.rows_of(test["item_id"].iloc[items]), y[items]))
        self._pairs, self._why_not = pairs, "" if pairs else few
        self._metrics = list(dict.fromkeys([metric, AREA]))
        texts = [test[TEXT_COLUMN].to_numpy()[pair.items] for pair in pairs] if TEXT_COLUMN in test else None
        groups = [test["group"].to_numpy()[pair.items] for pair in pairs]
        self._losses = {
            (each, centre, flipped): TransferLoss(each, len(self._same.target), [p.y for p in pairs], groups, texts)
            for each in self._metrics
            for centre in CENTRES
            for flipped in self._ways
            if pairs
        }
        self._rows: dict[tuple, list[dict[str, Any]]] = {key: [] for key in self._losses}

    @property
    def scores_something(self) -> bool:
        """Whether some label has enough items."""
        return bool(self._pairs)

    def layer(self, layer: int, states: np.ndarray, probe: LayerProbe, centre: np.ndarray, own: np.ndarray) -> None:
        """Score one layer.

        Args:
            layer: index.
            states: shape (rows, width).
            probe: the source's.
            centre: of the target's training rows, shape (width,).
            own: margins of the target's own probes on all of its test items.
        """
        classes, width = self._into.task.classes, states.shape[1]
        owns = [margins_of(own[pair.items], classes, self._same.target) for pair in self._pairs]
        carried: dict[str, list[np.ndarray]] = {name: [] for name in CENTRES}
        means: dict[str, np.ndarray] = {}
        for pair in self._pairs:
            parts = [probe.margins(states[block], pair.source) for block in in_blocks(pair.rows, width)]
            margins = np.concatenate(parts)
            there = centre
            if self.carried.kind == "labels":
                # Each label has its own question, so that the two labels' training rows differ by a shift too.
                for label in {pair.label, pair.source} - means.keys():
                    means[label] = _mean(states, self._into.training_rows[label])
                there = probe.centre - (means[pair.source] - means[pair.label])
            nowhere = np.zeros((1, width), states.dtype)
            shift = probe.margins(nowhere, pair.source, there) - probe.margins(nowhere, pair.source)
            carried["source"].append(margins)
            carried["own"].append(margins + shift)
        top, n_classes = layer <= self._into.n_layers, len(self._same.target)
        for (metric, name, flipped), loss in self._losses.items():
            tested = metric == self._into.task.description["metric"] and not flipped and top
            if name == "own" and METRICS[metric].ranks and n_classes == 2 and not tested:
                # No shift changes the order of items.
                self._rows[metric, name, flipped].append(dict(self._rows[metric, "source", flipped][-1]))
                continue
            way = self._ways[flipped].source
            read = [margins_of(margins, self._source.classes, way) for margins in carried[name]]
            named = [pair.source for pair in self._pairs]
            home = self._into.homes.score(
                self.carried.source, layer, metric, self._source.classes, self._same.source, named
            )
            self._rows[metric, name, flipped].append(
                {"layer": layer, "home": home, "tested": tested} | loss.layer(owns, read, tested)
            )

    def rows(self, permutations: int, seed: int) -> Iterator[dict[str, Any]]:
        """One row per layer, metric, centre and way of flipping; or one that says why nothing was scored."""
        model, task, prompt = self.carried.source
        labels = self._into.task.names
        row: dict[str, Any] = dict(zip(("model", "task", "prompt"), self._into.cell, strict=True))
        row |= {"kind": self.carried.kind, "source_model": model}
        row |= {"source_task": task, "source_prompt": prompt, "n_layers": self._into.n_layers}
        row |= {"label": labels[0] if len(labels) == 1 else "macro", "left_out": self._left_out}
        row |= {"n_labels": len(self._pairs), "why_not": self._why_not, "n": 0, "n_groups": 0}
        if not self._pairs:
            yield row | {"layer": -1, "metric": self._metrics[0], "centre": CENTRES[0], "flipped": False}
        counts = [self._counts(pair) for pair in self._pairs]
        for (metric, centre, flipped), rows in self._rows.items():
            loss = self._losses[metric, centre, flipped]
            tested = [each for each in rows if each["tested"]]
            found = loss.p_values(permutations, seed) if tested else []
            p_values = dict(zip((each["layer"] for each in tested), found, strict=True))
            chances = [METRICS[metric].chance(*each) for each in counts]
            of_all = {"metric": metric, "centre": centre, "flipped": flipped, "n_groups": loss.n_groups}
            of_all |= {"chance": float(np.mean(chances))}
            # Of kind labels an item is read by several probes.
            of_all |= {"n": len(np.unique(np.concatenate([pair.items for pair in self._pairs])))}
            for each in rows:
                yield row | of_all | each | {"p_value": p_values.get(each["layer"], np.nan)}

    def _counts(self, pair: _Pair) -> tuple[list[int], list[int]]:
        """Items of each class that corresponds: in the target's training split, and among those that are scored."""
        labels = self._into.task.labels
        training = labels[(labels["split"] == "train") & (labels["label"] == pair.label)]
        y = _renumbered(training["y"].to_numpy(), self._into.task.classes, self._same.target)
        counted = (np.bincount(each, minlength=len(self._same.target)).tolist() for each in (y[y >= 0], pair.y))
        train, shown = counted
        return train, shown


def _renumbered(y: np.ndarray, classes: Sequence[str], chosen: Sequence[str]) -> np.ndarray:
    """Class indices among the chosen classes; -1 for others."""
    return np.array([chosen.index(name) if name in chosen else -1 for name in classes])[y]


def _mean(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    blocks = in_blocks(rows, states.shape[1])
    return np.sum([states[block].sum(axis=0, dtype=np.float64) for block in blocks], axis=0) / len(rows)


def read_transfers(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Read the tables of several tasks and models as one.

    Raises:
        InputError: when a file cannot be read, or lacks a column.
    """
    tables = []
    for path in paths:
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as a table ({error}); delete it and run again") from error
        if missing := [column for column in COLUMNS if column not in table]:
            raise InputError(f"{path}: lacks the columns {', '.join(missing)}; delete it and run again")
        tables.append(table[COLUMNS])
    return pd.concat(tables, ignore_index=True)
