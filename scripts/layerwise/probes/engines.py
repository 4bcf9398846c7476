"""The engines by name: the reference, which is scikit-learn, and the fast one."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerwise.probes.engine import Fit, ProbeEngine, check_classes
from layerwise.probes.problems import Problem


class SklearnEngine:
    """The reference: scikit-learn's L-BFGS, one problem and one C at a time, each C started from the one before."""

    max_iterations = 2000
    tolerance = 1e-4

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """See :meth:`ProbeEngine.fit`."""
        check_classes(problems)
        return [self._path(states[problem.rows["train"]], problem.y["train"], C) for problem in problems]

    def _path(self, states: np.ndarray, y: np.ndarray, C: list[float]) -> list[Fit]:
        model = LogisticRegression(warm_start=True, max_iter=self.max_iterations, tol=self.tolerance)
        fits = []
        for strength in C:
            model.set_params(C=strength).fit(states, y)
            converged = bool((model.n_iter_ < self.max_iterations).all())
            fits.append(Fit(model.coef_.copy(), model.intercept_.copy(), strength, converged))
        return fits


def _torch_engine(threads: int, budget_bytes: int) -> ProbeEngine:
    # Importing torch takes seconds, which the other engine need not pay.
    from layerwise.probes.torch_engine import TorchEngine

    return TorchEngine(threads, host_budget_bytes=budget_bytes)


def _sklearn_engine(threads: int, budget_bytes: int) -> ProbeEngine:
    # Its threads are those of the BLAS, which the caller limits; it takes all training rows of a problem at once.
    return SklearnEngine()


# By name, how to make an engine for a number of threads and so many bytes of memory.
ENGINES: dict[str, Callable[[int, int], ProbeEngine]] = {"torch": _torch_engine, "sklearn": _sklearn_engine}
