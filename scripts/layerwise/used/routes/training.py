"""Train a route through the frozen end of a model, or a probe in its place, by the same optimiser on the same items.

Only what is trained has gradients: the states are given, and the final norm and the output head are constants.
"""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from layerwise.models.interventions.route_paths import Standardised

log = logging.getLogger(__name__)

# Rates of AdamW that are tried; validation chooses, for routes and for the probes that they are compared with.
RATES = (0.01, 0.003, 0.001)
ITEMS_AT_ONCE = 256
MOST_EPOCHS = 200
# Epochs without a lower loss on validation after which training ends.
PATIENCE = 15

Trained = TypeVar("Trained", bound=nn.Module)


@dataclass(frozen=True)
class Fitted(Generic[Trained]):
    """What training found.

    Attributes:
        module: as it was when the validation loss was lowest.
        rate: the learning rate that led there.
        epochs: passes over the training items until then.
        loss_before, loss: on the validation items, before training and then; nats per item.
    """

    module: Trained
    rate: float
    epochs: int
    loss_before: float
    loss: float


def train(
    make: Callable[[], Trained],
    logits: Callable[[Trained, Tensor], Tensor],
    y: Callable[[Tensor], Tensor],
    training: Tensor,
    validation: Tensor,
    seed: int,
) -> Fitted[Trained]:
    """Minimise the cross-entropy of classes with AdamW (arXiv 1711.05101), ended early by the validation items.

    Args:
        make: an untrained module; random parts come from torch's own generator.
        logits: of the module, for some items: shape (n, K).
        y: the classes of some items, shape (n,), where their logits are.
        training, validation: items, by their places; on the CPU.
        seed: for the first weights and the order of items.

    Returns:
        The best over :data:`RATES`. The module as it was made does not count, so that something is always trained.
    """
    found: list[Fitted[Trained]] = []
    for rate in RATES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found.append(_train_at(rate, make(), logits, y, training, validation))
    best = min(found, key=lambda fitted: fitted.loss)
    log.info(
        "validation loss %.4f, after %.4f (rate %g, %d epochs)", best.loss_before, best.loss, best.rate, best.epochs
    )
    return best


def _train_at(
    rate: float,
    module: Trained,
    logits: Callable[[Trained, Tensor], Tensor],
    y: Callable[[Tensor], Tensor],
    training: Tensor,
    validation: Tensor,
) -> Fitted[Trained]:
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate)
    first, best_loss = _loss(module, logits, y, validation), math.inf
    best, best_epoch = module, 0
    for epoch in range(1, MOST_EPOCHS + 1):
        module.train()
        for items in training[torch.randperm(len(training))].split(ITEMS_AT_ONCE):
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(logits(module, items), y(items)).backward()
            optimiser.step()
        loss = _loss(module, logits, y, validation)
        # NaN is never lower.
        if loss < best_loss:
            best, best_epoch, best_loss = copy.deepcopy(module), epoch, loss
        elif epoch - best_epoch >= PATIENCE:
            break
    return Fitted(best.eval(), rate, best_epoch, first, best_loss)


@torch.no_grad()
def _loss(
    module: Trained, logits: Callable[[Trained, Tensor], Tensor], y: Callable[[Tensor], Tensor], items: Tensor
) -> float:
    module.eval()
    total = sum(
        float(functional.cross_entropy(logits(module, some), y(some), reduction="sum"))
        for some in items.split(ITEMS_AT_ONCE)
    )
    return total / len(items)


class ControlProbe(nn.Module):
    """A probe of the last block's output with at least as many trained parameters as a route, as few as that allows.

    With fewer parameters than a linear probe has, it is a linear probe of the leading principal components of the
    training states. With more, it is the whole linear probe, and a layer of hidden units beside it.

    Args:
        width, n_classes: of the states and the task.
        least: trained parameters of the route.
    """

    components: Tensor

    def __init__(self, width: int, n_classes: int, least: int):
        super().__init__()
        # As in logistic regression, one margin tells two classes apart.
        margins = 1 if n_classes == 2 else n_classes
        linear = min(width, max(1, math.ceil(least / margins) - 1))
        self.hidden_units = max(0, math.ceil((least - margins * (width + 1)) / (width + 1 + margins)))
        self.read = Standardised(width)
        self.register_buffer("components", torch.zeros(width, linear))
        self.linear = nn.Linear(linear, margins)
        self.hidden = _hidden_layer(width, self.hidden_units, margins) if self.hidden_units else None
        # Like a route, it says nothing at the start.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def fit_scales(self, top: Tensor) -> None:
        """Standardise, and find principal components, by the training states, shape (n, width)."""
        self.read.fit(top)
        n_components = self.components.shape[1]
        if n_components == top.shape[1]:
            self.components = torch.eye(n_components, device=top.device)
            return
        directions = torch.linalg.svd(self.read(top).double(), full_matrices=False)[2][:n_components]
        self.components[:, : len(directions)] = directions.T.float()

    def forward(self, top: Tensor) -> Tensor:
        """Logits of the classes, shape (n, K); the first of two is 0."""
        standardised = self.read(top)
        margins = self.linear(standardised @ self.components)
        if self.hidden is not None:
            margins = margins + self.hidden(standardised)
        return functional.pad(margins, (1, 0)) if margins.shape[1] == 1 else margins

    @property
    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


def _hidden_layer(width: int, units: int, margins: int) -> nn.Module:
    out = nn.Linear(units, margins, bias=False)
    nn.init.zeros_(out.weight)
    return nn.Sequential(nn.Linear(width, units), nn.GELU(), out)
