"""L2-regularised logistic regression in torch: the same objective as scikit-learn's, much faster for many labels."""

from layerwise.probes.engine import ProbeEngine
from layerwise.probes.logistic.engines.engine import Engine


def _start(threads: int, budget_bytes: int) -> ProbeEngine:
    # Not at the top: the process must have chosen its GPU before it imports torch.
    from layerwise.probes.logistic.torch_engine import TorchEngine

    return TorchEngine(threads, host_budget_bytes=budget_bytes)


ENGINE = Engine("torch", _start, uses_card=True)
