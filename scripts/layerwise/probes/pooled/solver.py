"""Limited-memory BFGS for fits without a shared curvature: each has its own steps, all are evaluated at once."""

from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor

from layerwise.probes.logistic.step_memory import StepMemory

# Evaluations of the objective: each is a pass over the tokens.
MOST_EVALUATIONS = 200
# A lower value counts as so much, in nats: under a weak penalty, items that are told apart fit ever better.
LEAST_VALUE = 0.1
# A step's gain must be this share of what its slope promises (Armijo's condition).
LEAST_GAIN = 1e-4
# Steps shortened in a row before a fit ends.
MOST_SHORTENED = 8
# In float32 a value is only known to some 1e-7.
ROUNDING = 1e-7


class Function(Protocol):
    """The objectives of J fits."""

    def __call__(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values, shape (J,), and the gradient, of the parameters' shape (J, ...)."""
        ...

    def take(self, keep: Tensor) -> Self:
        """Those of the fits ``keep``."""
        ...


def minimise(function: Function, start: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Minimise J objectives, from where they start downhill.

    A fit has converged when the next step promises to gain at most ``tolerance`` of the value, or of
    :data:`LEAST_VALUE` if that is more. The objectives need not
    be convex: what is found is a minimum nearby, and never worse than the start.

    Args:
        function: the objectives.
        start: parameters, shape (J, ...).
        tolerance: relative gain.

    Returns:
        The parameters, and which fits have converged, shape (J,).
    """
    shape = start.shape[1:]
    found, converged = start.clone(), torch.zeros(len(start), dtype=torch.bool, device=start.device)
    fits = torch.arange(len(start), device=start.device)
    now = start.flatten(1)
    value, gradient = _flat(function, now, shape)
    memory, scale = StepMemory.empty(), 1 / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
    direction, length, shortened = -scale * gradient, torch.ones_like(value), torch.zeros_like(fits)
    for evaluation in range(MOST_EVALUATIONS + 1):
        slope = (gradient * direction).sum(1).double()
        # A first step has a length of its own choosing, which promises nothing.
        met = (-slope / 2 <= tolerance * value.clamp_min(LEAST_VALUE)) & (
            torch.tensor(evaluation > 0) | (gradient == 0).all(1)
        )
        done = met | (shortened > MOST_SHORTENED)
        if evaluation == MOST_EVALUATIONS:
            done = torch.ones_like(done)
        if done.any():
            found[fits[done]], converged[fits[done]] = now[done].unflatten(1, shape), met[done]
            keep = torch.nonzero(~done)[:, 0]
            if not len(keep):
                break
            function, memory = function.take(keep), memory.take(keep)
            fits, now, value, gradient, scale, direction, length, shortened, slope = (
                each[keep] for each in (fits, now, value, gradient, scale, direction, length, shortened, slope)
            )
        step = length[:, None].to(now.dtype) * direction
        new_value, new_gradient = _flat(function, now + step, shape)
        taken = new_value <= value + LEAST_GAIN * length * slope + ROUNDING * value.abs()
        change = new_gradient - gradient
        product = (step * change).sum(1, keepdim=True)
        useful = taken[:, None] & (product > 0)
        memory.add(step, change, useful)
        scale = torch.where(useful, product / change.square().sum(1, keepdim=True).clamp_min(1e-30), scale)
        # The least point of the parabola through both values and the slope, within bounds.
        parabola = -slope * length / (2 * (new_value - value - slope * length)).clamp_min(1e-30)
        shorter = length * torch.nan_to_num(parabola, nan=0.1).clamp(0.1, 0.5)
        now = torch.where(taken[:, None], now + step, now)
        value, gradient = torch.where(taken, new_value, value), torch.where(taken[:, None], new_gradient, gradient)
        turned = -memory.apply(gradient, scale.mul)
        direction = torch.where(taken[:, None], turned, direction)
        length = torch.where(taken, torch.ones_like(length), shorter)
        shortened = torch.where(taken, 0, shortened + 1)
    return found, converged


def _flat(function: Callable[[Tensor], tuple[Tensor, Tensor]], now: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    value, gradient = function(now.unflatten(1, shape))
    return value, gradient.flatten(1)
