"""Many logistic regressions at once: preconditioned L-BFGS whose every iteration is two matrix products for all fits.

Notation: J fits, K margins per fit (1 for two classes, else one per class), n rows, width r. A fit's parameters are
(K, r + 1), the intercept last; it minimises

    mean over its rows of the log loss + penalty / 2 * |weights|^2,    penalty = 1 / (C * number of rows),

which is scikit-learn's objective divided by C times the number of rows.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from layerwise.probes.logistic.loss import LogLoss
from layerwise.probes.logistic.step_memory import StepMemory

MAX_ITERATIONS = 500
# How flat the line search leaves the slope, relative to the slope it starts from.
FLAT = 0.1
# Finished fits are dropped once they are this share of all: dropping copies the others.
DROP_SHARE = 0.1
# The criterion takes the gain over no weights to be at least this share of the value.
GAIN_FLOOR = 1e-3
# Slowest convergence that the criterion assumes, as a factor from step to step.
SLOWEST = 0.95


class Design(Protocol):
    """The rows that fits learn from, and an estimate of their spectrum."""

    def margins(self, weights: Tensor) -> Tensor:
        """Rows times weights: (J, K, r) to (J, K, n)."""
        ...

    def pull_back(self, residuals: Tensor) -> Tensor:
        """Transposed rows times residuals: (J, K, n) to (J, K, r)."""
        ...

    def precondition(self, gradient: Tensor, curvature: Tensor, penalty: Tensor) -> Tensor:
        """About (curvature * XᵀX / n + penalty)^-1 gradient, for shapes (J, K, r), (J, K, 1) and (J, 1, 1)."""
        ...

    def take(self, keep: Tensor) -> Self:
        """The design of the fits ``keep``, shape (J',), indices."""
        ...


@dataclass
class Solution:
    """J fits.

    Attributes:
        parameters: shape (J, K, r + 1), the intercept last.
        margins: shape (J, K, n), the design's rows times the parameters.
        converged: shape (J,), whether the criterion was met.
        products: matrix-product pairs - rows times weights, and transposed rows times residuals - summed over fits.
    """

    parameters: Tensor
    margins: Tensor
    converged: Tensor
    products: float = 0.0

    def take(self, keep: Tensor) -> "Solution":
        """The solution of the fits ``keep``."""
        return Solution(self.parameters[keep], self.margins[keep], self.converged[keep], self.products)


def blank(loss: LogLoss, width: int) -> Solution:
    """The start of the path: no weights, and the intercepts that fit the classes' frequencies."""
    shares = loss.frequencies()
    if shares.shape[1] == 1:
        intercepts = torch.logit(shares)
    else:
        intercepts = torch.log(shares)
        intercepts -= intercepts.mean(1, keepdim=True)
    parameters = loss.y.new_zeros(*intercepts.shape, width + 1)
    parameters[..., -1] = intercepts
    margins = intercepts[..., None].expand(loss.y.shape).clone()
    return Solution(parameters, margins, torch.zeros(len(parameters), dtype=torch.bool, device=parameters.device))


def line_search(
    loss: LogLoss, margins: Tensor, step: Tensor, ridge: tuple[Tensor, Tensor], length: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Newton's method for the length of a step, on the margins alone, without a matrix product.

    Args:
        loss: of J fits.
        margins: present ones, shape (J, K, n).
        step: of the margins, shape (J, K, n).
        ridge: slope at length 0 and curvature of the penalty along the step, shapes (J,).
        length: to start from, shape (J,).
        slope: the objective's slope at length 0, shape (J,).

    Returns:
        Lengths, shape (J,), and the probabilities there, shape (J, K, n).
    """
    for _ in range(6):
        probabilities = loss.probabilities(torch.addcmul(margins, step, length[:, None, None]))
        first, second = loss.along(probabilities, step)
        first, second = first + ridge[0] + length * ridge[1], second + ridge[1]
        steep = first.abs() > FLAT * slope.abs()
        if not steep.any():
            break
        # Bounded, because the loss is flat far from the optimum and Newton's step then overshoots.
        newton = length - first / second.clamp_min(1e-30)
        length = torch.where(steep, torch.minimum(torch.maximum(newton, 0.1 * length), 4 * length), length)
    else:
        probabilities = loss.probabilities(torch.addcmul(margins, step, length[:, None, None]))
    return length, probabilities


def extrapolate(loss: LogLoss, now: Solution, before: Solution, penalty: Tensor) -> Solution:
    """Extrapolate the path's last step as far as it pays under the next penalty; cheap, because margins are linear.

    Args:
        loss: of J fits.
        now: their last solution.
        before: the one before it, of a greater penalty.
        penalty: the next one, shape (J,).
    """
    stretch, step = now.parameters - before.parameters, now.margins - before.margins
    weights, along = now.parameters[..., :-1], stretch[..., :-1]
    ridge = penalty * (weights * along).sum((1, 2)), penalty * along.square().sum((1, 2))
    slope = loss.along(loss.probabilities(now.margins), step)[0] + ridge[0]
    length, _ = line_search(loss, now.margins, step, ridge, torch.full_like(slope, 0.8), slope)
    length = torch.where(slope < 0, length, 0)[:, None, None]
    margins = torch.addcmul(now.margins, step, length)
    parameters = torch.addcmul(now.parameters, stretch, length)
    start = Solution(parameters, margins, now.converged)
    # Extrapolating a separable problem far can still make it worse; then start from the last solution.
    worse = _objective(loss, start, penalty) > _objective(loss, now, penalty)
    start.parameters = torch.where(worse[:, None, None], now.parameters, parameters)
    start.margins = torch.where(worse[:, None, None], now.margins, margins)
    return start


def _objective(loss: LogLoss, solution: Solution, penalty: Tensor) -> Tensor:
    return loss.value(solution.margins) + 0.5 * penalty * solution.parameters[..., :-1].square().sum((1, 2))


def solve(design: Design, loss: LogLoss, penalty: Tensor, start: Solution, tolerance: float) -> Solution:
    """Minimise J objectives.

    A fit is finished when its predicted excess over the minimum is at most ``tolerance`` times its value, or times what
    its weights gain over none, where that is less: under a strong penalty all margins are small, and an excess that is
    small beside the value could still change the order of many rows. The fit's quadratic model predicts gᵀHg / 2 for
    the next step, with gradient g and inverse Hessian estimate H. If predictions fall by a factor q from step to step,
    all steps to come sum to 1 / (1 - q) times the next one; this sum is the predicted excess.

    Args:
        design: the rows.
        loss: of J fits.
        penalty: shape (J,).
        start: where to start.
        tolerance: relative excess.

    Returns:
        The fits. One that reaches the limit of iterations, or that float32 cannot improve further, is marked as not
        converged.
    """
    parameters, margins = start.parameters, start.margins
    found = Solution(torch.empty_like(parameters), torch.empty_like(margins), torch.zeros_like(start.converged), 0.0)
    memory = StepMemory.empty()
    fits = torch.arange(len(parameters), device=parameters.device)
    failures = torch.zeros_like(fits)
    constant = loss.constant_value()

    def gradient_of(probabilities: Tensor) -> Tensor:
        residuals = loss.residuals(probabilities)
        gradient = torch.empty_like(parameters)
        gradient[..., :-1] = design.pull_back(residuals)
        gradient[..., :-1] += penalty[:, None, None] * parameters[..., :-1]
        gradient[..., -1] = residuals.sum(2)
        return gradient.flatten(1)

    def initial(direction: Tensor) -> Tensor:
        direction = direction.view_as(parameters)
        scaled = torch.empty_like(direction)
        scaled[..., :-1] = design.precondition(direction[..., :-1], curvature, penalty[:, None, None])
        scaled[..., -1:] = direction[..., -1:] / curvature
        return scaled.flatten(1)

    def value_at(margins: Tensor, parameters: Tensor) -> Tensor:
        return loss.value(margins) + 0.5 * penalty * parameters[..., :-1].square().sum((1, 2))

    # Without a step to compare with, each step is assumed to halve the excess.
    previous = torch.full_like(penalty, float("nan"))
    probabilities = loss.probabilities(margins)
    gradient = gradient_of(probabilities)
    found.products += 0.5 * len(fits)
    value = value_at(margins, parameters)
    for iteration in range(MAX_ITERATIONS + 1):
        curvature = loss.curvature(probabilities).clamp_min(1e-6)
        direction = -memory.apply(gradient, initial)
        slope = (gradient * direction).sum(1)
        # The floor keeps fits of labels that the rows say nothing about from chasing rounding errors.
        scale = torch.minimum(value, (constant - value).clamp_min(GAIN_FLOOR * value))
        predicted = -slope / 2
        rate = torch.where(previous > 0, predicted / previous, 0.5)
        ahead = predicted / (1 - rate.clamp(0, SLOWEST))
        met = ahead <= tolerance * scale
        previous = predicted
        done = met | (failures > 1)
        if iteration == MAX_ITERATIONS:
            done = torch.ones_like(done)
        if done.sum() >= DROP_SHARE * len(fits):
            ended = fits[done]
            found.parameters[ended], found.margins[ended] = parameters[done], margins[done]
            found.converged[ended] = met[done]
            keep = torch.nonzero(~done)[:, 0]
            if not len(keep):
                break
            design, loss, memory = design.take(keep), loss.take(keep), memory.take(keep)
            fits, failures, parameters, margins, penalty, curvature, probabilities, gradient, value = (
                part[keep]
                for part in (fits, failures, parameters, margins, penalty, curvature, probabilities, gradient, value)
            )
            direction, slope, constant, previous = direction[keep], slope[keep], constant[keep], previous[keep]

        move = direction.view_as(parameters)
        step = design.margins(move[..., :-1]) + move[..., -1:]
        weights, along = parameters[..., :-1], move[..., :-1]
        ridge = penalty * (weights * along).sum((1, 2)), penalty * along.square().sum((1, 2))
        _, bend = loss.along(probabilities, step)
        length = -slope / (bend + ridge[1]).clamp_min(1e-30)
        length, new_probabilities = line_search(loss, margins, step, ridge, length, slope)
        new_margins = torch.addcmul(margins, step, length[:, None, None])
        new_parameters = torch.addcmul(parameters, move, length[:, None, None])
        new_value = value_at(new_margins, new_parameters)
        # In float32 the value is only known to some 1e-7.
        failed = ~(new_value <= value * (1 + 1e-6))
        any_failed = bool(failed.any())
        if any_failed:
            stay = failed[:, None, None]
            new_margins = torch.where(stay, margins, new_margins)
            new_parameters = torch.where(stay, parameters, new_parameters)
            new_probabilities = torch.where(stay, probabilities, new_probabilities)
            new_value = torch.where(failed, value, new_value)
        change_of_parameters = (new_parameters - parameters).flatten(1)
        parameters, margins, value, probabilities = new_parameters, new_margins, new_value, new_probabilities
        new_gradient = gradient_of(probabilities)
        found.products += len(fits)
        memory.add(change_of_parameters, new_gradient - gradient, ~failed[:, None])
        gradient = new_gradient
        # A step that does not pay is retried once without memory; failing again ends the fit.
        failures = torch.where(failed, failures + 1, 0)
        if any_failed:
            memory.forget(failed)
    return found
