"""The reference engine: scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from layerwise.probes.engine import Fit, check_classes
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
