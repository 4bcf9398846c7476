"""Random labels, description length and learning curves on data whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from layerwise.probes.controls import image_order, portion, random_labels
from layerwise.probes.description_length import CodeLength, bits_per_item, code_length, code_rows, item_bits
from layerwise.probes.fits import Fit
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.problems import Problem

SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}


def problem(n=600, items_per_group=2, label="x", seed=0, signal=2.0, width=8, n_classes=2):
    """States whose first dimensions tell the label, and the problem of reading it."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    rng.shuffle(y)
    states = rng.standard_normal((n, width)).astype(np.float32)
    states[:, :n_classes] += signal * np.eye(n_classes, dtype=np.float32)[y]
    rows = dict(zip(SPLITS, np.split(np.arange(n), [int(0.6 * n), int(0.8 * n)]), strict=True))
    groups = {split: np.array([f"g{row // items_per_group}" for row in index]) for split, index in rows.items()}
    items = {split: np.array([f"i{row}" for row in index]) for split, index in rows.items()}
    return states, Problem(label, n_classes, items, groups, rows, {split: y[index] for split, index in rows.items()})


def test_random_labels_keep_the_class_balance_of_every_split_and_nothing_else():
    _, task = problem(n=4000)
    control = random_labels(task, 0, seed=1)
    for split, y in task.y.items():
        assert np.bincount(control.y[split]).tolist() == np.bincount(y).tolist()
        assert abs(np.corrcoef(control.y[split], y)[0, 1]) < 0.1
        assert control.rows[split] is task.rows[split]
        assert control.groups[split] is task.groups[split]
    assert (random_labels(task, 0, seed=1).y["train"] == control.y["train"]).all()
    for other in (random_labels(task, 1, seed=1), random_labels(task, 0, seed=2)):
        assert (other.y["train"] != control.y["train"]).mean() == pytest.approx(0.5, abs=0.1)


def test_items_that_read_the_same_have_the_same_random_label():
    _, task = problem(n=400)
    shared = {split: rows // 2 for split, rows in task.rows.items()}
    control = random_labels(Problem("x", 2, task.items, task.groups, shared, task.y), 0, seed=0)
    for y in control.y.values():
        assert (y[0::2] == y[1::2]).all()
        assert 0 < y.mean() < 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_some_texts_are_far_more_frequent_and_classes_stay_balanced(n_classes):
    """Half of all items read one of ten texts; over many controls, each text has each class as often as it should."""
    _, task = problem(n=1200, n_classes=n_classes)
    rng = np.random.default_rng(0)
    texts = {
        split: np.where(rng.random(len(rows)) < 0.5, rng.integers(0, 10, len(rows)), rng.integers(10, 400, len(rows)))
        for split, rows in task.rows.items()
    }
    task = Problem("x", n_classes, task.items, task.groups, texts, task.y)
    controls = [random_labels(task, repeat, seed=0) for repeat in range(200)]
    for control in controls:
        shares = np.bincount(control.y["train"], minlength=n_classes) / len(control.y["train"])
        assert shares == pytest.approx(np.bincount(task.y["train"]) / len(task.y["train"]), abs=0.01)
    for text in (0, 1, texts["train"].max()):
        at = np.flatnonzero(texts["train"] == text)[0]
        often = np.bincount([control.y["train"][at] for control in controls], minlength=n_classes)
        assert often / 200 == pytest.approx(np.full(n_classes, 1 / n_classes), abs=0.12)


def test_a_text_that_recurs_held_out_keeps_its_random_label():
    """As without the picture; and a probe that remembers the training texts is above chance on the others."""
    states, task = problem(n=600, width=200)
    texts = {split: np.arange(len(rows)) % 40 for split, rows in task.rows.items()}
    texts["test"] = texts["test"] + 20
    task = Problem("x", 2, task.items, task.groups, texts, task.y)
    control = random_labels(task, 0, seed=0)
    label = dict(zip(control.rows["train"], control.y["train"], strict=True))
    assert set(label.values()) == {0, 1}
    known = control.rows["test"] < 40
    assert 0 < known.mean() < 1
    assert [label[row] for row in control.rows["test"][known]] == control.y["test"][known].tolist()
    assert 0 < control.y["test"][~known].mean() < 1
    probes = LayerProbes([task], ENGINES["sklearn"].start(1, 2**30), [1.0], "accuracy", 50, 0, repeats=1)
    scores = probes.layer(states, "block 1").scores.query("probe == 'control' and split == 'test'")
    assert scores["value"].iloc[0] > 0.65


def test_where_everything_reads_the_same_random_labels_still_have_both_classes():
    _, task = problem(n=40)
    one_row = {split: np.zeros_like(rows) for split, rows in task.rows.items()}
    control = random_labels(Problem("x", 2, task.items, task.groups, one_row, task.y), 0, seed=0)
    assert sorted(control.y["train"]) == sorted(task.y["train"])


def test_portions_hold_whole_images_and_leave_held_out_items_alone():
    _, task = problem()
    order = image_order([task], seed=0)
    assert sorted(order) == sorted(set(task.groups["train"]))
    half = portion(task, order[: len(order) // 2])
    assert set(half.groups["train"]) == set(order[: len(order) // 2])
    assert len(half.y["train"]) == len(task.y["train"]) // 2
    places = [task.items["train"].tolist().index(item) for item in half.items["train"]]
    assert (task.y["train"][places] == half.y["train"]).all()
    assert (task.rows["train"][places] == half.rows["train"]).all()
    assert half.rows["test"] is task.rows["test"]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_bits_are_scikit_learns_log_loss(n_classes):
    states, task = problem(n_classes=n_classes)
    model = LogisticRegression().fit(states[task.rows["train"]], task.y["train"])
    fit = Fit(model.coef_, model.intercept_, 1.0, True)
    bits = item_bits(fit, states, task.rows["test"], task.y["test"], n_classes)
    expected = log_loss(task.y["test"], model.predict_proba(states[task.rows["test"]])) / np.log(2)
    assert bits.mean() == pytest.approx(expected, abs=1e-6)
    assert item_bits(None, states, task.rows["test"], task.y["test"], n_classes) == pytest.approx(np.log2(n_classes))


def test_each_portion_is_sent_in_the_code_of_the_probe_before_it():
    states, task = problem(n=100, items_per_group=1)
    order = image_order([task], seed=3)
    # Probes that say nothing but how sure they are of the second class: their bits tell which one was used.
    sure = [Fit(np.zeros((1, 8)), np.array([np.log(odds)]), 1.0, True) for odds in (3.0, 7.0)]
    code = code_length(task, [sure[0], None, sure[1]], order, [10, 20, 40], states)
    place = {group: k for k, group in enumerate(order)}
    for group, y, bits in zip(task.groups["train"], task.y["train"], code.bits, strict=True):
        k = place[group]
        odds = 1 if k < 10 else 3 if k < 20 else 1 if k < 40 else 7
        assert bits == pytest.approx(-np.log2((odds if y else 1) / (1 + odds)))


def test_bits_per_item_and_their_interval():
    rng = np.random.default_rng(0)
    codes = [CodeLength(rng.random(50), np.arange(50), 2) for _ in range(2)]
    value, low, high = bits_per_item(codes[:1])
    assert value == pytest.approx(codes[0].bits.mean())
    assert (high - low) / 2 == pytest.approx(2.0096 * codes[0].bits.std(ddof=1) / np.sqrt(50), rel=1e-4)
    # Two labels of the same images that go up and down together are no more evidence than one.
    assert bits_per_item([codes[0], codes[0]]) == pytest.approx((value, low, high))
    rows = pd.DataFrame(code_rows(["a", "b"], codes)).set_index(["label", "metric"])
    macro = rows.loc[("macro", "code_bits")]
    assert macro["value"] == pytest.approx(np.mean([code.bits.mean() for code in codes]))
    assert rows.loc[("macro", "compression"), "value"] == pytest.approx(1 / macro["value"])
    assert rows.loc[("macro", "compression"), "high"] == pytest.approx(1 / macro["low"])
    single = bits_per_item([CodeLength(np.ones(4), np.array(["g"] * 4), 2)])
    assert single[0] == 1
    assert np.isnan(single[1:]).all()


@pytest.fixture(scope="module", params=list(ENGINES))
def found(request):
    """One layer with a label that can be read and one that cannot."""
    states, task = problem(n=800, signal=3.0, width=60)
    _, noise = problem(n=800, label="noise", seed=5)
    probes = LayerProbes(
        *([task, noise], ENGINES[request.param].start(1, 2**30), [0.001, 0.1, 1.0], "accuracy", 200, 0),
        repeats=2,
        description_length=True,
    )
    return probes.layer(states, "block 1")


def test_selectivity_is_the_task_less_its_controls(found):
    rows = found.scores[found.scores["metric"] == "accuracy"].set_index(["label", "probe", "split"])
    for label in ("x", "noise", "macro"):
        for split in ("val", "test"):
            task, control, above = (rows.loc[(label, probe, split)] for probe in ("logistic", "control", "selectivity"))
            assert above["value"] == pytest.approx(task["value"] - control["value"])
            assert above["low"] < above["value"] < above["high"]
    assert rows.loc[("x", "control", "test"), "value"] == pytest.approx(0.5, abs=0.12)
    assert rows.loc[("x", "selectivity", "test"), "low"] > 0.3
    assert rows.loc[("noise", "selectivity", "test"), "low"] < 0 < rows.loc[("noise", "selectivity", "test"), "high"]
    # 60 dimensions remember a good part of 480 random labels.
    assert 0.6 < rows.loc[("x", "control", "train"), "value"] < 0.9
    assert rows.loc[("x", "logistic", "train"), "value"] > 0.95
    macro = rows.loc[("macro", "control", "train"), "value"]
    assert macro == pytest.approx(rows.loc[[("x", "control", "train"), ("noise", "control", "train")], "value"].mean())
    assert rows.loc[("x", "control", "test"), "C"] == rows.loc[("x", "logistic", "test"), "C"]


def test_a_control_has_the_c_of_its_task():
    """Each label its own C; what the control memorises is what scikit-learn does with it."""
    states, task = problem(n=400, signal=3.0, width=60)
    _, noise = problem(n=400, label="noise", seed=5)
    probes = LayerProbes([task, noise], ENGINES["sklearn"].start(1, 2**30), [1e-4, 10.0], "accuracy", 50, 0, repeats=1)
    found = probes.layer(states, "block 1").scores
    memorised = found.query("probe == 'control' and split == 'train'").set_index("label")["value"]
    chosen = found.query("probe == 'logistic' and split == 'test' and metric == 'accuracy'").set_index("label")["C"]
    assert (chosen["x"], chosen["noise"]) == (10.0, 1e-4)
    for label in (task, noise):
        y = random_labels(label, 0, seed=0).y["train"]
        rows = states[label.rows["train"]]
        model = LogisticRegression(C=chosen[label.label], max_iter=2000).fit(rows, y)
        assert memorised[label.label] == pytest.approx(model.score(rows, y), abs=0.01)


def test_other_splits_are_fitted_and_scored_on_their_own():
    states, task = problem(n=400, signal=1.0)
    _, second = problem(n=400, label="z", seed=5)
    order = np.random.default_rng(1).permutation(400)
    parts = dict(zip(SPLITS, np.split(order, [240, 320]), strict=True))
    resplit = []
    for label in (task, second):
        y = np.concatenate([label.y[split] for split in SPLITS])
        ids = {split: np.array([f"i{row}" for row in rows]) for split, rows in parts.items()}
        resplit.append(Problem(label.label, 2, ids, ids, parts, {split: y[rows] for split, rows in parts.items()}))
    engine = ENGINES["sklearn"].start(1, 2**30)
    found = LayerProbes([task, second], engine, [0.1], "roc_auc", 50, 0, resplits={"7": resplit}).layer(states, "b")
    rows = found.scores[found.scores["probe"] == "resplit"].set_index(["label", "split"])
    assert set(rows["split_seed"]) == {"7"}
    model = LogisticRegression(C=0.1).fit(states[parts["train"]], resplit[0].y["train"])
    for split in ("val", "test"):
        expected = roc_auc_score(resplit[0].y[split], model.decision_function(states[parts[split]]))
        assert rows.loc[("x", split), "value"] == pytest.approx(expected, abs=2e-3)
        assert rows.loc[("macro", split), "value"] == pytest.approx(
            rows.loc[["x", "z"], "value"].xs(split, level=1).mean()
        )
        assert rows.loc[("x", split), "n"] == 80
    assert len(rows) == 6


def test_what_cannot_be_read_is_not_compressed(found):
    bits = found.scores[found.scores["metric"] == "code_bits"].set_index("label")
    assert bits.loc["x", "high"] < 0.5
    assert bits.loc["noise", "value"] > 0.95
    compression = found.scores[found.scores["metric"] == "compression"].set_index("label")["value"]
    assert compression["x"] == pytest.approx(1 / bits.loc["x", "value"])
    assert (found.scores["split"] == "train").sum() == 3 * 2 + 3 * 2


def test_learning_curve_ends_at_the_task_s_own_score(found):
    curve = found.curve.set_index(["label", "train_groups"])
    assert list(curve.loc["macro"].index) == [8, 15, 30, 60, 120, 240]
    assert curve.loc[("x", 30), "train_items"] == 60
    test = found.scores.query("probe == 'logistic' and split == 'test' and metric == 'accuracy'").set_index("label")
    for label in ("x", "noise", "macro"):
        columns = ["value", "low", "high", "n", "n_groups"]
        assert curve.loc[(label, 240), columns].tolist() == test.loc[label, columns].tolist()
    assert curve.loc[("x", 240), "value"] > curve.loc[("x", 8), "value"]


def test_a_portion_without_a_class_has_no_probe():
    states, task = problem(n=200, items_per_group=1)
    # The second class comes with the 21st of 120 images.
    late = np.isin(task.groups["train"], image_order([task], seed=0)[20:23]).astype(int)
    task = Problem("late", 2, task.items, task.groups, task.rows, task.y | {"train": late})
    engine = ENGINES["sklearn"].start(1, 2**30)
    found = LayerProbes([task], engine, [0.1], "accuracy", 50, 0, description_length=True).layer(states, "block 1")
    assert found.curve["train_groups"].tolist() == [30, 60, 120]
    # 30 images at one bit each, and the rest almost for nothing.
    assert 30 / 120 < found.scores.set_index("metric").loc["code_bits", "value"] < 0.6


def test_without_controls_there_are_none():
    states, task = problem(n=200)
    found = LayerProbes([task], ENGINES["sklearn"].start(1, 2**30), [0.1], "roc_auc", 50, 0).layer(states, "block 1")
    assert set(found.scores["probe"]) == {"logistic"}
    assert "code_bits" not in set(found.scores["metric"])
    assert found.curve["train_groups"].tolist() == [60]
    assert found.curve["metric"].tolist() == ["roc_auc"]
