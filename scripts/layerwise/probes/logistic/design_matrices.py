"""The design matrices of batched fits: the rows that they learn from, shared by all fits or each fit's own."""

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor

from layerwise.probes.logistic.spectrum import Spectrum


class Pieces:
    """Rows of states on a device, some at a time, so that copies in float64 stay small whatever their number."""

    def __init__(self, states: np.ndarray, device: torch.device):
        """``states``: shape (rows, d)."""
        self._states, self._device = torch.from_numpy(states), device
        on_card = device.type == "cuda"
        # A card needs many at once to be busy, and pinned memory to be reached fast.
        self._rows = 2048 if on_card else 256
        self._buffer = torch.empty(self._rows, states.shape[1], dtype=self._states.dtype, pin_memory=on_card)

    def of(self, index: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
        """Which of the rows ``index``, and their states, shape (rows in the piece, d); the next piece overwrites it."""
        for start in range(0, len(index), self._rows):
            at = slice(start, min(start + self._rows, len(index)))
            piece = self._buffer[: at.stop - at.start]
            # By all threads, which NumPy does not use.
            torch.index_select(self._states, 0, torch.tensor(index[at]), out=piece)
            yield at, piece.to(self._device)


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
        self._index = index
        self.n, self.width = len(index), states.shape[1]
        held = 4 * self.n * self.width <= budget_bytes
        self._block_rows = self.n if held else max(1, int(budget_bytes // (16 * self.width)))
        self._pieces = Pieces(states, device)
        # Allocated once, because repeated allocation would fragment the heap.
        self._block = torch.empty(self._block_rows, self.width, device=device)
        self._centre = torch.from_numpy(mean).to(device)
        self._held = self._load(slice(0, self.n)) if held else None

    def _load(self, rows: slice) -> Tensor:
        loaded = self._block[: rows.stop - rows.start]
        for at, piece in self._pieces.of(self._index[rows]):
            loaded[at] = torch.sub(piece, self._centre)
        return loaded

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order: which, and their values, shape (rows in block, d), float32 on the device.

        A block is overwritten by the next one.
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


def mean_of(states: np.ndarray, index: np.ndarray, device: torch.device) -> np.ndarray:
    """Mean of some rows in float64, shape (d,), without a float64 copy of them all."""
    if device.type == "cpu":
        total = np.zeros(states.shape[1])
        for start in range(0, len(index), 1024):
            total += states[index[start : start + 1024]].sum(axis=0, dtype=np.float64)
        return total / len(index)
    on_card = torch.zeros(states.shape[1], dtype=torch.float64, device=device)
    for _, piece in Pieces(states, device).of(index):
        on_card += piece.sum(0, dtype=torch.float64)
    return on_card.cpu().numpy() / len(index)


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
