"""L2-regularised logistic regression by scikit-learn, which the engine in torch is tested against."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Fit, check_classes
from layerwise.probes.logistic.engines.engine import Engine
from layerwise.probes.problems import Problem


class SklearnEngine:
    """scikit-learn's L-BFGS, one problem and one C at a time; each C starts from the solution for the one before."""

    max_iterations = 2000
    tolerance = 1e-4

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`."""
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


def _start(threads: int, budget_bytes: int) -> ProbeEngine:
    # Its threads are those of the BLAS, which the caller limits. It takes all training rows of a problem at once.
    return SklearnEngine()


ENGINE = Engine("sklearn", _start)
