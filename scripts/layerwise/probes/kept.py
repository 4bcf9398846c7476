"""Kept probes: one file per cell (model x task x prompt), to apply without fitting again.

``{prompt}.probes.h5`` has one weight vector and one bias per layer, label and margin, in units of the raw hidden state:
the standardisation that a probe was fitted on is folded in. Datasets, with layers, labels, margins (1 for two classes,
else one per class) and width as axes:

- ``weights``: (layers, labels, margins, width), float32
- ``bias``: (layers, labels, margins), float64
- ``C``: (layers, labels), inverse strength of the penalty
- ``centre``, ``deviation``: (layers, width), float32, mean and standard deviation of the training rows

Attributes: ``layers``, ``labels``, ``classes`` (names), ``cell`` (JSON: what the probes were fitted on). The keys of
``cell`` are ``task``, ``classes``, ``metric``, ``labels_digest`` (see :func:`digest_of_labels`), ``engine``, ``seed``,
``position``, ``model_digest``, ``stimuli_digest``, and ``states``, the cell of the states file.

Weights hardly compress (bitshuffle + LZ4 leaves 89 %), so they are stored as they are.

Margins are computed in float64. Biases are made for the weights as float32 has them, so that a dimension of large mean
and small spread, which real models have, costs no precision.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.jobs.command import finished_file
from layerwise.probes.fits import Fit
from layerwise.probes.problems import Standardisation

# The columns of a task's labels that decide what a probe learns, and from which items.
DECIDE = ["item_id", "group", "label", "y", "split"]
# Bytes by which the file in memory grows.
GROWTH = 1 << 20


@dataclass(frozen=True)
class LayerProbe:
    """The probes of one layer.

    Attributes:
        labels, classes: names.
        weights: shape (labels, margins, width).
        bias: shape (labels, margins).
        C: shape (labels,).
        centre, deviation: of the training rows, shape (width,).
    """

    labels: list[str]
    classes: list[str]
    weights: np.ndarray
    bias: np.ndarray
    C: np.ndarray
    centre: np.ndarray
    deviation: np.ndarray

    def margins(self, states: np.ndarray, label: str | None = None, centre: np.ndarray | None = None) -> np.ndarray:
        """Margins of states, shape (n, 1) for two classes, else (n, K), float64.

        Args:
            states: shape (n, width), as the states file has them.
            label: which of the labels. Default - the only one.
            centre: what takes the place of the centre that the probes were fitted around, shape (width,). Default -
                nothing does.

        Raises:
            InputError: when there is no such label, or there are several and none is named.
        """
        place = _place(self.labels, label)
        weights = self.weights[place].astype(np.float64)
        shift = 0 if centre is None else weights @ (self.centre - centre)
        return states.astype(np.float64) @ weights.T + self.bias[place] + shift

    def of(self, label: str) -> "LayerProbe":
        """The probe of one label.

        Raises:
            InputError: when there is no such label.
        """
        place = [_place(self.labels, label)]
        return replace(self, labels=[label], weights=self.weights[place], bias=self.bias[place], C=self.C[place])


def raw_probe(
    fits: Sequence[Fit], standardisation: Standardisation, labels: Sequence[str], classes: Sequence[str]
) -> LayerProbe:
    """Probes of standardised states as probes of the states themselves.

    Args:
        fits: of one layer, one per label.
        standardisation: of the states that they were fitted on.
        labels, classes: names.
    """
    mean, scale = (part.astype(np.float64) for part in (standardisation.mean, standardisation.scale))
    weights = np.stack([(fit.coefficients * scale).astype(np.float32) for fit in fits])
    # For the rounded weights: those of a dimension with mean 400 would move the margins by 400 rounding errors.
    bias = np.stack([fit.intercepts for fit in fits]) - weights.astype(np.float64) @ mean
    C = np.array([fit.C for fit in fits], dtype=np.float64)
    return LayerProbe(*(list(labels), list(classes), weights, bias, C), standardisation.mean, standardisation.deviation)


@contextmanager
def probes_file(
    path: str | Path | None,
    layers: Sequence[str],
    labels: Sequence[str],
    classes: Sequence[str],
    cell: Mapping[str, Any],
) -> Iterator[Callable[[Sequence[Fit], Standardisation], None]]:
    """Gives a function that adds a layer's probes to a file, from the lowest layer up.

    The file is made in memory, which takes twice its size, and then written at once: when HDF5 itself cannot write to a
    full disk, it prints tracebacks as it closes the file.

    Args:
        path: of the file, which is whole or absent. None keeps nothing.
        layers, labels, classes: names.
        cell: what the probes were fitted on.
    """
    if path is None:
        yield lambda fits, standardisation: None
        return
    with (
        finished_file(path) as partial,
        h5py.File(partial, "w", driver="core", backing_store=False, block_size=GROWTH) as file,
    ):
        names = {"layers": layers, "labels": labels, "classes": classes}
        file.attrs.update({key: list(map(str, of_key)) for key, of_key in names.items()})
        file.attrs["cell"] = json.dumps(dict(cell), sort_keys=True)
        place = 0

        def add(fits: Sequence[Fit], standardisation: Standardisation) -> None:
            nonlocal place
            probe = raw_probe(fits, standardisation, labels, classes)
            for name in ("weights", "bias", "C", "centre", "deviation"):
                numbers = getattr(probe, name)
                if place == 0:
                    file.create_dataset(name, (len(layers), *numbers.shape), numbers.dtype)
                file[name][place] = numbers
            place += 1

        yield add
        file.flush()
        partial.write_bytes(file.id.get_file_image())


def digest_of_labels(labels: pd.DataFrame) -> str:
    """A digest of what a task's labels teach: their items, classes, groups and split."""
    return hashlib.sha256(pd.util.hash_pandas_object(labels[DECIDE], index=False).to_numpy().tobytes()).hexdigest()


class KeptProbes:
    """Read the kept probes of a cell, a layer at a time.

    Attributes:
        layers: names of the layers.
        labels: of the task.
        classes: of each label.
        cell: what the probes were fitted on.

    Raises:
        InputError: when the file is missing, damaged, or holds no probes.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = h5py.File(path, "r")
            self.layers, self.labels, self.classes = (
                [str(name) for name in self._file.attrs[key]] for key in ("layers", "labels", "classes")
            )
            self.cell: dict[str, Any] = json.loads(self._file.attrs["cell"])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as kept probes ({error}); delete it and run again") from error

    def layer(self, layer: int) -> LayerProbe:
        """The probes of one layer, by its index."""
        arrays = (self._file[name][layer] for name in ("weights", "bias", "C", "centre", "deviation"))
        return LayerProbe(self.labels, self.classes, *arrays)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "KeptProbes":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _place(labels: Sequence[str], label: str | None) -> int:
    if label is None and len(labels) == 1:
        return 0
    if label is None or label not in labels:
        said = "name one label" if label is None else f"there is no label {label!r}"
        raise InputError(f"{said}; the probes have {', '.join(labels)}")
    return list(labels).index(label)
