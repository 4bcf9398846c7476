"""Probes, metrics and intervals against scikit-learn, and on data whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import softmax
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, label_binarize
from statsmodels.stats.proportion import proportion_confint

from layerwise.errors import InputError
from layerwise.probes.bootstrap import (
    difference_interval,
    ranking_interval,
    resample_weights,
    score_interval,
    standard_error,
)
from layerwise.probes.fits import Fit, choose, log_loss
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import class_margins, predicted
from layerwise.probes.metrics.scored import ALWAYS
from layerwise.probes.problems import Problem, make_problems, standardise
from layerwise.probes.scoring import Guess, Scorer, majority_guess, predictions

RNG = np.random.default_rng(0)
Y2, Y3 = RNG.integers(0, 2, 200), RNG.integers(0, 3, 200)
# Rounded, so that there are ties.
SCORES2 = np.round(RNG.normal(size=(200, 1)) + Y2[:, None], 1)
# Every row twice, for ties.
SCORES3 = np.tile(RNG.normal(size=(100, 3)), (2, 1)) + np.eye(3)[np.tile(Y3[:100], 2)]
# Softmax leaves each row free to shift all of its margins, and the probes of two layers do so differently.
SHIFTED3 = SCORES3 + np.tile(RNG.normal(scale=5, size=(100, 1)), (2, 1))
WEIGHTS = RNG.integers(0, 4, size=(5, 200)).astype(float)


def sklearn_value(metric: str, y, scores, weight) -> float:
    guess = predicted(scores)
    binary = scores.shape[1] == 1
    if metric == "accuracy":
        return reference.accuracy_score(y, guess, sample_weight=weight)
    if metric == "balanced_accuracy":
        return reference.balanced_accuracy_score(y, guess, sample_weight=weight)
    if metric == "f1":
        return reference.f1_score(y, guess, sample_weight=weight, average="binary" if binary else "macro")
    score = {"roc_auc": reference.roc_auc_score, "average_precision": reference.average_precision_score}[metric]
    if binary:
        return score(y, scores[:, 0], sample_weight=weight)
    probabilities = softmax(scores, axis=1)
    if metric == "average_precision":
        return score(label_binarize(y, classes=range(3)), probabilities, average="macro", sample_weight=weight)
    return score(y, probabilities, multi_class="ovr", average="macro", sample_weight=weight)


@pytest.mark.parametrize("metric", ALWAYS)
@pytest.mark.parametrize(
    ("y", "scores"), [(Y2, SCORES2), (Y3, SCORES3), (Y3, SHIFTED3)], ids=["two classes", "three", "three, shifted"]
)
def test_metrics_agree_with_scikit_learn(metric, y, scores):
    weights = np.vstack([np.ones(200), WEIGHTS])
    values = METRICS[metric].values(y, scores, weights, 2 if scores.shape[1] == 1 else 3)
    expected = [sklearn_value(metric, y, scores, weight) for weight in weights]
    assert np.allclose(values, expected, atol=1e-10, rtol=0)


def test_confident_probes_are_ranked_without_ties():
    """Probabilities of 1 - 1e-20 are all 1 in float64; exact arithmetic still tells them apart."""
    # The odds of the first class in exact powers of e: the first item is the surest, and of another class.
    scores = np.array([[80.0, 0, 0], [60, 0, 0], [50, 0, 0], [0, 60, 0], [0, 0, 60]], np.float32)
    y = np.array([1, 0, 0, 1, 2])
    assert (softmax(scores.astype(float), axis=1)[:3, 0] == 1).all()
    assert class_margins(scores, 0)[:3] == pytest.approx(np.array([80, 60, 50]) - np.log(2))
    # Class 0: positives at ranks 2 and 3 of 5. Class 1: ranks 1 and, of the others by -log(exp(z0) + 1), the last.
    found = METRICS["average_precision"].values(y, scores, np.ones((1, 5)), 3)
    assert found == pytest.approx(np.mean([(1 / 2 + 2 / 3) / 2, (1 / 1 + 2 / 5) / 2, 1]))


def test_two_margins_rank_as_their_difference_does():
    margin, shift = np.random.default_rng(1).normal(size=(2, 200, 1))
    expected = reference.roc_auc_score(Y2, margin[:, 0])
    found = METRICS["roc_auc"].values(Y2, np.hstack([shift, shift + margin]), np.ones((1, 200)), 2)
    assert found == pytest.approx(expected, abs=1e-10)


def test_metrics_without_a_class_are_undefined_not_wrong():
    weights = np.vstack([np.ones(200), (Y2 == 1).astype(float)])
    for metric in ("roc_auc", "average_precision"):
        values = METRICS[metric].values(Y2, SCORES2, weights, 2)
        assert np.isfinite(values[0])
    assert np.isnan(METRICS["roc_auc"].values(Y2, SCORES2, weights, 2)[1])
    # Of the class that is there.
    for metric in ("accuracy", "balanced_accuracy"):
        assert METRICS[metric].values(Y2, SCORES2, weights, 2)[1] == pytest.approx((SCORES2[Y2 == 1] > 0).mean())


def test_resamples_keep_groups_together():
    groups = np.array(list("aabbbc"))
    weights = resample_weights(groups, 500, np.random.default_rng(0))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all()
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.1)


def test_interval_of_grouped_items_is_wider():
    """Eight copies of an item are no more evidence than one."""
    correct = np.repeat(RNG.integers(0, 2, 60), 8)
    y = np.ones(480, dtype=int)
    scores = np.where(correct, 1.0, -1.0)[:, None]

    def width(groups):
        weights = np.vstack([np.ones(480), resample_weights(groups, 2000, np.random.default_rng(1))])
        values = METRICS["accuracy"].values(y, scores, weights, 2)
        low, high = score_interval(values[0], values[1:], len(np.unique(groups)))
        return high - low

    ratio = width(np.repeat(np.arange(60), 8)) / width(np.arange(480))
    assert ratio == pytest.approx(np.sqrt(8), rel=0.15)


@pytest.mark.parametrize(("right", "n"), [(116, 120), (280, 400), (1, 50), (60, 60), (0, 60)])
def test_interval_of_independent_items_is_wilson_s(right, n):
    """With as exact a standard error as the formula has, and quantiles of the normal distribution for many groups."""
    value = right / n
    error = np.sqrt(value * (1 - value) / n)
    # Two resamples whose corrected deviation is the error.
    resampled = value + np.array([-1, 1]) * error / np.sqrt(2) * np.sqrt((n - 1) / n)
    low, high = score_interval(value, resampled, n)
    t = stats.t.ppf(0.975, n - 1)
    expected = proportion_confint(right, n, alpha=2 * stats.norm.sf(t), method="wilson")
    assert (low, high) == pytest.approx(expected, abs=1e-6)
    reference = stats.binomtest(right, n).proportion_ci(1 - 2 * stats.norm.sf(t), method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-6)


def test_interval_of_a_ranking_is_student_s_of_the_logit():
    """That of statsmodels for the logit of a share, whose error is that of a logistic regression without predictors."""
    right, n = 380, 400
    y = np.arange(n) < right
    error = np.sqrt(0.95 * 0.05 / n)
    resampled = 0.95 + np.array([-1, 1]) * error / np.sqrt(2) * np.sqrt((n - 1) / n)
    model = sm.Logit(y, np.ones(n)).fit(disp=False)
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, n - 1))
    expected = 1 / (1 + np.exp(-model.conf_int(alpha)[0]))
    assert ranking_interval(0.95, resampled, n) == pytest.approx(tuple(expected), abs=1e-6)


def test_a_ranking_without_a_mistake_counts_groups():
    assert ranking_interval(1.0, np.ones(100), 40) == score_interval(1.0, np.ones(100), 40)
    assert ranking_interval(0.5, np.full(100, 0.5), 40) == (0.5, 0.5)


def test_intervals_of_rankings_cover_the_truth_near_one():
    """ROC AUC of 0.995 from 200 images: of 400 samples, within two standard errors of 95 %; Wilson's cover fewer."""
    rng = np.random.default_rng(5)
    distance = np.sqrt(2) * stats.norm.ppf(0.995)
    y, covered = np.arange(200) % 2, {ranking_interval: 0, score_interval: 0}
    for _ in range(400):
        weights = np.vstack([np.ones(200), resample_weights(np.arange(200), 200, rng)])
        margins = distance * y + rng.standard_normal(200)
        values = METRICS["roc_auc"].values(y, margins[:, None], weights, 2)
        for interval in covered:
            low, high = interval(values[0], values[1:], 200)
            covered[interval] += low <= 0.995 <= high
    assert covered[ranking_interval] / 400 == pytest.approx(0.95, abs=0.022)
    assert covered[score_interval] < covered[ranking_interval]


def test_each_metric_has_its_interval():
    states, task = problem()
    scorer = Scorer([task], 100, seed=0)
    guess = Guess({split: states[task.rows[split], :1] for split in ("val", "test")})
    measured = scorer.measure([guess])
    for row in scorer.rows(measured, [guess]):
        interval = ranking_interval if row["metric"] in ("roc_auc", "average_precision") else score_interval
        values = measured[row["split"], row["metric"]][0]
        assert (row["low"], row["high"]) == interval(values[0], values[1:], row["n_groups"])


def test_interval_of_a_difference_is_student_s():
    """That of scipy's paired t test, with the standard error that the test itself computes."""
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 2, 90), rng.integers(0, 2, 90)
    test = stats.ttest_rel(a, b)
    error = stats.sem(a - b)
    resampled = (a - b).mean() + np.array([-1, 1]) * error / np.sqrt(2) * np.sqrt(89 / 90)
    expected = test.confidence_interval()
    assert difference_interval((a - b).mean(), resampled, 90) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert difference_interval(0.99, resampled, 90)[1] == 1


def test_bootstrap_error_is_that_of_a_mean():
    values = RNG.integers(0, 2, 40).astype(float)
    weights = resample_weights(np.arange(40), 20000, np.random.default_rng(0))
    assert standard_error(weights @ values / 40, 40) == pytest.approx(stats.sem(values), rel=0.03)


def test_interval_leaves_out_undefined_resamples():
    assert standard_error(np.array([np.nan, 1.0, 3.0]), 10**6) == pytest.approx(np.sqrt(2))
    for value, resampled, groups in ((0.5, [np.nan], 9), (np.nan, [0.4, 0.6], 9), (0.5, [0.4, 0.6], 1)):
        for interval in (score_interval, ranking_interval):
            assert np.isnan(interval(value, np.array(resampled), groups)).all()
        assert np.isnan(difference_interval(value, np.array(resampled), groups)).all()


def test_a_value_that_no_choice_of_images_changes_is_certain():
    """Right for one of the two captions of every picture: half, whatever pictures there are."""
    assert score_interval(0.5, np.full(100, 0.5), 30) == (0.5, 0.5)


def problem(n=400, width=10, n_classes=2, seed=0, signal=1.0) -> tuple[np.ndarray, Problem]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    states = rng.normal(size=(n, width)).astype(np.float32)
    states[:, :n_classes] += signal * np.eye(n_classes, dtype=np.float32)[y]
    rows = {"train": np.arange(n // 2), "val": np.arange(n // 2, 3 * n // 4), "test": np.arange(3 * n // 4, n)}
    ids = np.array([f"i{i}" for i in range(n)])
    by_split = {split: ids[index] for split, index in rows.items()}
    return states, Problem("x", n_classes, by_split, by_split, rows, {split: y[index] for split, index in rows.items()})


@pytest.mark.parametrize("n_classes", [2, 3])
def test_engine_minimises_scikit_learns_objective(n_classes):
    states, task = problem(n_classes=n_classes)
    for fit in SklearnEngine().fit(states, [task], [0.01, 1.0])[0]:
        model = LogisticRegression(C=fit.C, tol=1e-8, max_iter=10000).fit(states[task.rows["train"]], task.y["train"])
        assert fit.converged
        assert np.allclose(fit.coefficients, model.coef_, atol=2e-3)
        margins = model.decision_function(states[task.rows["test"]]).reshape(len(task.y["test"]), -1)
        assert np.allclose(fit.scores(states[task.rows["test"]]), margins, atol=5e-3)


def test_an_unconverged_fit_says_so():
    states, task = problem()
    engine = SklearnEngine()
    engine.max_iterations = 1
    assert not engine.fit(states, [task], [10.0])[0][0].converged


def test_log_loss_agrees_with_scikit_learn():
    for y, scores in ((Y2, SCORES2), (Y3, SCORES3)):
        margins = np.hstack([0 * scores, scores]) if scores.shape[1] == 1 else scores
        probabilities = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
        assert log_loss(scores, y) == pytest.approx(reference.log_loss(y, probabilities), abs=1e-10)
    assert np.isfinite(log_loss(np.array([[1e4]]), np.array([0])))


def test_choice_is_by_validation_loss_and_ties_go_to_the_stronger_penalty():
    states = np.array([[1.0], [-1.0]])
    fits = [Fit(np.array([[w]]), np.zeros(1), C, True) for w, C in ((-1.0, 0.1), (2.0, 10.0), (2.0, 1.0))]
    assert choose(fits, states, np.arange(2), np.array([1, 0])).C == 1.0


def test_standardise_uses_training_rows_only(monkeypatch):
    monkeypatch.setattr("layerwise.probes.problems.NUMBERS_PER_BLOCK", 35)
    states = np.random.default_rng(0).normal(3, 5, (100, 5)).astype(np.float32)
    states[:, 3] = 7
    states[:, 4] = 1e4 + states[:, 0]
    rows = np.arange(50)
    expected = StandardScaler().fit(states[rows].astype(float)).transform(states)
    changed = states.copy()
    changed[50:] += 1000
    ours = standardise(states.copy(), rows)
    assert np.allclose(np.delete(ours, 3, axis=1), np.delete(expected, 3, axis=1), atol=1e-3)
    assert (ours[:, 3] == 0).all()
    assert np.array_equal(standardise(changed, rows)[:50], ours[:50])


def test_problems_follow_the_items():
    labels = pd.DataFrame(
        {
            "item_id": ["a", "b", "a", "c"],
            "group": ["ga", "gb", "ga", "gc"],
            "label": ["x", "x", "y", "y"],
            "y": [1, 0, 0, 1],
            "split": ["train", "test", "train", "val"],
        }
    )
    first, second = make_problems(labels, ["y", "x"], 2, ["c", "b", "a"], np.array([5, 6, 7]))
    assert (first.label, second.label) == ("y", "x")
    assert first.rows["train"].tolist() == [7]
    assert first.rows["val"].tolist() == [5]
    assert second.y["test"].tolist() == [0]
    with pytest.raises(InputError, match="item 'b' is not in the states file"):
        make_problems(labels, ["x"], 2, ["c", "a"], np.array([0, 1]))


def guess_of(task: Problem, states: np.ndarray) -> Guess:
    fit = SklearnEngine().fit(states, [task], [1.0])[0][0]
    return Guess({split: fit.scores(states[task.rows[split]]) for split in ("val", "test")}, fit.C)


def test_score_rows():
    states, task = problem()
    guess = guess_of(task, states)
    scorer = Scorer([task], 200, seed=0)
    rows = pd.DataFrame(scorer.rows(scorer.measure([guess]), [guess])).set_index(["split", "metric"])
    value = rows.loc[("test", "accuracy")]
    assert value["value"] == pytest.approx((predicted(guess.scores["test"]) == task.y["test"]).mean())
    assert value["low"] < value["value"] < value["high"]
    assert (value["n"], value["n_groups"], value["label"]) == (100, 100, "x")
    assert "macro" not in set(rows["label"])


def test_macro_is_the_mean_over_labels():
    states, first = problem(seed=0, signal=0.2)
    _, second = problem(seed=0, signal=0.2)
    second = Problem("z", 2, second.items, second.groups, second.rows, {k: 1 - v for k, v in second.y.items()})
    scorer, guesses = Scorer([first, second], 200, seed=0), [guess_of(first, states)] * 2
    rows = pd.DataFrame(scorer.rows(scorer.measure(guesses), guesses))
    accuracy = rows[(rows["split"] == "test") & (rows["metric"] == "accuracy")].set_index("label")
    assert accuracy.loc["macro", "value"] == pytest.approx(0.5)
    # The two labels are each other's opposite on the same images: resampled together, their mean cannot vary.
    assert accuracy.loc["macro", "high"] - accuracy.loc["macro", "low"] == pytest.approx(0, abs=1e-12)
    assert accuracy.loc["x", "high"] - accuracy.loc["x", "low"] > 0.1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_majority_baseline(n_classes):
    _, task = problem(n_classes=n_classes)
    task.y["train"][:150] = n_classes - 1
    guess = majority_guess(task)
    assert (predicted(guess.scores["test"]) == n_classes - 1).all()


def test_predictions_are_kept_item_by_item():
    states, task = problem()
    guess = guess_of(task, states)
    table = predictions(task, guess, {s: predicted(guess.scores[s]) for s in guess.scores})
    test = table[table["split"] == "test"]
    assert test["item_id"].tolist() == task.items["test"].tolist()
    assert ((test["pred"] == 1) == (np.vstack(test["scores"]).ravel() > 0)).all()
