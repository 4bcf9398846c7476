"""The design matrices of batched fits: the rows that they learn from, shared by all fits or each fit's own."""

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor

from layerwise.probes.logistic.spectrum import Spectrum


class Rows:
    """Some rows of a layer's states, centred: kept on the device within a budget, else copied there block by block.

    Differences are taken in float64, because float32 would lose the small differences of states far from zero.
    """

    def __init__(
        self, states: np.ndarray, index: np.ndarray, mean: np.ndarray, device: torch.device, budget_bytes: int
    ):
        """
        Args:
            states: shape (rows, d).
            index: the rows to take, shape (n,).
            mean: to subtract, shape (d,), float64.
            device: where to compute.
            budget_bytes: how much of the device's memory the rows may take; one block always fits.
        """
        self._states, self._index, self._mean, self._device = states, index, mean, device
        self.n, self.width = len(index), states.shape[1]
        held = 4 * self.n * self.width <= budget_bytes
        self._block_rows = self.n if held else max(1, int(budget_bytes // (16 * self.width)))
        # Allocated once, because repeated allocation would fragment the heap.
        self._block = torch.empty(self._block_rows, self.width)
        self._piece = np.empty((min(256, self._block_rows), self.width))
        self._held = self._load(slice(0, self.n)) if held else None

    def _load(self, rows: slice) -> Tensor:
        loaded = self._block[: rows.stop - rows.start]
        # Small pieces, so that the float64 copy stays small whatever the block.
        for start in range(rows.start, rows.stop, 256):
            stop = min(start + 256, rows.stop)
            piece = self._piece[: stop - start]
            np.subtract(self._states[self._index[start:stop]], self._mean, out=piece)
            loaded[start - rows.start : stop - rows.start] = torch.from_numpy(piece)
        return loaded.to(self._device)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order: which, and their values, shape (rows in block, d), float32 on the device.

        A block may be overwritten by the next one.
        """
        if self._held is not None:
            yield slice(0, self.n), self._held
            return
        for start in range(0, self.n, self._block_rows):
            rows = slice(start, min(start + self._block_rows, self.n))
            yield rows, self._load(rows)

    def times(self, weights: Tensor) -> Tensor:
        """Margins, shape (k, n), of weights, shape (k, d)."""
        margins = weights.new_empty(len(weights), self.n)
        for rows, block in self.blocks():
            margins[:, rows] = weights @ block.T
        return margins

    def transposed_times(self, residuals: Tensor) -> Tensor:
        """Shape (k, d) of residuals of shape (k, n)."""
        total = residuals.new_zeros(len(residuals), self.width)
        for rows, block in self.blocks():
            total.addmm_(residuals[:, rows], block)
        return total


class HeldRows:
    """A matrix on the device, shape (n, r), with the products of :class:`Rows`."""

    def __init__(self, matrix: Tensor):
        self._matrix = matrix

    def times(self, weights: Tensor) -> Tensor:
        """See :meth:`Rows.times`."""
        return weights @ self._matrix.T

    def transposed_times(self, residuals: Tensor) -> Tensor:
        """See :meth:`Rows.transposed_times`."""
        return residuals @ self._matrix


class SharedDesign:
    """One set of rows for all fits; see :class:`layerwise.probes.logistic.solver.Design`."""

    def __init__(self, rows: Rows | HeldRows, spectrum: Spectrum):
        self._rows, self._spectrum = rows, spectrum

    def margins(self, weights: Tensor) -> Tensor:
        return self._rows.times(weights.flatten(0, 1)).unflatten(0, weights.shape[:2])

    def pull_back(self, residuals: Tensor) -> Tensor:
        return self._rows.transposed_times(residuals.flatten(0, 1)).unflatten(0, residuals.shape[:2])

    def precondition(self, gradient: Tensor, curvature: Tensor, penalty: Tensor) -> Tensor:
        return self._spectrum.solve(gradient, curvature, penalty)

    def take(self, keep: Tensor) -> Self:
        return self


class OwnDesign:
    """Rows of its own for each fit, in coordinates in which their Gram matrix is diagonal, padded to equal shapes."""

    def __init__(self, rows: Tensor, spectrum: Tensor):
        """
        Args:
            rows: shape (J, n, r), 0 beyond a fit's own.
            spectrum: the diagonals of rowsᵀ rows / n, shape (J, r).
        """
        self._rows, self._spectrum = rows, spectrum

    def margins(self, weights: Tensor) -> Tensor:
        return torch.bmm(weights, self._rows.transpose(1, 2))

    def pull_back(self, residuals: Tensor) -> Tensor:
        return torch.bmm(residuals, self._rows)

    def precondition(self, gradient: Tensor, curvature: Tensor, penalty: Tensor) -> Tensor:
        return gradient / (curvature * self._spectrum[:, None] + penalty)

    def take(self, keep: Tensor) -> "OwnDesign":
        return OwnDesign(self._rows[keep], self._spectrum[keep])
