"""The embedded model's optimizers: Muon for its weight matrices, AdamW for everything else."""

import math
from collections.abc import Iterable

import torch

# Coefficients of the iteration, from Keller Jordan's page (https://kellerjordan.github.io/posts/muon).
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates of matrices (https://kellerjordan.github.io/posts/muon).

    ``torch.optim.Muon`` does the same in bfloat16 and one matrix at a time, which is many times slower on a processor
    without bfloat16 instructions. Here all matrices of a shape are updated together, in their own precision.
    """

    def __init__(self, matrices: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for (rows, columns), matrices in by_shape.items():
                updates = orthogonal(torch.stack([self._with_momentum(m, group["momentum"]) for m in matrices]))
                rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.sub_(update, alpha=rate)

    def _with_momentum(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        """The gradient with Nesterov's momentum."""
        mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
        mean.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(mean, momentum)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices (N, R, C) with the same singular vectors and singular values near 1, by Newton-Schulz iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x.mT if tall else x


class Optimizers:
    """Muon for the weight matrices, AdamW for everything else; linear warm-up and decay.

    Muon needs about a third of AdamW's steps here. ``shared``: the word vectors, which are also the output matrix;
    AdamW updates them.
    """

    def __init__(
        self,
        parameters: list[torch.nn.Parameter],
        steps: int,
        matrix_rate: float,
        other_rate: float,
        shared: torch.nn.Parameter | None = None,
    ) -> None:
        matrices = [p for p in parameters if p.ndim == 2 and p is not shared]
        matrix_ids = {id(p) for p in matrices}
        others = [p for p in parameters if id(p) not in matrix_ids]
        self._parameters = parameters
        self._optimizers = [
            Muon(matrices, matrix_rate),
            torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
            for optimizer in self._optimizers
        ]

    def step(self, loss: torch.Tensor) -> None:
        """One step down the loss; gradients are clipped to norm 1 and cleared."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for optimizer, schedule in zip(self._optimizers, self._schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def _rate(step: int, steps: int) -> float:
    """Learning rate as a share of the largest: it rises over the first twentieth of the steps and falls over the last
    quarter."""
    return min(1.0, (step + 1) / max(1.0, 0.05 * steps), max(0.02, (steps - step) / (0.25 * steps)))
