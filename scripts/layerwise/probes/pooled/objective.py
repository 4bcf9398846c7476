"""What attention probes minimise, and its gradient: one pass over the tokens for all fits.

Notation: J fits, K margins per fit (1 for two classes, else one per class), n pictures of T tokens, width D. A margin
has a query q, a weight w and an intercept b::

    margin = b + sum over t of a_t (w . v_t),    a = softmax over t of q . x_t

x_t are the standardised tokens, v_t the same tokens in units of the standardised means, see
:class:`layerwise.probes.pooled.token_states.TokenStates`. So with q = 0 a margin is that of an ordinary probe of the
mean (attention pooling: Ilse, Tomczak and Welling 2018, arXiv 1802.04712, here without their hidden layer). A fit
minimises

    mean over its items of the log loss + penalty / 2 * (|q|^2 + |w|^2),    penalty = 1 / (C * number of items),

which with q = 0 is the ordinary probe's objective.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from layerwise.probes.logistic.loss import LogLoss
from layerwise.probes.pooled.token_states import TokenStates

# Numbers that a pass holds per picture, token and margin: scores, attention, values, and what becomes of them.
PER_SCORE = 6


class Tokens:
    """Pictures' tokens where they are computed with: on the device if they fit there, else copied part by part."""

    def __init__(self, states: TokenStates, device: torch.device, budget_bytes: int, rows: np.ndarray | None = None):
        """
        Args:
            states: of the layer.
            device: where to compute.
            budget_bytes: of the device's memory, for tokens and what becomes of them.
            rows: the pictures. Default: all, in order.
        """
        self._tokens, self._there = torch.from_numpy(states.tokens), torch.from_numpy(states.there)
        self._index = torch.arange(len(states.tokens)) if rows is None else torch.from_numpy(rows)
        self.n, (_, self._most, self.width) = len(self._index), states.tokens.shape
        self.ratio, self.offset = (torch.from_numpy(part).to(device) for part in (states.ratio, states.offset))
        self._device, self._budget = device, budget_bytes // 2
        self._held = None
        # Where all are read, and on the same device, nothing is read twice.
        again = rows is not None or device.type != "cpu"
        if again and 4 * self.n * self._most * self.width <= self._budget:
            self._held = self._copied(slice(0, self.n))

    def _copied(self, part: slice) -> tuple[Tensor, Tensor]:
        index = self._index[part]
        return self._tokens[index].to(self._device), ~self._there[index].to(self._device)

    def parts(self, margins: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Which of the pictures, their tokens (B, T, D) and which of these are missing (B, T).

        Args:
            margins: that are computed of them at once.
        """
        at_once = max(1, self._budget // (4 * self._most * (self.width + PER_SCORE * margins)))
        for start in range(0, self.n, at_once):
            part = slice(start, min(start + at_once, self.n))
            if self._held is None:
                yield part, *self._copied(part)
            else:
                yield part, self._held[0][part], self._held[1][part]


def split(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and weights (J, K, D) and intercepts (J, K) of parameters (J, K, 2 D + 1)."""
    width = (parameters.shape[-1] - 1) // 2
    return parameters[..., :width], parameters[..., width:-1], parameters[..., -1]


def read(tokens: Tensor, missing: Tensor, queries: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What queries and weights (M, D) make of tokens (B, T, D).

    Returns:
        Attention and values, shapes (B, T, M), and the values' means under the attention, shape (B, M).
    """
    scores = (tokens @ queries.T).masked_fill_(missing[..., None], -torch.inf)
    attention = torch.softmax(scores, dim=1)
    values = tokens @ weights.T
    return attention, values, (attention * values).sum(1)


def margins_of(tokens: Tokens, parameters: Tensor) -> Tensor:
    """Margins of pictures, shape (J, K, n)."""
    queries, weights, intercepts = split(parameters)
    intercepts = intercepts + weights @ tokens.offset
    queries, weights = queries.flatten(0, 1), (weights * tokens.ratio).flatten(0, 1)
    found = parameters.new_empty(len(queries), tokens.n)
    for part, some, missing in tokens.parts(len(queries)):
        found[:, part] = read(some, missing, queries, weights)[2].T
    return found.unflatten(0, parameters.shape[:2]) + intercepts[..., None]


class Objective:
    """The objective of fits that learn from the same pictures."""

    def __init__(self, tokens: Tokens, loss: LogLoss, penalty: Tensor):
        """
        Args:
            tokens: of these pictures.
            loss: of J fits on them.
            penalty: shape (J,).
        """
        self._tokens, self._loss, self._penalty = tokens, loss, penalty

    def take(self, keep: Tensor) -> "Objective":
        """That of the fits ``keep``."""
        return Objective(self._tokens, self._loss.take(keep), self._penalty[keep])

    def __call__(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Values, shape (J,), float64, and the gradient, shape (J, K, 2 D + 1), of parameters of that shape."""
        shape, offset, ratio = parameters.shape[:2], self._tokens.offset, self._tokens.ratio
        queries, weights, intercepts = split(parameters)
        shifted = intercepts + weights @ offset
        flat_queries, flat_weights = queries.flatten(0, 1), (weights * ratio).flatten(0, 1)
        value = parameters.new_zeros(shape[0], dtype=torch.float64)
        gradient = self._penalty[:, None, None] * parameters
        gradient[..., -1] = 0
        of_queries, of_weights, of_intercepts = split(gradient)
        for part, some, missing in self._tokens.parts(len(flat_queries)):
            attention, values, pooled = read(some, missing, flat_queries, flat_weights)
            margins = pooled.T.unflatten(0, shape) + shifted[..., None]
            loss = LogLoss(self._loss.y[..., part], self._loss.shares[..., part])
            value += loss.value(margins).double()
            residuals = loss.residuals(loss.probabilities(margins))
            # Shape (B, T, M): derivatives in the values, then in the scores that the attention is made of.
            along = attention.mul_(residuals.flatten(0, 1).T[:, None])
            steep = values.sub_(pooled[:, None]).mul_(along)
            one = some.flatten(0, 1)
            of_queries += (steep.flatten(0, 1).T @ one).unflatten(0, shape)
            total = residuals.sum(2)
            of_weights += (along.flatten(0, 1).T @ one).unflatten(0, shape) * ratio + total[..., None] * offset
            of_intercepts += total
        squares = queries.square().sum((1, 2)) + weights.square().sum((1, 2))
        return value + 0.5 * (self._penalty * squares).double(), gradient
