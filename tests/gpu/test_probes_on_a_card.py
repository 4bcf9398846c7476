"""Probes trained on a GPU, against the CPU's."""

import numpy as np
import pytest

from layerwise.probes.fits import log_loss
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.perceptron.engine import PerceptronEngine
from layerwise.probes.problems import Problem

pytestmark = pytest.mark.gpu

C = [0.01, 1.0, 100.0]


def problems(y: np.ndarray, own_rows: bool) -> list[Problem]:
    """A problem for each row of labels, on all items or on a tenth of its own."""
    made = []
    for i, of_label in enumerate(y):
        rows = np.arange(y.shape[1])
        rows = rows[rows % 10 == i] if own_rows else rows
        cut = len(rows) * 3 // 4
        split = {"train": rows[:cut], "val": rows[cut:]}
        labels = {name: of_label[index] for name, index in split.items()}
        made.append(Problem(f"label {i}", int(y.max()) + 1, split, split, split, labels))
    return made


@pytest.mark.parametrize("own_rows", [False, True], ids=["shared rows", "own rows"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_logistic_fits_equal_the_cpus(own_rows, n_classes, card):
    rng = np.random.default_rng(0)
    states = rng.standard_normal((2000, 40), dtype=np.float32) * np.geomspace(1, 0.1, 40, dtype=np.float32)
    scores = states @ rng.standard_normal((3, 40, n_classes)) + rng.standard_normal((3, 2000, n_classes))
    tasks = problems(scores.argmax(-1), own_rows)
    here, there = (TorchEngine(early_end=False, device=device).fit(states, tasks, C) for device in ("cpu", card))
    for one, other in zip(here, there, strict=True):
        assert [fit.C for fit in one] == [fit.C for fit in other] == C
        for a, b in zip(one, other, strict=True):
            assert b.converged
            scale = np.abs(a.coefficients).max()
            assert np.abs(a.coefficients - b.coefficients).max() < 1e-2 * scale


@pytest.mark.parametrize("own_rows", [False, True], ids=["shared rows", "own rows"])
def test_paths_end_where_they_end_on_the_cpu(own_rows, card):
    """The card computes validation losses itself."""
    rng = np.random.default_rng(1)
    states = rng.standard_normal((2000, 40), dtype=np.float32)
    scores = states @ rng.standard_normal((3, 40, 1)) + 20 * rng.standard_normal((3, 2000, 1))
    tasks = problems((scores[..., 0] > 0).astype(np.int64), own_rows)
    strengths = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    here, there = (TorchEngine(device=device).fit(states, tasks, strengths) for device in ("cpu", card))
    ends = [len(path) for path in here]
    assert [len(path) for path in there] == ends
    assert min(ends) < len(strengths)


def test_perceptrons_learn_what_they_learn_on_the_cpu(card):
    """Whether two numbers have the same sign, which no linear probe can tell."""
    rng = np.random.default_rng(0)
    states = rng.standard_normal((3000, 8), dtype=np.float32)
    tasks = problems((states[:, 0] * states[:, 1] > 0)[None].astype(np.int64), own_rows=False)
    losses = {}
    for device in ("cpu", card):
        ((fit,),) = PerceptronEngine(16, 1, 2**28, seed=0, device=device).fit(states, tasks, [1.0])
        losses[device] = log_loss(fit.scores(states[tasks[0].rows["val"]]), tasks[0].y["val"])
    assert losses["cpu"] < 0.3 < np.log(2)
    assert losses[card] == pytest.approx(losses["cpu"], abs=0.03)
