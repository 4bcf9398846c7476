"""LEACE against the package of its authors, what it promises, and its controls."""

import numpy as np
import pytest
import torch
from concept_erasure import LeaceFitter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from layerwise.models.interventions.concept_file import Change
from layerwise.used.concepts.erasers import Covariance, Eraser
from layerwise.used.concepts.moments import Moments, one_hot

N, WIDTH = 1500, 40


def drawn(
    n: int, width: int, n_classes: int, ill: bool = False, seed: int = 0, apart: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Correlated states, shape (n, width), float32, with classes so far apart along directions of their own.

    Ill-conditioned ones have, as real decoders do, a dimension of mean 400 and small spread, one of a thousand times
    the others' deviation, and a constant one.
    """
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    states = rng.standard_normal((n, width)) @ rng.standard_normal((width, width)) / np.sqrt(width)
    states += apart * rng.standard_normal((n_classes, width))[y]
    if ill:
        states[:, 0] = 400 + 0.1 * states[:, 0]
        states[:, 1] *= 1000
        states[:, 2] = 7
    return states.astype(np.float32), y


def moments_of(states: np.ndarray, y: np.ndarray, n_classes: int) -> Moments:
    moments = Moments(states.shape[1], n_classes)
    moments.update(states, one_hot(y, n_classes))
    return moments


def applied(states: np.ndarray, eraser: Eraser) -> np.ndarray:
    return Change(eraser.from_, eraser.to, eraser.mean, np.zeros(len(eraser.mean))).of(states.astype(np.float64))


def as_the_sweep_has_it(eraser: Eraser) -> Change:
    from_, to, mean = (part.astype(np.float32) for part in (eraser.from_, eraser.to, eraser.mean))
    return Change(from_, to, mean, np.zeros_like(mean))


@pytest.mark.parametrize("toward", [None, "equal"])
@pytest.mark.parametrize("ill", [False, True])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize(("n", "width"), [(N, WIDTH), (60, 100)])
def test_the_eraser_is_that_of_the_authors(n, width, n_classes, ill, toward):
    states, y = drawn(n, width, n_classes, ill)
    # Its limit for the concept's own dimensions is coarse by default: it is meant for float32.
    fitter = LeaceFitter.fit(
        torch.from_numpy(states.astype(np.float64)),
        torch.from_numpy(one_hot(y, n_classes)),
        shrinkage=toward is not None,
        svd_tol=1e-6,
    )
    covariance = Covariance(moments_of(states, y, n_classes), toward)
    eraser = covariance.eraser()
    assert eraser.from_.shape == eraser.to.shape == (n_classes - 1, width)
    assert (covariance.shrinkage > 0) == (toward is not None)
    # In deviations of the dimensions, on these rows and on others.
    deviation = np.where(states.std(axis=0) > 1e-3, states.std(axis=0), 1)
    for rows in (states, drawn(n, width, n_classes, ill, seed=1)[0]):
        theirs = fitter.eraser(torch.from_numpy(rows.astype(np.float64))).numpy()
        assert np.abs((applied(rows, eraser) - theirs) / deviation).max() < 1e-5


@pytest.mark.parametrize("toward", [None, "equal", "diagonal"])
@pytest.mark.parametrize(("n", "n_classes", "ill"), [(N, 2, True), (N, 5, True), (60, 2, False), (60, 3, True)])
def test_no_probe_finds_the_concept_in_the_training_rows(n, n_classes, ill, toward):
    """Applied as the sweep does, with numbers in float32; also with fewer rows than dimensions."""
    states, y = drawn(n, 2 * n if n == 60 else WIDTH, n_classes, ill)
    erased = as_the_sweep_has_it(Covariance(moments_of(states, y, n_classes), toward).eraser()).of(states)
    scaled = StandardScaler().fit_transform(erased.astype(np.float64))
    # The first dimension's float32 has a spacing of 3e-5 about 400, and a deviation of 0.1.
    for k in range(n_classes):
        correlations = scaled.T @ (y == k) / len(y)
        assert np.abs(correlations[np.arange(len(correlations)) != 2]).max() < 1e-4
    probe = LogisticRegression(C=1, max_iter=2000).fit(scaled, y)
    margins = probe.decision_function(scaled).reshape(len(y), -1)
    for k in range(margins.shape[1]):
        # Margins that differ in the fourth decimal differ by rounding.
        assert roc_auc_score(y == max(k, int(n_classes == 2)), np.round(margins[:, k], 3)) == pytest.approx(
            0.5, abs=1e-3
        )


def test_other_rows_keep_little_and_the_least_change_is_made():
    states, y = drawn(20_000, WIDTH, 2, apart=0.3)
    train, test = slice(0, 10_000), slice(10_000, None)
    covariance = Covariance(moments_of(states[train], y[train], 2), None)
    eraser = covariance.eraser()

    def score(rows: np.ndarray) -> float:
        probe = LogisticRegression().fit(rows[test][::2], y[test][::2])
        return roc_auc_score(y[test][1::2], probe.decision_function(rows[test][1::2]))

    assert score(states) > 0.95
    assert score(applied(states, eraser)) < 0.56
    # The mean difference taken away orthogonally guards as well as LEACE, but changes more.
    means = np.stack([states[train][y[train] == k].mean(axis=0) for k in (0, 1)]).astype(np.float64)
    direction = (means[1] - means[0])[None] / np.linalg.norm(means[1] - means[0])
    plain = Eraser(direction, direction, eraser.mean)
    assert covariance.mean_squared_change(eraser) < 0.9 * covariance.mean_squared_change(plain)
    changed = np.square(applied(states[train], eraser) - states[train]).sum(axis=1).mean()
    assert covariance.mean_squared_change(eraser) == pytest.approx(changed, rel=1e-6)


def test_shrinking_toward_the_diagonal_does_not_depend_on_units_and_changes_other_rows_less():
    states, y = drawn(80, WIDTH, 2)
    units = np.logspace(-3, 3, WIDTH)
    eraser, scaled = (Covariance(moments_of(rows, y, 2)).eraser() for rows in (states, states * units))
    assert applied(states * units, scaled) / units == pytest.approx(applied(states, eraser), abs=1e-6)
    sizes = []
    for seed in range(5):
        states, y = drawn(5000, WIDTH, 2, ill=True, seed=seed, apart=0.3)
        spread = np.where(states.std(axis=0) > 1e-3, states.std(axis=0), 1)
        moments = moments_of(states[:50], y[:50], 2)
        erasers = [Covariance(moments, toward).eraser() for toward in ("diagonal", "equal", None)]
        sizes.append([np.square((applied(states, eraser) - states) / spread).sum() for eraser in erasers])
    diagonal, equal, unshrunk = np.mean(sizes, axis=0)
    assert diagonal < 0.9 * unshrunk
    assert diagonal < 0.9 * equal


@pytest.mark.parametrize("n_classes", [2, 4])
def test_controls_change_as_much_and_erase_something_else(n_classes):
    states, y = drawn(N, WIDTH, n_classes, ill=True)
    covariance, rng = Covariance(moments_of(states, y, n_classes)), np.random.default_rng(0)
    eraser = covariance.eraser()

    def squared(change: Change) -> float:
        return float(np.square(change.of(states.astype(np.float64)) - states).sum(axis=1).mean())

    def score(rows: np.ndarray) -> float:
        scaled = StandardScaler().fit_transform(rows)
        margins = LogisticRegression(max_iter=1000).fit(scaled, y == 1).decision_function(scaled)
        return roc_auc_score(y == 1, margins)

    controls = [covariance.control(rng, eraser) for _ in range(10)]
    assert len({round(float(control.to[0, 3]), 9) for control in controls}) == 10
    before, kept = score(states), []
    for control in controls:
        assert squared(as_the_sweep_has_it(control)) == pytest.approx(squared(as_the_sweep_has_it(eraser)), rel=1e-6)
        kept.append(score(as_the_sweep_has_it(control).of(states)))
        # Orthonormal in whitened states, and an eraser of its own: scaled, or else a projection.
        gram = control.to @ control.from_.T
        assert gram == pytest.approx(np.eye(n_classes - 1) * gram[0, 0], abs=1e-6 * abs(gram[0, 0]))
    assert score(as_the_sweep_has_it(eraser).of(states)) < 0.6
    assert np.mean(kept) > before - 0.02
    assert before > 0.8


def test_controls_are_drawn_from_the_covariance():
    states, y = drawn(N, WIDTH, 2, ill=True)
    # A unit in the last place is rounding.
    states[::3, 2] = np.nextafter(states[::3, 2], np.float32(8))
    covariance = Covariance(moments_of(states, y, 2))
    drawn_directions = covariance.draw(np.random.default_rng(0), 20_000)
    # Correlations, so that every dimension counts; the constant one has none.
    varied = np.arange(WIDTH) != 2
    assert np.abs(drawn_directions[:, 2]).max() < 1e-9
    found, wanted = (np.corrcoef(each[:, varied].T) for each in (drawn_directions, states.astype(np.float64)))
    assert np.abs(found - wanted).max() < 0.05
    assert drawn_directions.std(axis=0)[varied] == pytest.approx(
        states.astype(np.float64).std(axis=0)[varied], rel=0.05
    )


def test_batches_of_any_size_give_the_same_statistics():
    states, y = drawn(N, WIDTH, 3, ill=True)
    whole, exact = moments_of(states, y, 3), states.astype(np.float64)
    parts, at = Moments(WIDTH, 3), 0
    # Also batches of one row, of one class, and of none.
    for size in (1, 1, 7, 0, 500, N - 509):
        parts.update(states[at : at + size], one_hot(y[at : at + size], 3))
        at += size
    deviation = np.where(exact.std(axis=0) > 0, exact.std(axis=0), 1)
    for moments in (whole, parts):
        assert moments.count == N
        assert moments.mean == pytest.approx(exact.mean(axis=0), rel=1e-13)
        assert moments.share == pytest.approx(np.bincount(y) / N)
        wanted = np.cov(exact.T, bias=True) / np.outer(deviation, deviation)
        assert moments.covariance / np.outer(deviation, deviation) == pytest.approx(wanted, abs=1e-12)
        wanted = (exact - exact.mean(axis=0)).T @ one_hot(y, 3) / N / deviation[:, None]
        assert moments.cross / deviation[:, None] == pytest.approx(wanted, abs=1e-12)
        assert moments.class_means == pytest.approx(np.stack([exact[y == k].mean(axis=0) for k in range(3)]), rel=1e-12)
    erasers = [Covariance(moments).eraser() for moments in (whole, parts)]
    apart = (applied(states, erasers[0]) - applied(states, erasers[1])) / deviation
    assert np.abs(apart).max() < 1e-9


def test_states_that_hold_nothing_are_left_as_they_are():
    """Constant states, as of the last token below the first block, and classes that no dimension goes with."""
    y = np.arange(200) % 2
    constant = np.full((200, WIDTH), 400.1, np.float32)
    unrelated = np.repeat(np.random.default_rng(0).standard_normal((100, WIDTH)), 2, axis=0).astype(np.float32)
    for states in (constant, unrelated):
        covariance = Covariance(moments_of(states, y, 2))
        eraser = covariance.eraser()
        assert not eraser.to.any()
        for each in (eraser, covariance.control(np.random.default_rng(0), eraser)):
            assert np.isfinite(each.from_).all()
            assert as_the_sweep_has_it(each).of(states).tobytes() == states.tobytes()


def test_a_concept_of_fewer_dimensions_than_classes_has_rows_of_zeros():
    """Of five classes whose means lie on a line, one direction is erased."""
    rng = np.random.default_rng(0)
    y = np.arange(2000) % 5
    noise = rng.standard_normal((400, WIDTH)).repeat(5, axis=0)
    states = noise + y[:, None] * rng.standard_normal(WIDTH)
    eraser = Covariance(moments_of(states, y, 5)).eraser()
    assert eraser.to.shape == (4, WIDTH)
    assert (np.abs(eraser.to).max(axis=1) > 0).tolist() == [True, False, False, False]
