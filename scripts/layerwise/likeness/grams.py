"""Products of items in every layer: all that the likeness of two layers needs of their states.

``results/likeness/{model}/{stimuli}/{prompt}.grams.safetensors`` has two tensors for each position, named
``{position}/as they are`` and ``{position}/standardised``, float32 of shape (layers, n (n - 1) / 2): for each pair of
items, in the order of :func:`numpy.triu_indices`, the inner product of their states less the mean state, divided by the
mean of the squared lengths. ``standardised`` divides each dimension by its standard deviation first, as probes do. A
layer whose states are all equal holds NaN. The metadata ``grams`` are JSON: ``item_ids``, ``layers`` (their names) and
``cell`` (digests of the model and the stimuli, the prompt).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from layerwise.errors import InputError

SCALINGS = ("as they are", "standardised")


@dataclass(frozen=True)
class Grams:
    """The products of a cell's items.

    Attributes:
        item_ids: the items.
        layers: names of the layers.
        cell: what the states were made from.
        products: by position and scaling, shape (layers, n (n - 1) / 2), float32.
    """

    item_ids: list[str]
    layers: list[str]
    cell: dict[str, Any]
    products: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def square(self, position: str, scaling: str) -> np.ndarray:
        """The products as matrices with zeros on their diagonals, shape (layers, n, n), float64."""
        n, pairs = len(self.item_ids), self.products[position, scaling]
        whole = np.zeros((len(pairs), n, n))
        rows, columns = np.triu_indices(n, 1)
        whole[:, rows, columns] = whole[:, columns, rows] = pairs
        return whole


def products_of(states: np.ndarray) -> dict[str, np.ndarray]:
    """The products of a layer's items by scaling, each of shape (n (n - 1) / 2,).

    Args:
        states: shape (n, width).
    """
    states = states.astype(np.float64)
    centred = states - states.mean(axis=0)
    # What rounding to float32 may leave of a dimension that is the same in all items.
    least = np.abs(states).max(axis=0) * np.finfo(np.float32).eps
    spread = centred.std(axis=0)
    varies = spread > least
    scaled = centred[:, varies] / spread[varies]
    return {"as they are": _products(centred[:, varies]), "standardised": _products(scaled)}


def _products(centred: np.ndarray) -> np.ndarray:
    n = len(centred)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = (centred / np.sqrt(np.square(centred).sum() / n)).astype(np.float32)
    products = scaled @ scaled.T if scaled.shape[1] else np.full((n, n), np.nan, np.float32)
    return products[np.triu_indices(n, 1)]


def write_grams(path: str | Path, grams: Grams) -> None:
    """Write the products of a cell."""
    said = {"item_ids": grams.item_ids, "layers": grams.layers, "cell": grams.cell}
    tensors = {f"{position}/{scaling}": pairs for (position, scaling), pairs in grams.products.items()}
    save_file(tensors, path, {"grams": json.dumps(said)})


def read_grams(path: str | Path) -> Grams:
    """Read the products of a cell.

    Raises:
        InputError: when the file is missing, damaged or no such file.
    """
    try:
        with safe_open(path, "np") as file:
            said = json.loads(file.metadata()["grams"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        grams = Grams(said["item_ids"], said["layers"], said["cell"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as products of items ({error}); delete it and run again") from error
    shape = len(grams.layers), len(grams.item_ids) * (len(grams.item_ids) - 1) // 2
    for name, pairs in tensors.items():
        position, _, scaling = name.rpartition("/")
        if scaling not in SCALINGS or pairs.shape != shape:
            raise InputError(f"{path}: {name} is not of {shape[0]} layers and {shape[1]} pairs; delete it, run again")
        grams.products[position, scaling] = pairs
    return grams
