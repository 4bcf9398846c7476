"""``logistic``: logistic regression on one layer, with an L2 penalty whose strength is chosen on validation.

It is fitted in every study, by ``fit_probes.py``, with the engine that the study names.
"""

from layerwise.probes.kinds.kind import ProbeKind
from layerwise.probes.logistic.engines import torch_logistic

# Pairs of matrix products that the torch engine needs per label and C, on average (docs/benchmarks.md).
PAIRS_PER_FIT = 12

KIND = ProbeKind(
    "logistic",
    start=lambda threads, budget_bytes, seed: torch_logistic.ENGINE.start(threads, budget_bytes),
    products=lambda layers, tried: PAIRS_PER_FIT * layers * tried,
    uses_card=True,
)
