"""The ways to the same states, and what is measured of each."""

import statistics
from dataclasses import dataclass, field

import numpy as np

# The greatest relative difference from the plain loop's states, over items and layers.
AGREE = 1e-5


@dataclass
class Way:
    """One way to the states, and what was measured of it.

    Attributes:
        shown: its name on the page.
        tool: whose environment it runs in; ``layerwise`` is this one.
        batch: inputs in a batch.
        cannot: why it could not be run; empty if it was.
        costs: of each round, see :mod:`serving`.
        start: CPU seconds until the model was loaded.
        difference: from the plain loop's states, see :func:`difference`.
    """

    shown: str
    tool: str
    batch: int = 1
    cannot: str = ""
    costs: list[dict[str, float]] = field(default_factory=list)
    start: float = 0
    difference: float = float("nan")

    def median(self, of: str) -> float:
        """Over the rounds."""
        return statistics.median(cost[of] for cost in self.costs)


WAYS = [
    ("this project", "layerwise", 16),
    ("plain loop, one at a time", "plain", 1),
    ("plain loop, batches of 16", "plain", 16),
    ("nnsight, batches of 16", "nnsight", 16),
    ("TransformerLens, one at a time", "transformer_lens", 1),
    ("VLM-Lens, one at a time", "vlm_lens", 1),
]
# The plain loop's states are the measure of the others.
REFERENCE = "plain loop, one at a time"


def difference(states: np.ndarray, truth: np.ndarray) -> float:
    """The greatest norm of a state's error relative to its own; infinite where the shapes differ.

    Args:
        states: shape (inputs, layers, width).
        truth: the same of the plain loop.
    """
    if states.shape != truth.shape:
        return float("inf")
    return float((np.linalg.norm(states - truth, axis=-1) / np.linalg.norm(truth, axis=-1)).max())
