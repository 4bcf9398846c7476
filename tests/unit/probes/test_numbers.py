"""Ridge regression and the scores of numbers, against scikit-learn, scipy and plain loops."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import StandardScaler

from layerwise.probes.number_metrics import METRICS, number_values
from layerwise.probes.number_probes import NumberProbes, number_interval, permuted
from layerwise.probes.problems import Problem, make_problems
from layerwise.probes.ridge import ridge_path
from tests.cells import run_here
from tests.conftest import REPOSITORY
from tests.golden.computed import drawn_cell

PENALTIES = [1e-4, 0.01, 1.0, 100.0]


@pytest.mark.parametrize("width", [5, 60])
def test_all_penalties_and_targets_are_those_of_scikit_learn(width):
    """Items share rows; with 60 dimensions there are fewer rows than dimensions."""
    rng = np.random.default_rng(width)
    states = rng.standard_normal((50, width)).astype(np.float32) + 3
    rows = rng.integers(0, 40, 90)
    y = rng.standard_normal((2, 90)) + states[rows, 0] + 7
    path, others = ridge_path(states, rows, y, PENALTIES), np.arange(40, 50)
    found = path.estimates(states, others)
    for place, penalty in enumerate(PENALTIES):
        for target in range(2):
            theirs = Ridge(alpha=penalty * 90).fit(states[rows].astype(float), y[target])
            np.testing.assert_allclose(found[place, target], theirs.predict(states[others].astype(float)), rtol=1e-6)
            part = path.part(slice(place, place + 1), target).estimates(states, others)
            np.testing.assert_allclose(part[0, 0], found[place, target], rtol=1e-12)


def test_metrics_are_those_of_libraries_on_samples_with_repeated_items():
    rng = np.random.default_rng(0)
    # Rounded, so that there are ties; far from 0, so that rounding errors would show.
    y, estimates = (1e4 + rng.integers(0, 6, 30).astype(float) for _ in range(2))
    weights = np.vstack([np.ones(30, np.uint16), rng.multinomial(30, np.full(30, 1 / 30), size=4)])
    for row, *found in zip(weights, *(number_values(name, y, estimates, weights) for name in METRICS), strict=True):
        sample = np.repeat(y, row), np.repeat(estimates, row)
        theirs = [r2_score(*sample), mean_absolute_error(*sample), stats.spearmanr(*sample).statistic]
        assert found == pytest.approx(theirs, rel=1e-9)


def test_equal_numbers_have_no_r2_and_no_ranks():
    alike, other = np.full(5, 0.3), np.arange(5.0)
    for name, y, estimates in (("r2", alike, other), ("spearman", alike, other), ("spearman", other, alike)):
        assert np.isnan(number_values(name, y, estimates, np.ones((1, 5))))[0]


def drawn(n_images=80, per_image=3, width=6, seed=0, noise=0.5) -> tuple[np.ndarray, list[Problem]]:
    """States of items, and two labels over them that two directions hold."""
    rng = np.random.default_rng(seed)
    n = n_images * per_image
    states = (rng.standard_normal((n, width)) * np.arange(1, width + 1) + 5).astype(np.float32)
    groups = np.repeat([f"g{i}" for i in range(n_images)], per_image)
    split = np.repeat(["train", "val", "test"], [n // 2, n // 4, n - n // 2 - n // 4])
    items = [f"i{i}" for i in range(n)]
    tables = [
        pd.DataFrame({"item_id": items, "group": groups, "label": label, "split": split}).assign(
            y=states[:, place] * scale + noise * scale * rng.standard_normal(n)
        )
        for place, (label, scale) in enumerate((("a", 1.0), ("b", 20.0)))
    ]
    return states, make_problems(pd.concat(tables), ["a", "b"], 0, items, np.arange(n))


def test_a_layer_is_fitted_chosen_and_scored_as_by_scikit_learn():
    states, problems = drawn(noise=3.0)
    scores, estimates = NumberProbes(problems, PENALTIES, 100, 0).layer(states.copy())
    found = scores.set_index(["label", "split", "metric"])["value"]
    for problem in problems:
        rows, y = problem.rows, problem.y
        x = StandardScaler().fit(states[rows["train"]].astype(float)).transform(states.astype(float))
        fits = [Ridge(alpha=penalty * len(y["train"])).fit(x[rows["train"]], y["train"]) for penalty in PENALTIES]
        errors = [np.mean((fit.predict(x[rows["val"]]) - y["val"]) ** 2) for fit in fits]
        best = int(np.argmin(errors))
        of_label = scores[scores["label"] == problem.label]
        assert set(of_label["penalty"]) == {PENALTIES[best]}
        read = fits[best].predict(x[rows["test"]])
        kept = estimates[(estimates["label"] == problem.label) & (estimates["split"] == "test")]
        np.testing.assert_allclose(kept["estimate"], read, rtol=1e-5)
        assert list(kept["item_id"]) == list(problem.items["test"])
        assert found[problem.label, "test", "r2"] == pytest.approx(r2_score(y["test"], read), abs=1e-6)
        assert found[problem.label, "test", "mae"] == pytest.approx(mean_absolute_error(y["test"], read), rel=1e-5)
        assert found[problem.label, "test", "spearman"] == pytest.approx(stats.spearmanr(y["test"], read).statistic)
        learned = r2_score(y["train"], fits[best].predict(x[rows["train"]]))
        assert found[problem.label, "train", "r2"] == pytest.approx(learned, abs=1e-6)
    assert found["macro", "test", "r2"] == pytest.approx((found["a", "test", "r2"] + found["b", "test", "r2"]) / 2)
    # Units may differ.
    assert ("macro", "test", "mae") not in found.index


def test_the_mean_of_the_training_items_is_scored_on_others():
    _, problems = drawn()
    rows = NumberProbes(problems, PENALTIES, 100, 0).mean().set_index(["label", "split", "metric"])
    for problem in problems:
        test, constant = problem.y["test"], np.full(len(problem.y["test"]), problem.y["train"].mean())
        assert rows.loc[(problem.label, "test", "r2"), "value"] == pytest.approx(r2_score(test, constant))
        assert rows.loc[(problem.label, "test", "mae"), "value"] == pytest.approx(mean_absolute_error(test, constant))
    assert "spearman" not in rows.index.get_level_values("metric")


def test_numbers_are_permuted_over_images_and_a_probe_reads_nothing_of_them():
    states, problems = drawn()
    controls = [permuted(problem, 0, seed=4) for problem in problems]
    for split in ("train", "val", "test"):
        # By image, whose numbers it has: the same of both labels.
        givers = []
        for problem, control in zip(problems, controls, strict=True):
            before, after = (dict(list(zip(*of, strict=True))) for of in (
                (map(tuple, problem.y[split].reshape(-1, 3)), problem.groups[split][::3]),
                (control.groups[split][::3], map(tuple, control.y[split].reshape(-1, 3))),
            ))  # fmt: skip
            givers.append([before[numbers] for numbers in after.values()])
        assert givers[0] == givers[1]
        assert sorted(givers[0]) == sorted(set(problems[0].groups[split]))
        assert givers[0] != list(problems[0].groups[split][::3])
    scores, _ = NumberProbes(problems, [*PENALTIES, 1e4], 100, 0, repeats=3).layer(states)
    of_test = scores[(scores["split"] == "test") & (scores["metric"] == "r2")].set_index(["probe", "label"])["value"]
    assert of_test["control", "a"] == pytest.approx(0, abs=0.1)
    for label in ("a", "b", "macro"):
        above = of_test["ridge", label] - of_test["control", label]
        assert of_test["selectivity", label] == pytest.approx(above)


def test_an_image_with_more_items_takes_another_ones_numbers_again():
    groups = np.array(["a", "b", "b", "b"])
    parts = dict.fromkeys(("train", "val", "test"), groups)
    numbers = dict.fromkeys(parts, np.array([1.0, 2.0, 3.0, 4.0]))
    problem = Problem("l", 0, parts, parts, dict.fromkeys(parts, np.arange(4)), numbers)
    found = {tuple(permuted(problem, repeat, 0).y["train"]) for repeat in range(20)}
    assert found == {(1.0, 2.0, 3.0, 4.0), (2.0, 1.0, 1.0, 1.0)}


def test_intervals_cover_the_r2_of_many_more_images():
    """Of images whose items are alike; the truth is that of 4000 images. An interval over items would be too short."""
    rng = np.random.default_rng(3)

    def sample(n_images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = np.repeat(rng.standard_normal(n_images), 4)
        return y, y + np.repeat(rng.standard_normal(n_images), 4), np.repeat(np.arange(n_images), 4)

    y, estimates, _ = sample(4000)
    truth, covered = r2_score(y, estimates), []
    for _ in range(150):
        y, estimates, images = sample(60)
        drawn_weights = rng.multinomial(60, np.full(60, 1 / 60), size=200)[:, images]
        value, *resampled = number_values("r2", y, estimates, np.vstack([np.ones(len(y), np.int64), drawn_weights]))
        low, high = number_interval("r2", value, np.array(resampled), 60)
        assert high <= 1
        covered.append(low <= truth <= high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_the_program_reads_a_task_and_writes_scores_and_estimates(tmp_path, monkeypatch):
    """On the states and labels of the golden cell, whose classes stand for numbers here."""
    given = drawn_cell(tmp_path, 3, np.random.default_rng(0))
    folder = tmp_path / "of-3"
    labels = pd.read_parquet(folder / "labels.parquet")
    labels.assign(y=labels["y"] / 4).to_parquet(folder / "labels.parquet")
    described = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps(described | {"kind": "regression", "classes": [], "metric": "r2"}))
    shared = ("--states", "--cell", "--stimuli", "--task", "--position", "--resamples", "--seed", "--threads", "--work")
    command = ["python", REPOSITORY / "scripts/fit_regressions.py", "--penalties", "0.01", "1", "--permuted", "1"]
    command += ["--memory-mb", "4000", "--scores", folder / "r.parquet", "--estimates", folder / "e.parquet"]
    command += [part for name in shared for part in (name, given[given.index(name) + 1])]
    run_here(list(map(str, command)), monkeypatch)
    scores, estimates = pd.read_parquet(folder / "r.parquet"), pd.read_parquet(folder / "e.parquet")
    of_test = scores[(scores["split"] == "test") & (scores["metric"] == "r2")].set_index(["probe", "layer"])["value"]
    # The states hold the label, the more so the higher the layer.
    assert of_test["mean"].index.tolist() == [-1]
    assert of_test["ridge", 0] < 0.1 < of_test["ridge", 1] < of_test["ridge", 2]
    assert of_test["control"].max() < 0.2
    of_layer = estimates[(estimates["layer"] == 2) & (estimates["split"] == "test")]
    assert r2_score(of_layer["y"], of_layer["estimate"]) == pytest.approx(of_test["ridge", 2], abs=1e-6)
    assert set(scores["n_layers"]) == {2}
