"""Estimates of the spectrum of a design's rows, which precondition the solver."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

# Rank of the sketch, and rows on which the rest of the spectrum is measured.
SKETCH_RANK = 256
REST_ROWS = 512

Blocks = Callable[[], Iterator[tuple[slice, Tensor]]]


class Spectrum:
    """XᵀX / n as axes U with eigenvalues, and one value, ``rest``, for all directions that U leaves out."""

    def __init__(self, axes: Tensor | None, values: Tensor, rest: float = 0.0):
        """
        Args:
            axes: shape (d, r), orthonormal; None where the coordinates are the axes themselves.
            values: shape (r,).
            rest: mean of the eigenvalues that are left out.
        """
        self.axes, self.values, self.rest = axes, values, rest

    def solve(self, gradient: Tensor, curvature: Tensor, penalty: Tensor) -> Tensor:
        """(curvature * XᵀX / n + penalty)^-1 gradient, for shapes (J, K, d), (J, K, 1) and (J, 1, 1)."""
        scale = 1 / (curvature * self.values + penalty)
        if self.axes is None:
            return gradient * scale
        outside = 1 / (curvature * self.rest + penalty)
        inside = (gradient @ self.axes) * (scale - outside)
        return torch.addcmul(inside @ self.axes.T, gradient, outside)


def sketched(blocks: Blocks, n: int, width: int, device: torch.device) -> Spectrum:
    """The leading eigenvectors from a random sketch with one power iteration.

    Halko, Martinsson and Tropp 2011, Finding structure with randomness, algorithm 4.4 (SIAM Review 53, page 244); used
    as a preconditioner as in Frangella, Tropp and Udell 2023, Randomized Nyström preconditioning, section 5.

    Args:
        blocks: the rows X.
        n: their number.
        width: their width d.
        device: where they are.
    """
    rank = min(SKETCH_RANK, width, n)
    # On the CPU, so that the numbers are the same on every device.
    axes = torch.randn(width, rank, generator=torch.Generator().manual_seed(0)).to(device)
    for _ in range(2):
        product = torch.zeros_like(axes)
        for _, block in blocks():
            product.addmm_(block.T, block @ axes)
        axes = torch.linalg.qr(product)[0]
    small = torch.zeros(rank, rank, dtype=torch.float64, device=device)
    rest, seen = 0.0, 0
    for _, block in blocks():
        projected = block @ axes
        small += (projected.T @ projected).double()
        every = max(1, n // REST_ROWS)
        left = block[::every] - projected[::every] @ axes.T
        rest, seen = rest + float(left.double().square().sum()), seen + len(left)
    values, rotation = torch.linalg.eigh(small / n)
    axes = (axes.double() @ rotation).float()
    return Spectrum(axes, values.clamp_min(0).float(), rest / seen / max(width - rank, 1))


def whole(blocks: Blocks, n: int, width: int, device: torch.device) -> Spectrum:
    """All eigenvectors, for rows X of shape (n, d) with n well above d; see :func:`sketched`."""
    gram = torch.zeros(width, width, dtype=torch.float64, device=device)
    for _, block in blocks():
        for piece in block.split(4096):
            wide = piece.double()
            gram.addmm_(wide.T, wide)
    values, axes = torch.linalg.eigh(gram / n)
    return Spectrum(axes.float(), values.clamp_min(0).float())


class Basis:
    """At most min(n, d) coordinates for few rows or few dimensions, with a diagonal Gram matrix.

    Rotation leaves the penalty as it is, and weights outside the rows' span only add to it. So the fit in these
    coordinates is the fit in the original ones.

    Attributes:
        axes: shape (d, r), orthonormal.
        rows: the rows in these coordinates, shape (n, r).
        values: the diagonal of rowsᵀ rows / n, shape (r,).
    """

    def __init__(self, rows: np.ndarray, device: torch.device):
        """
        Args:
            rows: shape (n, d), float64, centred.
            device: where to compute.
        """
        wide = torch.from_numpy(rows).to(device)
        n, width = wide.shape
        values, vectors = torch.linalg.eigh(_gram(wide if n < width else wide.T))
        # At least one, so that equal rows have coordinates too.
        kept = max(1, int((values > 1e-13 * n * values[-1].clamp_min(1e-300)).sum()))
        values, vectors = values[-kept:].clamp_min(0), vectors[:, -kept:]
        if n < width:
            root = values.sqrt()
            inverse = torch.where(root > 0, 1 / root, 0)
            # float32 is enough: its errors in the axes of small spread are no greater than those of margins in float32.
            axes, coordinates = wide.float().T @ (vectors * inverse).float(), vectors * root
        else:
            axes, coordinates = vectors, wide @ vectors
        self.axes, self.rows, self.values = axes.float(), coordinates.float(), (values / n).float()


def _gram(rows: Tensor) -> Tensor:
    """Rows times transposed rows."""
    if rows.device.type == "cpu":
        # NumPy knows that the result is symmetric and computes half of it.
        matrix = rows.numpy()
        return torch.from_numpy(matrix @ matrix.T)
    return rows @ rows.T
