"""Attention probes: their objective against a loop written out, a signal in one token, and what they start from."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from layerwise.errors import InputError
from layerwise.probes.fits import choose
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.logistic.loss import LogLoss
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.pooled import engine as module
from layerwise.probes.pooled.engine import AttentionEngine
from layerwise.probes.pooled.objective import Objective, Tokens, margins_of
from layerwise.probes.pooled.solver import minimise
from layerwise.probes.pooled.token_states import TokenStates, means_of
from layerwise.probes.problems import Problem, Standardisation

MOST, WIDTH = 12, 10
C = [0.01, 1.0]
SPLITS = ("train", "val", "test")
CPU = torch.device("cpu")


def problem(y: np.ndarray, sizes=(120, 50, 70), label: str = "dog", n_classes: int = 2) -> Problem:
    ends = np.cumsum(sizes).tolist()
    rows = {split: np.arange(end - size, end) for split, size, end in zip(SPLITS, sizes, ends, strict=True)}
    return Problem(label, n_classes, rows, rows, rows, {split: y[index] for split, index in rows.items()})


def planted(n: int = 240, seed: int = 0):
    """Tokens of pictures; in half of them one has a mark, at a place of its own. Two others cancel it in the mean.

    Returns:
        Tokens, counts, whether there is a mark, and the place where it is or would be.
    """
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n, MOST, WIDTH)).astype(np.float32)
    counts = rng.integers(MOST // 2, MOST + 1, n)
    y, places = rng.integers(0, 2, n), rng.integers(0, MOST // 2, n)
    every = np.arange(n)
    # A dimension says where an object is, another of which kind it is: 1 or -1. In other tokens the kind is noise.
    tokens[..., 1] *= 3
    tokens[every, places, 0] += 6
    tokens[every, places, 1] = 2 * y - 1
    tokens[np.arange(MOST) >= counts[:, None]] = 0
    return tokens, counts, y, places


def states_of(tokens, counts, train=120) -> TokenStates:
    return TokenStates(tokens.copy(), counts, np.arange(train))


@pytest.fixture(scope="module")
def engine() -> AttentionEngine:
    return AttentionEngine(TorchEngine(1, device="cpu"), 1, 2**20, "cpu")


def written_out(states: TokenStates, counts, y, shares, parameters, penalty) -> torch.Tensor:
    """The objective of one fit as its docstring says it, token by token, in float64."""
    tokens, ratio, offset = (
        torch.from_numpy(part.astype(np.float64)) for part in (states.tokens, states.ratio, states.offset)
    )
    total = 0
    for picture, count in enumerate(counts):
        margins = []
        for of_class in parameters:
            query, weight, intercept = of_class[:WIDTH], of_class[WIDTH:-1], of_class[-1]
            scores = [(query * tokens[picture, t]).sum() for t in range(count)]
            whole = sum(torch.exp(score) for score in scores)
            margin = intercept
            for t, score in enumerate(scores):
                margin = margin + torch.exp(score) / whole * (weight * (tokens[picture, t] * ratio + offset)).sum()
            margins.append(margin)
        if len(margins) == 1:
            margins = [torch.zeros_like(margins[0]), margins[0]]
        whole = sum(torch.exp(margin) for margin in margins)
        total = total - shares[picture] * torch.log(torch.exp(margins[y[picture]]) / whole)
    return total + penalty / 2 * parameters[:, :-1].square().sum()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_objective_and_its_gradient_are_those_written_out(n_classes):
    tokens, counts, _, _ = planted(12)
    states, rng = states_of(tokens, counts, 8), np.random.default_rng(1)
    n_margins = 1 if n_classes == 2 else n_classes
    y = rng.integers(0, n_classes, (2, 12))
    shares = rng.dirichlet(np.ones(12), 2)
    shares[1, 4] = 0
    parameters = torch.tensor(rng.normal(size=(2, n_margins, 2 * WIDTH + 1)), requires_grad=True)
    penalty = torch.tensor([0.1, 0.5])
    found = sum(
        written_out(states, counts, y[fit], shares[fit], parameters[fit], float(penalty[fit])) for fit in range(2)
    )
    found.backward()
    one_hot = y[:, None] == 1 if n_margins == 1 else y[:, None] == np.arange(n_classes)[None, :, None]
    loss = LogLoss(torch.tensor(one_hot, dtype=torch.float32), torch.tensor(shares[:, None], dtype=torch.float32))
    # So little room that a pass has several parts.
    tokens = Tokens(states, CPU, 9000)
    assert len(list(tokens.parts(2 * n_margins))) > 2
    objective = Objective(tokens, loss, penalty)
    value, gradient = objective(parameters.detach().float())
    assert value.sum().item() == pytest.approx(found.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, parameters.grad, atol=2e-5)
    alone, of_one = objective.take(torch.tensor([1]))(parameters.detach().float()[1:])
    assert alone.item() == pytest.approx(value[1].item(), rel=1e-6)
    np.testing.assert_allclose(of_one, gradient[1:], atol=1e-6)


def test_without_a_query_it_is_the_ordinary_probe_of_the_mean(engine, monkeypatch):
    """The same margins, and an objective that its own solution minimises."""
    tokens, counts, y, _ = planted()
    states, asked = states_of(tokens, counts), problem(y)
    monkeypatch.setattr(module, "minimise", lambda objective, start, tolerance: (start, torch.ones(len(start))))
    held = engine.fit(states, [asked], C)[0]
    means = means_of(tokens, counts)
    np.testing.assert_allclose(means[3], tokens[3, : counts[3]].mean(0), atol=1e-6)
    means = Standardisation.of(means, asked.rows["train"]).apply(means)
    ordinary = TorchEngine(1, device="cpu").fit(means, [asked], C)[0]
    for ours, theirs in zip(held, ordinary, strict=True):
        assert not ours.queries.any()
        np.testing.assert_allclose(ours.scores(np.arange(240)), theirs.scores(means), atol=2e-5)


def test_a_fit_is_better_than_its_start_and_as_good_as_scipys(engine):
    """The start is the ordinary probe, with no query."""
    tokens, counts, y, _ = planted()
    states, asked = states_of(tokens, counts), problem(y)
    for fit, of_mean in zip(
        engine.fit(states, [asked], C)[0], engine._of_means.fit(states.means, [asked], C)[0], strict=True
    ):
        objective = engine._objective(states, [asked], [fit.C])

        def value_and_slope(flat, objective=objective):
            value, gradient = objective(torch.tensor(flat, dtype=torch.float32).view(1, 1, -1))
            return value.item(), gradient.flatten().numpy().astype(np.float64)

        start = np.concatenate([np.zeros(WIDTH), of_mean.coefficients[0], of_mean.intercepts])
        ours, _ = value_and_slope(np.concatenate([fit.queries[0], fit.weights[0], fit.intercepts]))
        theirs = minimize(value_and_slope, start, jac=True, method="L-BFGS-B").fun
        assert fit.converged
        assert ours < 1.01 * theirs
        assert ours < value_and_slope(start)[0]


def test_a_signal_in_one_token_is_found_where_it_is(engine):
    tokens, counts, y, places = planted()
    asked = problem(y)
    pooled = LayerProbes([asked], engine, C, "accuracy", 50, 0, repeats=1, metrics=["accuracy"], own="logistic")
    states = TokenStates(tokens.copy(), counts, pooled.training_rows)
    found = pooled.layer(states, "block 1")
    ordinary = LayerProbes([asked], TorchEngine(1, device="cpu"), C, "accuracy", 50, 0, metrics=["accuracy"])
    of_means = ordinary.layer(means_of(tokens, counts), "block 1")

    def score(result, probe):
        return result.scores.query("probe == @probe and split == 'test' and metric == 'accuracy'")["value"].item()

    assert score(found, "logistic") > 0.9
    assert score(of_means, "logistic") < 0.75
    # Random labels teach nothing.
    assert 0.35 < score(found, "control") < 0.65
    (probe,) = found.fits
    test = asked.rows["test"]
    looked = engine.looked_at(states, probe.queries, test)[:, 0]
    assert (np.nanargmax(looked, 1) == places[test]).mean() > 0.9
    np.testing.assert_array_equal(np.isnan(looked), np.arange(MOST) >= counts[test, None])
    np.testing.assert_allclose(looked[2, 0], states.tokens[test[2], 0] @ probe.queries[0], rtol=1e-4)


def test_with_shuffled_labels_it_finds_nothing(engine):
    tokens, counts, y, places = planted()
    states = states_of(tokens, counts)
    asked = problem(np.random.default_rng(3).permutation(y))
    rows = asked.rows["test"]
    probe = choose(engine.fit(states, [asked], C)[0], states, asked.rows["val"], asked.y["val"])
    assert ((probe.scores(rows)[:, 0] > 0) == asked.y["test"]).mean() < 0.65
    assert (np.nanargmax(engine.looked_at(states, probe.queries, rows)[:, 0], 1) == places[rows]).mean() < 0.5


def test_labels_do_not_depend_on_each_other_and_runs_are_alike(engine):
    tokens, counts, y, _ = planted()
    states = states_of(tokens, counts)
    # One learns from the same pictures, one from fewer.
    other = np.random.default_rng(5).permutation(y)
    asked = [problem(y), problem(other, label="cat"), problem(other, (90, 80, 70), "cow")]
    together, alone, again = (engine.fit(states, some, C) for some in (asked, asked[:1], asked))
    for all_three, one, second in zip(together[0], alone[0], again[0], strict=True):
        # Products of several fits at once round otherwise.
        np.testing.assert_allclose(all_three.margins, one.margins, atol=0.05)
        np.testing.assert_array_equal(all_three.margins, second.margins)
    assert [fit.C for fit in together[2]] == C


def test_items_that_share_a_picture_count_each(engine):
    tokens, counts, y, _ = planted()
    states, asked = states_of(tokens, counts), problem(y)
    often = np.concatenate([asked.rows["train"], np.repeat(asked.rows["train"][:50], 3)])
    doubled = Problem("dog", 2, asked.items, asked.groups, asked.rows | {"train": often}, asked.y | {"train": y[often]})
    objective = engine._objective(states, [doubled], [1.0])
    shares = objective._loss.shares[0, 0]
    np.testing.assert_allclose(shares[:50], 4 / 270)
    np.testing.assert_allclose(shares[50:], 1 / 270)
    assert objective._penalty.item() == pytest.approx(1 / 270)


def test_classes_have_a_query_each(engine):
    tokens, counts, _, places = planted()
    y = np.random.default_rng(7).integers(0, 3, 240)
    tokens[np.arange(240), places, 1] = 3.0 * (y - 1)
    states, asked = states_of(tokens, counts), problem(y, n_classes=3)
    probe = choose(engine.fit(states, [asked], C)[0], states, asked.rows["val"], asked.y["val"])
    assert probe.queries.shape == probe.weights.shape == (3, WIDTH)
    assert (probe.scores(asked.rows["test"]).argmax(1) == asked.y["test"]).mean() > 0.8


def test_a_dimension_that_never_varies_is_left_alone(engine):
    tokens, counts, y, _ = planted()
    tokens[..., 5] = 1e4
    tokens[np.arange(MOST) >= counts[:, None]] = 0
    states = states_of(tokens, counts)
    assert states.ratio[5] == 0
    (fit,) = engine.fit(states, [problem(y)], [1.0])[0]
    assert np.isfinite(fit.margins).all()
    assert abs(fit.weights[0, 5]) < 1e-6


def test_a_label_without_a_class_is_refused(engine):
    tokens, counts, y, _ = planted()
    with pytest.raises(InputError, match="no training item of class 1"):
        engine.fit(states_of(tokens, counts), [problem(0 * y)], C)


def test_any_solver_of_the_mean_will_do():
    tokens, counts, y, _ = planted(seed=2)
    asked = problem(y)
    found = []
    for of_means in (SklearnEngine(), TorchEngine(1, device="cpu")):
        engine = AttentionEngine(of_means, 1, 2**20, "cpu")
        (fit,) = engine.fit(states_of(tokens, counts), [asked], [0.1])[0]
        found.append(fit.margins[:, 0] > 0)
    assert (found[0] == found[1]).mean() > 0.97


def test_the_solver_finds_the_minimum_of_a_quadratic():
    """Fits of very different scales, one of which starts at its minimum."""

    class Quadratic:
        def __init__(self, scales, centres):
            self.scales, self.centres = scales, centres

        def take(self, keep):
            return Quadratic(self.scales[keep], self.centres[keep])

        def __call__(self, parameters):
            away = parameters - self.centres
            return 1 + (self.scales * away.square()).sum(1).double() / 2, self.scales * away

    rng = np.random.default_rng(0)
    scales = torch.tensor(10 ** rng.uniform(-2, 2, (4, 6))).float()
    centres = torch.tensor(rng.normal(size=(4, 6))).float()
    start = torch.zeros(4, 6)
    start[2] = centres[2]
    found, converged = minimise(Quadratic(scales, centres), start, 1e-7)
    assert converged.all()
    assert (scales * (found - centres).square()).sum(1).max() < 1e-5


def test_margins_of_parts_are_those_of_all(engine):
    tokens, counts, _, _ = planted(60)
    states = states_of(tokens, counts, 40)
    parameters = torch.tensor(np.random.default_rng(0).normal(size=(3, 1, 2 * WIDTH + 1))).float()
    whole, parts = (margins_of(Tokens(states, CPU, budget), parameters) for budget in (2**24, 30000))
    np.testing.assert_allclose(whole, parts, atol=1e-5)
