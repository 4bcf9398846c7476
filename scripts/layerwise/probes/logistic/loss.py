"""The log loss of many fits, as a function of their margins.

Notation as in :mod:`layerwise.probes.logistic.solver`: J fits, K margins per fit, n rows.
"""

import torch
from torch import Tensor


class LogLoss:
    """The mean log loss of J fits, and its derivatives in the margins.

    Attributes:
        y: shape (J, K, n); for two classes K is 1 and y says whether the second is true, else y is one-hot.
        shares: shape (J, 1, n): the weight of each row in its fit's mean. They sum to 1; rows of other fits have 0.
    """

    def __init__(self, y: Tensor, shares: Tensor):
        self.y, self.shares = y, shares

    def take(self, keep: Tensor) -> "LogLoss":
        """The loss of the fits ``keep``."""
        return LogLoss(self.y[keep], self.shares[keep])

    def frequencies(self) -> Tensor:
        """Share of each margin's class, shape (J, K)."""
        return (self.y * self.shares).sum(2)

    def constant_value(self) -> Tensor:
        """The least value with margins that are equal for all rows, shape (J,)."""
        share = self.frequencies()
        share = torch.cat([share, 1 - share], dim=1) if share.shape[1] == 1 else share
        return torch.special.entr(share).sum(1)

    def value(self, margins: Tensor) -> Tensor:
        """Shape (J,)."""
        # In forms whose rounding errors are small relative to a small loss, not only to a large margin.
        if self.y.shape[1] == 1:
            loss = torch.nn.functional.softplus(margins * (1 - 2 * self.y))
        else:
            loss = torch.logsumexp(margins - (self.y * margins).sum(1, keepdim=True), dim=1, keepdim=True)
        return (loss * self.shares).sum((1, 2))

    def probabilities(self, margins: Tensor) -> Tensor:
        """Shape (J, K, n)."""
        return torch.sigmoid(margins) if self.y.shape[1] == 1 else torch.softmax(margins, dim=1)

    def residuals(self, probabilities: Tensor) -> Tensor:
        """Derivatives of the mean loss in the margins, shape (J, K, n)."""
        return (probabilities - self.y) * self.shares

    def curvature(self, probabilities: Tensor) -> Tensor:
        """Mean p (1 - p) per margin, shape (J, K, 1)."""
        return (probabilities * (1 - probabilities) * self.shares).sum(2, keepdim=True)

    def along(self, probabilities: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """First and second derivative of the mean loss along a step of the margins (J, K, n): shapes (J,)."""
        slope = (self.residuals(probabilities) * step).sum((1, 2))
        weighted = probabilities * step
        if self.y.shape[1] == 1:
            bend = weighted * (step - weighted)
        else:
            bend = (weighted * step).sum(1, keepdim=True) - weighted.sum(1, keepdim=True).square()
        return slope, (bend * self.shares).sum((1, 2))
