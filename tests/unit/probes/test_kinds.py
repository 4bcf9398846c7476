"""Kinds of probes, against scikit-learn, naive formulas, and data whose answer is known."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestCentroid

from layerwise.probes.all_layers import AllLayers
from layerwise.probes.fits import choose, margins
from layerwise.probes.kind_scores import layer_weight_rows
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.kinds.mix import Mix, objective
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.perceptron.engine import PerceptronEngine
from layerwise.probes.problems import Problem, standardise


def problem(y: np.ndarray, n_classes: int = 2, label: str = "l", rows: np.ndarray | None = None) -> Problem:
    """A problem over rows in order: the first 60 % train, 20 % validate."""
    n = len(y)
    cuts = [int(0.6 * n), int(0.8 * n)]
    rows = np.arange(n) if rows is None else rows

    def split(values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(("train", "val", "test"), np.split(values, cuts), strict=True))

    groups = split(np.array([f"g{row}" for row in rows]))
    return Problem(label, n_classes, groups, groups, split(rows), split(y))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_mean_difference_is_the_nearest_centroid_whatever_the_balance(n_classes):
    rng = np.random.default_rng(n_classes)
    y = rng.choice(n_classes, 300, p=[0.8, 0.2] if n_classes == 2 else [0.7, 0.2, 0.1])
    states = (rng.normal(size=(300, 6)) * [1, 1, 1, 3, 1, 1] + y[:, None] * [1, 0.5, 0, 0, 0, 0]).astype(np.float32)
    task = problem(y, n_classes)
    kind = PROBE_KINDS["mean-difference"]
    ((fit,),) = kind.start(1, 2**20, 0).fit(states, [task], kind.tried([0.1, 1.0]))
    scores = fit.scores(states)
    guesses = (scores[:, 0] > 0).astype(int) if n_classes == 2 else scores.argmax(axis=1)
    train = task.rows["train"]
    assert (guesses == NearestCentroid().fit(states[train], y[train]).predict(states)).all()
    # And the margins are log odds: no other scale has less loss by much, on many more items of the same distribution.
    if n_classes == 2:
        along = states[train] @ fit.coefficients[0]
        even = LinearDiscriminantAnalysis(priors=[0.5, 0.5]).fit(along[:, None], y[train])
        assert scores[train, 0] == pytest.approx(even.decision_function(along[:, None]), rel=0.01, abs=0.01)


def test_states_that_do_not_vary_tell_the_mean_difference_nothing():
    y = np.arange(50) % 2
    kind = PROBE_KINDS["mean-difference"]
    ((fit,),) = kind.start(1, 2**20, 0).fit(np.zeros((50, 4), np.float32), [problem(y)], [1.0])
    assert (fit.scores(np.zeros((50, 4))) == 0).all()


def xor(n=800, width=6, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n, width)).astype(np.float32)
    return states, ((states[:, 0] > 0) ^ (states[:, 1] > 0)).astype(int)


def test_a_perceptron_solves_what_no_direction_tells():
    states, y = xor()
    kind, task = PROBE_KINDS["mlp"], problem(y)
    assert max(kind.C) > min(kind.C)
    ((fit,),) = kind.start(1, 2**30, 0).fit(states, [task], kind.tried([9.0]))
    found, chance = (
        ((margins([each], states, task.rows["test"])[0][:, 0] > 0) == task.y["test"]).mean()
        for each in (fit, SklearnEngine().fit(states, [task], [1.0])[0][0])
    )
    assert found > 0.85
    assert chance < 0.65


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_perceptron_is_the_same_alone_and_among_others(n_classes, monkeypatch):
    monkeypatch.setattr("layerwise.probes.perceptron.engine.MOST_LOOKS", 4)
    states, first = xor(300)
    y = (first + (states[:, 2] > 0)) % n_classes
    tasks = [problem(y, n_classes), problem(y[:200], n_classes, rows=np.arange(100, 300)), problem(first, 2)]
    engine = PerceptronEngine(8, 1, 2**30, seed=3)
    together = engine.fit(states, tasks, [0.1, 1.0])
    for task, fits in zip(tasks, together, strict=True):
        ((alone,),) = engine.fit(states, [task], [0.1, 1.0])
        assert alone.C == fits[0].C
        assert fits[0].scores(states) == pytest.approx(alone.scores(states), abs=1e-3)
    again = PerceptronEngine(8, 1, 2**30, seed=3).fit(states, tasks, [0.1, 1.0])
    assert (again[0][0].scores(states) == together[0][0].scores(states)).all()
    # With room for one problem at a time.
    apart = PerceptronEngine(8, 1, 1, seed=3).fit(states, tasks, [0.1, 1.0])
    assert apart[1][0].scores(states) == pytest.approx(together[1][0].scores(states), abs=1e-3)


def test_a_perceptron_takes_the_penalty_that_validates_best_and_without_validation_each(monkeypatch):
    monkeypatch.setattr("layerwise.probes.perceptron.engine.MOST_LOOKS", 15)
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 20)).astype(np.float32)
    task = problem((states[:, 0] + 3 * rng.normal(size=400) > 0).astype(int))
    engine = PerceptronEngine(16, 1, 2**30, seed=0)
    C = [1e-3, 10.0]
    ((fit,),) = engine.fit(states, [task], C)
    losses = []
    for strength in C:
        ((alone,),) = engine.fit(states, [task], [strength])
        losses.append(log_loss(task.y["val"], 1 / (1 + np.exp(-alone.scores(states[task.rows["val"]])[:, 0]))))
    assert C[int(np.argmin(losses))] == fit.C
    train = {"train": task.rows["train"]}
    control = Problem("l", 2, train, train, train, {"train": rng.permutation(task.y["train"])})
    (fits,) = engine.fit(states, [control], C)
    assert [each.C for each in fits] == C
    # The weak penalty memorises random labels; the strong one does not.
    learned = [((each.scores(states[train["train"]])[:, 0] > 0) == control.y["train"]).mean() for each in fits]
    assert learned[1] > learned[0] + 0.1


LAYERS = 6


def layers_of(tmp_path, signal, y, n=500, width=10, budget=2**30, seed=0):
    """Layers of noise, some with a label's direction in them, as strong as ``signal`` says."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=width)
    layers = [
        (rng.normal(size=(n, width)) + strength * (2 * y[:, None] - 1) * direction).astype(np.float32)
        for strength in signal
    ]

    def read(layer, out):
        out[:] = layers[layer]
        return out

    train = np.arange(int(0.6 * n))
    source = AllLayers(read, len(layers), (n, width), train, budget, tmp_path)
    return source, np.stack([standardise(layer.copy(), train) for layer in layers])


def jointly(stack: np.ndarray, tasks: list[Problem], C: float) -> tuple[float, np.ndarray]:
    """Loss and weights of the mix by plain gradient descent on everything at once."""
    stack = torch.tensor(stack, dtype=torch.float64)
    logits = torch.zeros(len(stack), dtype=torch.float64, requires_grad=True)
    weights = torch.zeros(len(tasks), stack.shape[2], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(tasks), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([logits, weights, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss():
        solver.zero_grad()
        mixed = torch.tensordot(torch.softmax(logits, 0), stack, 1)
        total = torch.zeros((), dtype=torch.float64)
        for k, task in enumerate(tasks):
            scores = mixed[task.rows["train"]] @ weights[k] + bias[k]
            y = torch.tensor(task.y["train"], dtype=torch.float64)
            total = total + torch.nn.functional.binary_cross_entropy_with_logits(scores, y)
            total = total + weights[k].square().sum() / (2 * C * len(y))
        (total / len(tasks)).backward()
        return total / len(tasks)

    solver.step(loss)
    return float(loss().detach()), torch.softmax(logits, 0).detach().numpy()


def test_a_mix_finds_the_one_layer_that_knows(tmp_path):
    y = np.random.default_rng(1).integers(0, 2, 500)
    source, stack = layers_of(tmp_path, [0, 0, 0, 0.4, 0, 0], y)
    task = problem(y)
    kind = PROBE_KINDS["mix"]
    ((fit,),) = kind.start(1, 2**30, 0).fit(source, [task], kind.tried([0.01, 0.1, 1.0]))
    assert fit.layer_weights.sum() == pytest.approx(1)
    assert fit.layer_weights[3] > 0.8
    # As good as scikit-learn's probe of that layer.
    train, test = task.rows["train"], task.rows["test"]
    alone = LogisticRegression(C=fit.C).fit(stack[3][train], y[train])
    found = ((margins([fit], source, test)[0][:, 0] > 0) == y[test]).mean()
    assert found >= alone.score(stack[3][test], y[test]) - 0.02
    assert found > 0.8


@pytest.mark.parametrize("readout", [SklearnEngine(), TorchEngine(1, early_end=False)], ids=["sklearn", "torch"])
def test_a_mix_is_as_good_as_weights_and_readout_learned_together(tmp_path, readout):
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 500)
    source, stack = layers_of(tmp_path, [0, 0.05, 0.1, 0.3, 0.2, 0], y)
    other = np.where(rng.random(500) < 0.8, y, 1 - y)
    tasks = [problem(y), problem(other, label="other")]
    fits = [path[0] for path in Mix(readout).fit(source, tasks, [1.0])]
    assert fits[0].layer_weights is not None
    assert (fits[0].layer_weights == fits[1].layer_weights).all()
    mixed = np.tensordot(fits[0].layer_weights, stack, 1).astype(np.float32)
    found = objective(mixed, tasks, [path[0] for path in readout.fit(mixed, tasks, [1.0])])
    expected, weights = jointly(stack, tasks, 1.0)
    even, _ = jointly(stack.mean(axis=0, keepdims=True), tasks, 1.0)
    assert found == pytest.approx(expected, rel=0.01)
    assert even > 1.05 * expected
    assert fits[0].layer_weights == pytest.approx(weights, abs=0.1)


def test_a_mix_of_several_classes_in_a_file_is_that_in_memory(tmp_path):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 500)
    (tmp_path / "on-disk").mkdir()
    found = []
    for budget in (2**30, 1000):
        source, _ = layers_of(tmp_path / "on-disk", [0.1, 0.5], (y > 0).astype(int), budget=budget)
        ((fit,),) = Mix(SklearnEngine()).fit(source, [problem(y, 3)], [0.1, 1.0])
        found.append(fit)
    assert found[0].margins.shape == (500, 3)
    assert found[0].layer_weights == pytest.approx(found[1].layer_weights, abs=1e-3)
    assert found[0].margins == pytest.approx(found[1].margins, abs=1e-2)


def test_rows_of_a_mix_tell_its_layers(tmp_path):
    y = np.random.default_rng(1).integers(0, 2, 500)
    source, _ = layers_of(tmp_path, [0, 0.5, 0], y)
    probes = LayerProbes(
        *([problem(y)], Mix(SklearnEngine()), [0.1], "accuracy", 100, 0),
        repeats=1,
        description_length=True,
        own="task",
        metrics=["accuracy"],
    )
    found = probes.layer(source, "all layers")
    values = found.scores[found.scores["split"] != "val"].set_index(["probe", "split", "metric"])["value"]
    assert values["task", "test", "accuracy"] > 0.75
    assert values["control", "test", "accuracy"] < 0.65
    assert values["selectivity", "test", "accuracy"] == pytest.approx(
        values["task", "test", "accuracy"] - values["control", "test", "accuracy"]
    )
    assert 0 < values["task", "train", "code_bits"] < 1
    rows = layer_weight_rows(found.fits, ["embeddings", "block 1", "block 2", "final norm"], found.scores)
    assert rows["layer_name"].tolist() == ["embeddings", "block 1", "block 2"]
    assert rows.loc[1, "value"] > 0.7
    assert rows["value"].sum() == pytest.approx(1)


def test_logistic_among_the_kinds_is_the_study_s_own():
    states, _ = xor(200)
    task = problem((states[:, 0] > 0).astype(int))
    kind = PROBE_KINDS["logistic"]
    C = [0.1, 1.0]
    (path,) = kind.start(1, 2**30, 0).fit(states, [task], kind.tried(C))
    (expected,) = SklearnEngine().fit(states, [task], C)
    found, reference = (choose(fits, states, task.rows["val"], task.y["val"]) for fits in (path, expected))
    assert found.C == reference.C
    assert found.scores(states) == pytest.approx(reference.scores(states), abs=0.02)
