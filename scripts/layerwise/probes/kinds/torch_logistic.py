"""L2-regularised logistic regression in torch: the same objective as scikit-learn's, much faster for many labels."""

from layerwise.probes.kinds.kind import ProbeEngine, ProbeKind


def _engine(threads: int, budget_bytes: int) -> ProbeEngine:
    # Not at the top: the process must have chosen its GPU before it imports torch.
    from layerwise.probes.logistic.torch_engine import TorchEngine

    return TorchEngine(threads, host_budget_bytes=budget_bytes)


KIND = ProbeKind("torch", _engine, uses_card=True, takes_counts=True)
