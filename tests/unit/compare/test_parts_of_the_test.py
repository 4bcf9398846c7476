"""Scores on parts of the test items: which items are in them, and scikit-learn's numbers for them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Model, Task
from layerwise.compare.parts import ALL, RIGHT, SEEN, UNSEEN, WRONG
from layerwise.compare.statistics.parts import PartScorer, score_parts
from layerwise.errors import InputError
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.problems import make_problems
from layerwise.tasks.labels import build_task
from layerwise.tasks.unseen_texts import numbered_texts
from tests.given import given
from tests.predictions import predictions

SPLIT = {"by": "random", "val": 0.2, "test": 0.4, "unseen_texts": 0.4}
N_IMAGES, N_TEXTS, LAYERS = 150, 10, (0, 1, 2)
MODELS = {name: Model(name, "hub", weights, 1, 5) for name, weights in (("own", "pretrained"), ("twin", "random"))}
PROMPTS = [
    {"stimuli": "s", "prompt": "plain", "text": "{text}", "image": "shown"},
    {"stimuli": "s", "prompt": "words", "text": "{text}", "image": "none"},
    {"stimuli": "s", "prompt": "other", "text": "So? {text}", "image": "shown"},
]
OPTIONS = {"resamples": 300, "seed": 0, "twins": {"own": ["twin"]}}


def stimuli(labels):
    """Three items per image, with one of ten texts, and a class for each label that a part of the images has."""
    rng = np.random.default_rng(1)
    items = pd.DataFrame({"image": np.repeat(np.arange(N_IMAGES), 3), "text": rng.integers(0, N_TEXTS, 3 * N_IMAGES)})
    items = items.assign(item_id=[f"{n:04d}" for n in items.index], text="t" + items["text"].astype(str), category=None)
    items["image_sha256"] = items["image"].astype(str)
    provenance = items[["item_id"]].assign(image_id=items["image_sha256"], group=items["image_sha256"], part="all")
    for place, label in enumerate(labels):
        classes = np.where(rng.random(len(items)) < 0.5, "match", "mismatch")
        some = items["image"] % 4 != place if len(labels) > 1 else True
        provenance[f"label:{label}"] = np.where(some, classes, None)
    return items, provenance


def states(items, provenance, prompt):
    """By layer: the class, more or less; and the text, which gives some away in training."""
    rng = np.random.default_rng([*prompt.encode()])
    y = (provenance.filter(like="label:").bfill(axis=1).iloc[:, 0] == "match").to_numpy()
    text = pd.get_dummies(items["text"]).to_numpy(float) @ rng.normal(size=(N_TEXTS, 5))
    found = []
    for layer in LAYERS:
        noise = rng.normal(size=(len(items), 5)) * 1.5
        signal = np.outer(2 * y - 1, rng.normal(size=5)) * (0 if prompt == "words" else 0.3 + 0.3 * layer)
        found.append((text + noise + signal).astype(np.float32))
    return found


def study(folder, labels, metric):
    items, provenance = stimuli(labels)
    entry = {"min_per_class": 1, "split": SPLIT}
    table, described = build_task(provenance, "coco-entailment", entry, 3, texts=numbered_texts(items, 3))
    rows, places = [], np.arange(len(items))
    texts = items["text"].str.removeprefix("t").astype(int).to_numpy()
    for prompt in ("plain", "words", "other"):
        problems = make_problems(table, described["labels"], 2, list(items["item_id"]), places, texts=texts)
        probes = LayerProbes(problems, SklearnEngine(), [1.0], metric, OPTIONS["resamples"], OPTIONS["seed"])
        cell = {"task": "t", "prompt": prompt, "n_layers": 1}
        found, kept = [probes.majority().assign(layer=-1, layer_name="majority")], []
        for layer, values in zip(LAYERS, states(items, provenance, prompt), strict=True):
            of_layer = probes.layer(values.copy(), str(layer))
            found.append(of_layer.scores.assign(layer=layer, layer_name=str(layer)))
            kept.append(of_layer.predictions.assign(layer=layer))
        for model in MODELS:
            rows += [one.assign(**cell, model=model) for one in found]
            file = folder / "probes" / model / "t" / f"{prompt}.predictions.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pd.concat(kept).to_parquet(file)
    task = Task("t", "s", "global", described["kind"], described["labels"], described["classes"], metric)
    task = replace(task, balance=described["balance"])
    of_task = folder / "tasks" / "t"
    of_task.mkdir(parents=True)
    table.to_parquet(of_task / "labels.parquet", index=False)
    (of_task / "task.json").write_text(json.dumps(described | {"metric": metric}))
    made = given(
        folder, (), scores=pd.concat(rows), tasks={"t": task}, models=MODELS, prompts=PROMPTS,
        predictions=folder / "probes", labels=of_task / "labels.parquet",
    )  # fmt: skip
    return made, items, provenance


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return study(tmp_path_factory.mktemp("binary"), ["match"], "accuracy")


def table_of(made):
    comparison = COMPARISONS["test-parts"]
    return comparison.compute(made, OPTIONS)[list(comparison.columns)]


def by_sklearn(items, provenance, labels, prompt, layer, label):
    """Right or wrong and margins of the test items of a label, from states and texts alone: items that the split keeps
    are known by the text, not by what the labels say of parts."""
    of_label = labels[labels["label"] == label].set_index("item_id")
    place = pd.Series(np.arange(len(items)), index=items["item_id"])
    text = items.set_index("item_id")["text"]
    train = of_label[of_label["split"] == "train"]
    held_in = set(text[of_label.index[of_label["split"].isin(["train", "val"])]])
    test = of_label[of_label["split"] == "test"]
    values = states(items, provenance, prompt)[layer].astype(float)
    scaler = StandardScaler().fit(values[place[labels.loc[labels["split"] == "train", "item_id"].unique()]])
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000)
    model.fit(scaler.transform(values[place[train.index]]), train["y"])
    margins = model.decision_function(scaler.transform(values[place[test.index]]))
    seen = text[test.index].isin(held_in).to_numpy()
    return pd.DataFrame({"y": test["y"], "margin": margins, "seen": seen, "group": test["group"]}, index=test.index)


def test_values_are_those_of_scikit_learn_on_the_items_of_each_part(binary):
    made, items, provenance = binary
    table, labels = table_of(made), pd.read_parquet(made.path("labels"))
    assert set(table["part"]) == {ALL, SEEN, UNSEEN, WRONG, RIGHT}
    # Nobody's twin, and each cell with the parts that it can have.
    assert set(table["model"]) == {"own"}
    assert set(table.loc[table["part"] == WRONG, "prompt"]) == {"plain"}
    assert set(table["prompt"]) == {"plain", "words", "other"}
    scores = made.scores[(made.scores["probe"] == "logistic") & (made.scores["metric"] == "accuracy")]
    validation = scores[(scores["prompt"] == "words") & (scores["split"] == "val") & (scores["layer"] <= 1)]
    alone = int(validation.sort_values("layer").iloc[validation.sort_values("layer")["value"].argmax()]["layer"])
    words = by_sklearn(items, provenance, labels, "words", alone, "match")
    wrong = (words["margin"] > 0) != (words["y"] == 1)
    for (prompt, layer), rows in table.groupby(["prompt", "layer"]):
        found = by_sklearn(items, provenance, labels, prompt, layer, "match")
        right = (found["margin"] > 0) == (found["y"] == 1)
        beside = by_sklearn(items, provenance, labels, "words", layer, "match")
        right_beside = (beside["margin"] > 0) == (beside["y"] == 1)
        chosen = {ALL: right.notna(), SEEN: found["seen"], UNSEEN: ~found["seen"], WRONG: wrong, RIGHT: ~wrong}
        majority = labels.loc[labels["split"] == "train", "y"].mode()[0]
        for row in rows.itertuples():
            of_part = chosen[row.part]
            assert row.value == pytest.approx(metrics.accuracy_score(right[of_part], np.ones(of_part.sum(), bool)))
            assert (row.n, row.n_groups) == (of_part.sum(), found.loc[of_part, "group"].nunique())
            assert row.majority == pytest.approx((found.loc[of_part, "y"] == majority).mean())
            if prompt == "plain":
                assert row.text_only == pytest.approx(right_beside[of_part].mean())
                if layer == alone and row.part in (WRONG, RIGHT):
                    assert row.text_only == (row.part == RIGHT)
            if row.part == UNSEEN:
                assert row.difference == pytest.approx(right[~found["seen"]].mean() - right[found["seen"]].mean())


def test_intervals_are_those_of_the_scores_and_of_a_bootstrap_over_the_groups_of_the_part(binary):
    made, items, provenance = binary
    table, labels = table_of(made), pd.read_parquet(made.path("labels"))
    scores = made.scores[(made.scores["metric"] == "accuracy") & (made.scores["split"] == "test")]
    scores = scores[(scores["probe"] == "logistic") & (scores["model"] == "own")].set_index(["prompt", "layer"])
    for row in table[table["part"] == ALL].itertuples():
        expected = scores.loc[row.prompt, row.layer]
        assert (row.value, row.low, row.high) == pytest.approx(tuple(expected[["value", "low", "high"]]), abs=1e-9)
        assert (row.n, row.n_groups, row.n_texts) == tuple(expected[["n", "n_groups", "n_texts"]])

    found = by_sklearn(items, provenance, labels, "plain", 1, "match")
    found["right"] = ((found["margin"] > 0) == (found["y"] == 1)).astype(float)
    cell = table[(table["prompt"] == "plain") & (table["layer"] == 1)].set_index("part")
    unseen = found[~found["seen"]]
    sums = unseen.groupby("group")["right"].agg(["sum", "size"]).to_numpy()
    rng, n = np.random.default_rng(0), len(sums)
    drawn = sums[rng.integers(0, n, (4000, n))].sum(axis=1)
    error = (drawn[:, 0] / drawn[:, 1]).std() * np.sqrt(n / (n - 1))
    value, t = unseen["right"].mean(), stats.t.isf(0.025, n - 1)
    size = value * (1 - value) / error**2
    half = t * np.sqrt(value * (1 - value) / size + t**2 / (4 * size**2)) / (1 + t**2 / size)
    centre = (value + t**2 / (2 * size)) / (1 + t**2 / size)
    row = cell.loc[UNSEEN]
    assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half), abs=0.012)

    # The difference: both parts on the same draws of images.
    both = found.groupby(["group", "seen"])["right"].agg(["sum", "size"]).unstack(fill_value=0).to_numpy()
    n = len(both)
    drawn = both[rng.integers(0, n, (4000, n))].sum(axis=1)
    error = (drawn[:, 0] / drawn[:, 2] - drawn[:, 1] / drawn[:, 3]).std() * np.sqrt(n / (n - 1))
    half = stats.t.isf(0.025, n - 1) * error
    assert (row["difference_high"] - row["difference_low"]) / 2 == pytest.approx(half, rel=0.12)
    assert row["difference"] == pytest.approx((row["difference_high"] + row["difference_low"]) / 2)
    assert cell.drop(UNSEEN)["difference"].isna().all()


def test_of_several_labels_the_mean_is_over_those_that_the_metric_is_defined_for(tmp_path):
    made, items, provenance = study(tmp_path, ["a", "b"], "roc_auc")
    table, labels = table_of(made), pd.read_parquet(made.path("labels"))
    row = table[(table["prompt"] == "other") & (table["layer"] == 1)].set_index("part")
    assert set(row.index) == {ALL, SEEN, UNSEEN}
    for part in (SEEN, UNSEEN):
        areas = []
        for label in ("a", "b"):
            found = by_sklearn(items, provenance, labels, "other", 1, label)
            of_part = found[found["seen"] == (part == SEEN)]
            areas.append(metrics.roc_auc_score(of_part["y"], of_part["margin"]))
        assert row.loc[part, "value"] == pytest.approx(np.mean(areas), abs=1e-4)
    assert set(row["label"]) == {"macro"}


def test_a_label_without_items_of_both_classes_leaves_the_mean_to_the_others():
    y, group = np.array([0, 1, 0, 1, 1, 1]), np.arange(6)
    both = pd.concat(
        [
            predictions(np.array([1, 1, 1, 0]) == 1, y[:4], group[:4], "a"),
            predictions(y[4:] == 1, y[4:], group[4:], "b"),
        ]
    ).reset_index(drop=True)
    task = Task("t", "s", "local", "multilabel", ["a", "b"], ["no", "yes"], "roc_auc")
    margins = np.stack(both["scores"].to_numpy())
    area = metrics.roc_auc_score(y[:4], margins[:4, 0])
    assert PartScorer(both, task, 50, 0).score(margins)["value"] == pytest.approx(area)
    none = PartScorer(both[4:].reset_index(drop=True), task, 50, 0).score(margins[4:])
    assert np.isnan([none["value"], none["low"], none["high"]]).all()


def test_which_items_the_text_alone_has_wrong_by_hand(tmp_path):
    """Eight items. The text is best in layer 1 on validation, where it has the first two and the last one wrong."""
    y, group = np.array([0, 1, 0, 1, 0, 1, 0, 1]), np.arange(8)
    right = {
        ("plain", 0): [0, 0, 1, 1, 1, 1, 1, 1],
        ("plain", 1): [1, 0, 1, 1, 1, 1, 0, 1],
        ("words", 0): [1, 1, 1, 1, 1, 1, 1, 1],
        ("words", 1): [0, 0, 1, 1, 1, 1, 1, 0],
    }
    validation = {("plain", 0): 0.5, ("plain", 1): 0.9, ("words", 0): 0.5, ("words", 1): 0.6}
    rows, parts = [], {}
    for (prompt, layer), of_items in right.items():
        kept = predictions(np.array(of_items) == 1, y, group).assign(layer=layer, split="test")
        parts.setdefault(prompt, []).append(kept)
        cell = {"model": "own", "task": "t", "prompt": prompt, "layer": layer, "n_layers": 1, "label": "agrees"}
        cell |= {"metric": "accuracy", "probe": "logistic", "n": 8, "n_groups": 8}
        rows += [cell | {"split": "val", "value": validation[prompt, layer]}]
        rows += [cell | {"split": "test", "value": np.mean(of_items)}]
    for prompt, kept in parts.items():
        file = tmp_path / "own" / "t" / f"{prompt}.predictions.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(kept).to_parquet(file)
    # As many test items of each class, so that the test items do not say which constant is the majority.
    balance = {"agrees": {"train": {"no": 3, "yes": 5}}}
    task = Task("t", "s", "global", "binary", ["agrees"], ["no", "yes"], "accuracy", balance=balance)

    def scored(labels, scores=rows, prompts=PROMPTS[:2]):
        how = {"t": task}, {"own": MODELS["own"]}, prompts, labels
        found = score_parts(pd.DataFrame(scores), *how, tmp_path, 50, 0)
        return found.set_index(["prompt", "layer", "part"])

    found = scored({})
    # Wrong: items 0, 1 and 7, of classes no, yes, yes.
    assert found.loc[("plain", 0, WRONG), ["value", "n", "text_only"]].tolist() == pytest.approx([1 / 3, 3, 1])
    assert found.loc[("plain", 0, RIGHT), ["value", "n", "text_only"]].tolist() == [1, 5, 1]
    assert found.loc[("plain", 1, WRONG), ["value", "n", "text_only"]].tolist() == pytest.approx([2 / 3, 3, 0])
    assert found.loc[("plain", 1, RIGHT), ["value", "n", "text_only"]].tolist() == pytest.approx([4 / 5, 5, 1])
    assert found.loc[("plain", 1, WRONG), "majority"] == pytest.approx(2 / 3)
    assert set(found.index.get_level_values("prompt")) == {"plain"}
    assert found.xs(1, level="layer")["is_best"].all()

    text = pd.DataFrame({"label": "agrees", "item_id": [f"agrees{i:05d}" for i in range(8)]})
    text["test_part"] = [SEEN] * 6 + [UNSEEN] * 2
    found = scored({"t": text})
    assert found.loc[("plain", 1, SEEN), ["value", "n"]].tolist() == pytest.approx([5 / 6, 6])
    assert found.loc[("plain", 1, UNSEEN), ["value", "n"]].tolist() == [0.5, 2]
    assert found.loc[("words", 1, UNSEEN), "value"] == 0.5
    # A part without items has no row.
    assert UNSEEN not in scored({"t": text.assign(test_part=SEEN)}).index.get_level_values("part")
    # Nor has a prompt that shows no text any part by texts.
    no_text = [prompt | {"text": "Which of {categories}? {premise}"} for prompt in PROMPTS[:2]]
    assert set(scored({"t": text}, prompts=no_text).index.get_level_values("part")) == {ALL, WRONG, RIGHT}
    with pytest.raises(InputError, match="'agrees00007' is no test item of the task's labels"):
        scored({"t": text[:-1]})
    with pytest.raises(InputError, match="the two are from different runs"):
        scored(
            {},
            [row | ({"value": 0.1} if row["split"] == "test" and row["probe"] == "logistic" else {}) for row in rows],
        )


@pytest.mark.parametrize(
    ("answers", "parts"),
    [
        ([0] * 8, {ALL}),
        ([1] * 8, {ALL}),
        ([0, 1, 0, 1, 0, 1, 0, 1], {ALL}),
        # Wrong of a single item, and of two of a class.
        ([1, 1, 0, 1, 0, 1, 0, 1], {ALL}),
        ([1, 1, 1, 1, 0, 1, 0, 1], {ALL}),
        ([1, 0, 0, 1, 0, 1, 0, 1], {ALL, WRONG, RIGHT}),
        # Right of one class only.
        ([1, 0, 1, 0, 1, 0, 0, 0], {ALL}),
    ],
)
def test_neither_part_by_the_text_alone_is_shown_where_one_has_a_single_class(tmp_path, answers, parts):
    y, group = np.array([0, 1, 0, 1, 0, 1, 0, 1]), np.arange(8)
    found = parts_where_the_text_answers(tmp_path, np.array(answers), y, predictions(np.ones(8, bool), y, group))
    assert set(found["part"]) == parts
    # What the text alone scores is told still.
    assert (found.loc[found["part"] == ALL, "text_only"] == np.mean(answers == y)).all()
    assert (found["text_only_prompt"] == "words").all()


def test_of_several_labels_one_with_two_classes_in_both_parts_is_enough(tmp_path):
    y, group = np.array([0, 1, 0, 1]), np.arange(4)
    items = pd.concat([predictions(np.ones(4, bool), y, group, label) for label in "ab"], ignore_index=True)
    # One answer throughout for each label, though not the same one: as where each label has a text of its own.
    found = parts_where_the_text_answers(tmp_path, np.repeat([0, 1], 4), np.tile(y, 2), items)
    assert set(found["part"]) == {ALL}
    found = parts_where_the_text_answers(tmp_path, np.array([0, 0, 1, 1] + [1] * 4), np.tile(y, 2), items)
    assert set(found["part"]) == {ALL, WRONG, RIGHT}


def parts_where_the_text_answers(folder, answers, y, items):
    """The parts of a cell whose items the image's probe has right, where the text alone gives these answers."""
    of_text = items.assign(scores=[np.array([2.0 * answer - 1]) for answer in answers])
    rows = []
    for prompt, kept, right in (("plain", items, 1.0), ("words", of_text, np.mean(answers == y))):
        file = folder / "own" / "t" / f"{prompt}.predictions.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        kept.assign(layer=0, split="test").to_parquet(file)
        labels = items["label"].unique()
        cell = {"model": "own", "task": "t", "prompt": prompt, "layer": 0, "n_layers": 1, "metric": "accuracy"}
        cell |= {"label": labels[0] if len(labels) == 1 else "macro", "probe": "logistic", "n": 8, "n_groups": 8}
        rows += [cell | {"split": split, "value": right} for split in ("val", "test")]
    balance = {label: {"train": {"no": 3, "yes": 5}} for label in labels}
    task = Task("t", "s", "global", "binary", list(labels), ["no", "yes"], "accuracy", balance=balance)
    return score_parts(pd.DataFrame(rows), {"t": task}, {"own": MODELS["own"]}, PROMPTS[:2], {}, folder, 20, 0)


def test_a_study_without_parts_has_an_empty_table(binary, tmp_path):
    made, _, _ = binary
    prompts = [prompt for prompt in PROMPTS if prompt["image"] == "shown"]
    without = given(
        tmp_path, (), scores=made.scores, tasks=made.tasks, models=MODELS, prompts=prompts,
        predictions=made.path("predictions"),
    )  # fmt: skip
    table = table_of(without)
    assert table.empty
    assert list(table) == list(COMPARISONS["test-parts"].columns)
