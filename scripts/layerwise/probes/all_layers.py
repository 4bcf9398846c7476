"""The hidden states of all layers at once, for probes that read them together."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from layerwise.probes.layer_buffer import layer_buffer
from layerwise.probes.problems import standardise


class AllLayers:
    """The standardised states of all layers, one after the other; in memory where they fit.

    It stands where other probes have the states of a layer: with row numbers as index it gives these back, since a
    probe of all layers knows its margins by row.

    Attributes:
        n_layers: their number.
        shape: rows and width of each.
    """

    def __init__(
        self,
        read: Callable[[int, np.ndarray], np.ndarray],
        n_layers: int,
        shape: tuple[int, int],
        training_rows: np.ndarray,
        budget_bytes: int,
        folder: str | Path,
    ):
        """
        Args:
            read: reads a layer into an array of ``shape``, float32.
            n_layers, shape: of the states.
            training_rows: rows that every layer is standardised by.
            budget_bytes: memory for a layer; all of them are kept if they fit.
            folder: for a file that takes the place of a layer's memory.
        """
        self.n_layers, self.shape = n_layers, shape
        self._read, self._training_rows, self._budget_bytes, self._folder = read, training_rows, budget_bytes, folder
        self._held: list[np.ndarray] = []

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def layers(self) -> Iterator[np.ndarray]:
        """Each layer's states, shape (rows, width), float32; valid until the next is asked for."""
        if self._held:
            yield from self._held
        elif 4 * self.n_layers * self.shape[0] * self.shape[1] <= self._budget_bytes:
            self._held = [self._standardised(layer, np.empty(self.shape, np.float32)) for layer in range(self.n_layers)]
            yield from self._held
        else:
            with layer_buffer(self.shape, self._budget_bytes, self._folder) as buffer:
                for layer in range(self.n_layers):
                    yield self._standardised(layer, buffer)

    def mixed(self, weights: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The weighted sum of all layers.

        Args:
            weights: shape (layers,).
            out: shape (rows, width), float32; overwritten.

        Returns:
            ``out``.
        """
        out[:] = 0
        rows_at_once = max(1, 2**21 // self.shape[1])
        for weight, states in zip(weights.astype(np.float32), self.layers(), strict=True):
            for start in range(0, len(out), rows_at_once):
                out[start : start + rows_at_once] += weight * states[start : start + rows_at_once]
        return out

    def buffer(self) -> AbstractContextManager[np.ndarray]:
        """Room for one more layer, such as a mixture; a context manager, see :func:`layer_buffer`."""
        return layer_buffer(self.shape, self._budget_bytes, self._folder)

    def _standardised(self, layer: int, out: np.ndarray) -> np.ndarray:
        return standardise(self._read(layer, out), self._training_rows)


# What probes read: the states of a layer, or of all.
States = np.ndarray | AllLayers
