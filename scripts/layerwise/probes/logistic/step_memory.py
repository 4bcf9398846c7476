"""The steps that limited-memory BFGS remembers, for many fits at once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Number of steps remembered.
MEMORY = 10


@dataclass
class StepMemory:
    """The last steps of J fits and how the gradient changed over them: the curvature that L-BFGS knows.

    Attributes:
        steps, changes: by age, oldest first: shape (J, D) with D = K (r + 1).
        inverse: by age, shape (J, 1): 1 / (step . change), or 0 where a fit has no such pair.
    """

    steps: list[Tensor]
    changes: list[Tensor]
    inverse: list[Tensor]

    @classmethod
    def empty(cls) -> "StepMemory":
        return cls([], [], [])

    def take(self, keep: Tensor) -> "StepMemory":
        """The memory of the fits ``keep``."""
        return StepMemory(*([part[keep] for part in parts] for parts in (self.steps, self.changes, self.inverse)))

    def add(self, step: Tensor, change: Tensor, valid: Tensor) -> None:
        """Remember a pair, shapes (J, D), where ``valid``, shape (J, 1), and forget the oldest beyond the limit."""
        product = (step * change).sum(1, keepdim=True)
        # Rounding can make the product of a tiny step negative; such a pair would spoil the direction.
        valid = valid & (product > 1e-7 * step.norm(dim=1, keepdim=True) * change.norm(dim=1, keepdim=True))
        self.steps.append(step)
        self.changes.append(change)
        self.inverse.append(torch.where(valid, 1 / product, 0))
        if len(self.steps) > MEMORY:
            for parts in (self.steps, self.changes, self.inverse):
                parts.pop(0)

    def forget(self, fits: Tensor) -> None:
        """Drop all pairs of the fits where ``fits``, shape (J,), is true."""
        self.inverse = [torch.where(fits[:, None], 0, inverse) for inverse in self.inverse]

    def apply(self, gradient: Tensor, initial: Callable[[Tensor], Tensor]) -> Tensor:
        """The inverse Hessian's estimate times a gradient (J, D): the two-loop recursion (Nocedal and Wright 2006,
        Numerical Optimization, algorithm 7.4) with ``initial`` as the estimate that the pairs correct."""
        direction, factors = gradient.clone(), []
        for step, change, inverse in zip(
            reversed(self.steps), reversed(self.changes), reversed(self.inverse), strict=True
        ):
            factor = inverse * (step * direction).sum(1, keepdim=True)
            direction.addcmul_(change, factor, value=-1)
            factors.append(factor)
        direction = initial(direction)
        for step, change, inverse, factor in zip(
            self.steps, self.changes, self.inverse, reversed(factors), strict=True
        ):
            direction.addcmul_(step, factor - inverse * (change * direction).sum(1, keepdim=True))
        return direction
