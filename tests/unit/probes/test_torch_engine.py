"""The torch engine against scikit-learn at tight tolerance, on friendly and on hostile data."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from layerwise.errors import InputError
from layerwise.probes.fits import Fit, choose, log_loss, margins
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.probes.logistic import torch_engine
from layerwise.probes.logistic.design_matrices import HeldRows
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.problems import Problem, standardise

C = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]


def states_like(n: int, d: int, seed: int = 0) -> np.ndarray:
    """A power-law spectrum, a mean off zero, and two dimensions 100 times larger, as hidden states have them."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    states = rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5 @ axes + 0.5 * rng.normal(size=d)
    states[:, :2] = states[:, :2] * 100 + 30
    return states.astype(np.float32)


def labels_of(states: np.ndarray, n_labels: int, n_classes: int = 2, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """Shape (n_labels, n): noisy linear functions of the standardised states, cut into classes."""
    rng = np.random.default_rng(seed)
    spread = states.std(axis=0)
    clean = (states - states.mean(axis=0)) / np.where(spread > 0, spread, 1)
    y = []
    for _ in range(n_labels):
        score = clean @ rng.normal(size=(states.shape[1], n_classes)) / np.sqrt(states.shape[1])
        y.append((score + noise * rng.normal(size=score.shape)).argmax(axis=1))
    return np.array(y)


def problem(y: np.ndarray, train: np.ndarray, val: np.ndarray, label: str = "x") -> Problem:
    rows = {"train": train, "val": val}
    n_classes = int(y.max()) + 1
    return Problem(label, n_classes, rows, rows, rows, {split: y[index] for split, index in rows.items()})


def problems_of(y: np.ndarray, n_train: int) -> list[Problem]:
    rows = np.arange(y.shape[1])
    return [problem(of_label, rows[:n_train], rows[n_train:], f"label {i}") for i, of_label in enumerate(y)]


def objective(states: np.ndarray, y: np.ndarray, fit: Fit) -> float:
    """scikit-learn's objective in float64."""
    coefficients = fit.coefficients.astype(np.float64)
    scores = states.astype(np.float64) @ coefficients.T + fit.intercepts
    return len(y) * log_loss(scores, y) + float((coefficients**2).sum()) / (2 * fit.C)


def reference(states: np.ndarray, y: np.ndarray, strength: float) -> Fit:
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    # Coordinates in which the same objective is easy for any solver: scaled rows of raw states are not.
    mean = states.mean(axis=0, dtype=np.float64)
    model.fit(states.astype(np.float64) - mean, y)
    return Fit(model.coef_, model.intercept_ - model.coef_ @ mean, strength, True)


def assert_agrees(states: np.ndarray, problems: list[Problem], paths: list[list[Fit]], strengths=C) -> None:
    """Relative excess of the objective at most 1e-5, accuracy on validation rows within 0.001, all converged."""
    for task, path in zip(problems, paths, strict=True):
        rows, y = task.rows, task.y
        assert [fit.C for fit in path] == list(strengths)
        for fit in path:
            best = reference(states[rows["train"]], y["train"], fit.C)
            least = objective(states[rows["train"]], y["train"], best)
            assert fit.converged, (task.label, fit.C)
            assert objective(states[rows["train"]], y["train"], fit) <= least * (1 + 1e-5), (task.label, fit.C)
            accuracy = [(predicted(f.scores(states[rows["val"]])) == y["val"]).mean() for f in (fit, best)]
            assert accuracy[0] == pytest.approx(accuracy[1], abs=0.001 + 1e-9), (task.label, fit.C)


def whole_path(**options) -> TorchEngine:
    return TorchEngine(early_end=False, device="cpu", **options)


SHAPES = {"n > d": (900, 60), "n < d": (150, 200)}


@pytest.mark.parametrize("kind", ["standardised", "raw"])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_scikit_learn(shape, kind):
    n, d = SHAPES[shape]
    states = states_like(n + 4000, d)
    if kind == "standardised":
        states = standardise(states, np.arange(n))
    problems = problems_of(labels_of(states, 3), n)
    assert_agrees(states, problems, whole_path().fit(states, problems, C))


def test_agrees_by_sketch(monkeypatch):
    """Wide states: the preconditioner knows the leading directions only."""
    monkeypatch.setattr("layerwise.probes.logistic.torch_engine.SMALL", 0)
    monkeypatch.setattr("layerwise.probes.logistic.spectrum.SKETCH_RANK", 20)
    states = states_like(4600, 100)
    problems = problems_of(labels_of(states, 2), 600)
    assert_agrees(states, problems, whole_path().fit(states, problems, C))


@pytest.mark.parametrize("n_margins", [1, 3])
def test_validation_losses_are_those_of_each_problems_own_items(monkeypatch, n_margins):
    """Of rows that problems share in part, that occur twice, or that there are none of; also in several portions."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.standard_normal((30, 6), dtype=np.float32))
    places = [rng.integers(0, 30, n) for n in (12, 0, 25)]
    y = [rng.integers(0, max(2, n_margins), len(of_one)) for of_one in places]
    held_out = torch_engine._SharedHeldOut(HeldRows(rows), places, y, rows.device)
    parameters = 20 * torch.from_numpy(rng.standard_normal((3, n_margins, 7), dtype=np.float32))
    margins = [rows.numpy() @ one[:, :-1].T + one[:, -1] for one in parameters.numpy()]
    expected = [log_loss(margins[i][places[i]], y[i]) if len(y[i]) else np.nan for i in range(3)]
    for portion in (2**22, 1):
        monkeypatch.setattr(torch_engine, "HELD_OUT_NUMBERS", portion)
        found = held_out.losses(parameters, np.arange(3))
        assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert held_out.losses(parameters[[2, 0]], np.array([2, 0])) == pytest.approx([found[2], found[0]])


def test_separable_data():
    states = standardise(states_like(4400, 40), np.arange(400))
    problems = problems_of(labels_of(states, 2, noise=0), 400)
    assert_agrees(states, problems, whole_path().fit(states, problems, [*C, 1000.0]), [*C, 1000.0])


def test_constant_columns():
    states = states_like(4300, 30)
    states[:, 3], states[:, 4] = 7, 0
    problems = problems_of(labels_of(states, 2), 300)
    paths = whole_path().fit(states, problems, C)
    assert_agrees(states, problems, paths)
    assert np.abs(paths[0][-1].coefficients[0, 3:5]).max() < 1e-6


@pytest.mark.parametrize("d", [5, 50])
def test_states_that_are_all_the_same(d):
    """Then the intercept is all there is."""
    y = np.tile([1, 0, 0, 0], 10)
    states = np.full((40, d), 3, dtype=np.float32)
    fit = whole_path().fit(states, problems_of(y[None], 20), [1.0])[0][0]
    assert fit.scores(states)[0, 0] == pytest.approx(np.log(1 / 3), abs=1e-4)
    assert (fit.coefficients == 0).all()


def test_two_rows():
    states = np.array([[1.0, 2, 3], [3, 2, 0], [1, 1, 1], [0, 0, 0]], dtype=np.float32)
    tasks = problems_of(np.array([[0, 1, 0, 1]]), 2)
    fits = whole_path().fit(states, tasks, [0.1, 1.0])[0]
    for fit in fits:
        best = reference(states[:2], np.array([0, 1]), fit.C)
        assert np.allclose(fit.coefficients, best.coefficients, atol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_without_training_items_is_refused(engine, n_classes):
    states = states_like(60, 5)
    y = np.arange(60) % n_classes
    task = replace(problem(y, np.flatnonzero(y > 0)[:20], np.arange(30, 60)), label="zebra")
    with pytest.raises(InputError, match="label 'zebra' has no training item of class 0"):
        ENGINES[engine].start(1, 2**30).fit(states, [task], [1.0])


def test_subsets_of_common_rows():
    """Folds: every column weighs the shared rows by 0 or 1."""
    states = states_like(4800, 40)
    y = labels_of(states, 1)[0]
    folds = np.arange(800) % 4
    problems = [problem(y, np.flatnonzero(folds != k), np.arange(800, 4800), f"fold {k}") for k in range(4)]
    problems.append(problem(y, np.arange(800), np.arange(800, 4800), "all"))
    engine = whole_path()
    (batch,) = engine._batches(states, problems)
    assert len(batch.members) == 5
    assert_agrees(states, problems, engine.fit(states, problems, C))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_items_that_share_a_row_keep_their_own_labels(n_classes):
    """Texts without an image: one row of the states, several items, and labels that may contradict one another."""
    states = standardise(states_like(4500, 40), np.arange(500))
    rng = np.random.default_rng(3)
    # 500 rows that 2000 training items share, and a validation row for each of 4000 items.
    row = np.concatenate([rng.integers(0, 500, 2000), np.arange(500, 4500)])
    score = states @ rng.normal(size=(40, n_classes)) / 6
    y = (score[row] + rng.normal(size=(6000, n_classes))).argmax(axis=1)
    train, val = np.arange(2000), np.arange(2000, 6000)
    rows = {"train": row[train], "val": row[val]}
    items = Problem("text", n_classes, rows, rows, rows, {"train": y[train], "val": y[val]})
    # Another problem has each row once, and so another share of it.
    rows_once = {"train": np.unique(row[train]), "val": row[val]}
    y_once = {split: score[index].argmax(axis=1) for split, index in rows_once.items()}
    others = Problem("once", n_classes, rows_once, rows_once, rows_once, y_once)
    assert len(rows_once["train"]) < 500
    assert_agrees(states, [items, others], whole_path().fit(states, [items, others], C))


@pytest.mark.parametrize("d", [30, 120])
def test_rows_of_their_own(d):
    """Category cues: no label multiplies the rows of another, and differing sizes are padded."""
    sizes = [60, 90, 80, 70, 60, 90, 75, 65, 80, 100, 61]
    starts = np.cumsum([0, *sizes])
    states = states_like(starts[-1] + 4000, d)
    y = labels_of(states, 1)[0]
    problems = [problem(y, np.arange(a, b), np.arange(starts[-1], len(y)), f"from {a}") for a, b in pairwise(starts)]
    # A control on the rows of the first.
    shuffled = y.copy()
    shuffled[:60] = np.random.default_rng(0).permutation(y[:60])
    problems.append(problem(shuffled, np.arange(60), problems[0].rows["val"], "control"))
    engine = whole_path()
    (batch,) = engine._batches(states, problems)
    assert batch.design.margins(batch.loss.y.new_zeros(12, 1, batch.width)).shape == (12, 1, 100)
    assert_agrees(states, problems, engine.fit(states, problems, C))
    # In turns, where the budget does not hold all.
    bounded = whole_path(host_budget_bytes=4 * 1200 * 100 * 3)
    assert len(list(bounded._batches(states, problems))) > 1
    assert_agrees(states, problems, bounded.fit(states, problems, C))


@pytest.mark.parametrize("own", [False, True])
def test_more_than_two_classes(own):
    states = states_like(5200, 40)
    y = labels_of(states, 3, n_classes=3)
    problems = problems_of(y, 600)
    if own:
        rows = np.arange(1200).reshape(12, 100)
        problems = [problem(y[0], part, np.arange(1200, 5200), f"from {part[0]}") for part in rows]
    assert_agrees(states, problems, whole_path().fit(states, problems, C))


def test_tasks_of_two_and_three_classes_together():
    states = states_like(4400, 20)
    problems = [*problems_of(labels_of(states, 1, 3), 400), *problems_of(labels_of(states, 2), 400)]
    paths = whole_path().fit(states, problems, C)
    assert [path[0].coefficients.shape for path in paths] == [(3, 20), (1, 20), (1, 20)]
    assert_agrees(states, problems, paths)


@pytest.mark.parametrize("small", [0, 1024])
def test_row_blocks_equal_one_block(small, monkeypatch):
    monkeypatch.setattr("layerwise.probes.logistic.torch_engine.SMALL", small)
    states = standardise(states_like(4500, 50), np.arange(500))
    problems = problems_of(labels_of(states, 2), 500)
    blocked = whole_path(host_budget_bytes=16 * 50 * 64)
    (batch,) = blocked._batches(states, problems)
    assert [len(block) for _, block in batch.design._rows.blocks()] == [64] * 7 + [52]
    for one, many in zip(whole_path().fit(states, problems, C), blocked.fit(states, problems, C), strict=True):
        for fit, of_blocks in zip(one, many, strict=True):
            train = problems[0].rows["train"]
            assert np.allclose(fit.scores(states[train]), of_blocks.scores(states[train]), atol=5e-3)
    assert_agrees(states, problems, blocked.fit(states, problems, C))


def chosen_C(fits, states, task):
    return choose(fits, states, task.rows["val"], task.y["val"]).C


def test_a_layer_on_disk_gives_the_same_fits(tmp_path):
    states = states_like(900, 64)
    problems = problems_of(labels_of(states, 4), 600)
    expected = whole_path().fit(standardise(states.copy(), np.arange(600)), problems, C)
    with layer_buffer(states.shape, states.nbytes - 1, tmp_path) as room:
        assert isinstance(room, np.memmap)
        assert not list(tmp_path.iterdir())
        room[:] = states
        on_disk = standardise(room, np.arange(600))
        found = whole_path(host_budget_bytes=16 * 50 * 64).fit(on_disk, problems, C)
        for ours, theirs, task in zip(expected, found, problems, strict=True):
            both = (margins(fits, on_disk, task.rows["val"]) for fits in (ours, theirs))
            assert all(np.allclose(first, second, atol=5e-3) for first, second in zip(*both, strict=True))
    with layer_buffer(states.shape, states.nbytes, tmp_path) as room:
        assert not isinstance(room, np.memmap)


def test_no_room_on_disk_is_said_before_anything_is_computed(tmp_path):
    with (
        pytest.raises(InputError, match=f"{tmp_path}: no room for a layer of 4503599.6 GB"),
        layer_buffer((2**40, 2**10), 2**30, tmp_path),
    ):
        pass


def test_early_end_chooses_as_the_whole_path_does():
    strengths = [10.0**k for k in range(-6, 4)]
    states = standardise(states_like(1100, 300), np.arange(600))
    y = np.vstack([labels_of(states, 4, noise=noise, seed=i) for i, noise in enumerate([0.1, 0.5, 1, 3, 10])])
    problems = problems_of(y, 600)
    full, early = whole_path(), TorchEngine(device="cpu")
    whole, ended = full.fit(states, problems, strengths), early.fit(states, problems, strengths)
    chosen = set()
    for task, fits, fewer in zip(problems, whole, ended, strict=True):
        val = states[task.rows["val"]]
        assert chosen_C(fits, states, task) == chosen_C(fewer, states, task)
        assert [fit.C for fit in fewer] == strengths[: len(fewer)]
        # A path goes on as its own when others have ended.
        for a, b in zip(fits, fewer, strict=False):
            assert log_loss(b.scores(val), task.y["val"]) == pytest.approx(
                log_loss(a.scores(val), task.y["val"]), rel=0.02
            )
        chosen.add(chosen_C(fits, states, task))
    assert len(chosen) > 1
    assert all(len(fewer) < len(fits) for fits, fewer in zip(whole, ended, strict=True))
    assert early.products < 0.8 * full.products


def test_two_rises_in_a_row_end_a_path():
    from layerwise.probes.logistic.torch_engine import _rose_twice

    assert _rose_twice([3, 1, 2, 2.5])
    assert not _rose_twice([3, 1, 2])
    assert not _rose_twice([1, 2, 1.5, 1.7])
    assert not _rose_twice([1, 2, 2])


def test_without_validation_rows_the_path_is_whole():
    states = states_like(400, 10)
    task = problem(labels_of(states, 1)[0], np.arange(300), np.arange(0))
    assert [fit.C for fit in TorchEngine(device="cpu").fit(states, [task], C)[0]] == C


def test_an_unconverged_fit_says_so(monkeypatch):
    monkeypatch.setattr("layerwise.probes.logistic.solver.MAX_ITERATIONS", 1)
    states = states_like(500, 40)
    fits = whole_path().fit(states, problems_of(labels_of(states, 1), 400), [10.0])[0]
    assert not fits[0].converged


def test_a_fit_is_the_same_every_time(monkeypatch):
    monkeypatch.setattr("layerwise.probes.logistic.torch_engine.SMALL", 0)
    monkeypatch.setattr("layerwise.probes.logistic.spectrum.SKETCH_RANK", 10)
    states = standardise(states_like(700, 50), np.arange(500))
    problems = problems_of(labels_of(states, 3), 500)
    first, second = (TorchEngine(device="cpu").fit(states, problems, C) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a.coefficients, b.coefficients)
            assert np.array_equal(a.intercepts, b.intercepts)


def test_engines_choose_alike():
    states = standardise(states_like(900, 60), np.arange(500))
    problems = problems_of(labels_of(states, 4), 500)
    for task, ours, theirs in zip(
        problems,
        TorchEngine(device="cpu").fit(states, problems, C),
        SklearnEngine().fit(states, problems, C),
        strict=True,
    ):
        assert chosen_C(ours, states, task) == chosen_C(theirs, states, task)


def test_scikit_learns_engine_imports_no_torch():
    code = "from layerwise.probes.logistic.engines.catalogue import ENGINES; ENGINES['sklearn'].start(1, 2**30); "
    code += "import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "scripts"}, check=False).returncode == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees():
    states = standardise(states_like(4900, 60), np.arange(900))
    problems = problems_of(labels_of(states, 3), 900)
    assert_agrees(states, problems, TorchEngine(early_end=False, device="cuda").fit(states, problems, C))
