"""The engines by name: the reference, which is scikit-learn, and the fast one. What is not used is not imported."""

from collections.abc import Callable

from layerwise.probes.engine import ProbeEngine


def _torch_engine(threads: int, budget_bytes: int) -> ProbeEngine:
    from layerwise.probes.torch_engine import TorchEngine

    return TorchEngine(threads, host_budget_bytes=budget_bytes)


def _sklearn_engine(threads: int, budget_bytes: int) -> ProbeEngine:
    from layerwise.probes.sklearn_engine import SklearnEngine

    # Its threads are those of the BLAS, which the caller limits; it takes all training rows of a problem at once.
    return SklearnEngine()


# By name, how to make an engine for a number of threads and so many bytes of memory.
ENGINES: dict[str, Callable[[int, int], ProbeEngine]] = {"torch": _torch_engine, "sklearn": _sklearn_engine}
