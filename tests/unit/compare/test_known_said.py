"""What is said, and known against said: against scikit-learn, loops over items and images, and exact tests."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from layerwise.answers.table import read_answers, write_answers
from layerwise.compare.catalogue import COMPARISONS
from layerwise.errors import InputError
from tests.answers import BINARY, OPTIONS, SEVERAL, THREE, items, made, noisy, probe_scores, write_cell

SHARES = ["known and said", "known, not said", "said, not known", "neither"]


def computed(name, folder, task, options=None, **inputs):
    options = OPTIONS | {"said": [f"m/{task.task}/plain"]} | (options or {})
    return COMPARISONS[name].compute(made(folder, [task], **inputs), options)


def one(table, **keys):
    """The only row with these values."""
    chosen = np.logical_and.reduce([table[key] == value for key, value in keys.items()])
    (row,) = table[chosen].to_dict("records")
    return row


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A task of two labels that share images: what was written, and both tables."""
    folder = tmp_path_factory.mktemp("several")
    table = items(SEVERAL)
    known = {layer: noisy(table, SEVERAL, 0.3 + layer, 10 + layer) for layer in range(3)}
    said = {layer: noisy(table, SEVERAL, 0.4 + 0.3 * layer, 20 + layer, bias=1.5) for layer in range(3)}
    write_cell(folder, SEVERAL, table, known, said, mass=np.where(table["label"] == "cat", 0.25, 0.75))
    return table, known, said, computed("said", folder, SEVERAL), computed("known-said", folder, SEVERAL)


def test_answers_are_scored_as_scikit_learn_scores_them(several):
    table, _, said, found, _ = several
    for layer, margins in said.items():
        for split in ("val", "test"):
            of_labels = []
            for label in SEVERAL.labels:
                chosen = ((table["label"] == label) & (table["split"] == split)).to_numpy()
                y, z = table["y"].to_numpy()[chosen], margins[chosen, 0]
                values = {"accuracy": np.mean((z > 0) == y), "says:yes": np.mean(z > 0), "says:no": np.mean(z <= 0)}
                values |= {"brier": np.mean((expit(z) - y) ** 2), "mass": 0.25 if label == "cat" else 0.75}
                values |= {"roc_auc": roc_auc_score(y, z)} if split == "test" else {}
                of_labels.append(values)
                for metric, value in values.items():
                    row = one(found, layer=layer, split=split, label=label, metric=metric, answer="as said")
                    assert row["value"] == pytest.approx(value, abs=1e-6)
                    assert row["low"] <= row["value"] <= row["high"]
            for metric in of_labels[0]:
                row = one(found, layer=layer, split=split, label="macro", metric=metric, answer="as said")
                assert row["value"] == pytest.approx(np.mean([values[metric] for values in of_labels]), abs=1e-6)


@pytest.mark.whole
def test_intervals_of_areas_are_as_wide_as_those_of_drawn_images(several):
    """Drawn images, with scikit-learn's areas of the items that are drawn with them."""
    table, _, said, found, _ = several
    rng = np.random.default_rng(0)
    test = (table["split"] == "test").to_numpy()
    rows = table[test].assign(z=said[1][test, 0])
    images = rows["group"].unique()
    drawn = []
    for _ in range(1000):
        counts = dict(zip(images, rng.multinomial(len(images), np.full(len(images), 1 / len(images))), strict=True))
        weights = rows["group"].map(counts)
        areas = [
            roc_auc_score(of_label["y"], of_label["z"], sample_weight=weights[of_label.index])
            for _, of_label in rows.groupby("label")
        ]
        drawn.append([*areas, np.mean(areas)])
    for label, areas in zip([*sorted(SEVERAL.labels), "macro"], np.transpose(drawn), strict=True):
        row = one(found, layer=1, split="test", label=label, metric="roc_auc", answer="as said")
        assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * areas.std(ddof=1), rel=0.15)


def test_the_threshold_is_chosen_on_validation_for_each_label(several):
    table, _, said, found, _ = several
    for label in SEVERAL.labels:
        of_split = {}
        for split in ("val", "test"):
            chosen = ((table["label"] == label) & (table["split"] == split)).to_numpy()
            of_split[split] = table["y"].to_numpy()[chosen], said[2][chosen, 0].astype(np.float32)
        y, z = of_split["val"]
        offset = one(found, layer=2, label=label, metric="offset:yes")["value"]
        assert np.mean((z + offset > 0) == y) == max(np.mean((z > t) == y) for t in np.arange(-8, 8, 0.01))
        y, z = of_split["test"]
        row = one(found, layer=2, split="test", label=label, metric="accuracy", answer="threshold")
        assert row["value"] == pytest.approx(np.mean((z + offset > 0) == y))
    both = [
        one(found, layer=2, split="test", label="macro", metric="accuracy", answer=answer)["value"]
        for answer in ("threshold", "as said")
    ]
    assert both[0] > both[1] + 0.05


def test_the_four_shares_and_their_intervals_are_those_of_a_loop_over_images(several):
    table, known, said, _, found = several
    test = table["split"] == "test"
    y = table["y"].to_numpy()
    right = {"known": (known[1][:, 0] > 0) == y, "said": (said[2][:, 0] > 0) == y}
    by_image: dict[str, list] = {}
    for k in np.flatnonzero(test):
        kind = 2 * (1 - right["known"][k]) + (1 - right["said"][k])
        by_image.setdefault(table["group"][k], []).append((table["label"][k], kind))

    def shares(images):
        counts = {label: [0, 0, 0, 0] for label in SEVERAL.labels}
        for image in images:
            for label, kind in image:
                counts[label][kind] += 1
        return np.mean([np.array(of_label) / sum(of_label) for of_label in counts.values()], axis=0)

    images, rng = list(by_image.values()), np.random.default_rng(5)
    n, value = len(images), shares(images)
    resampled = np.array([shares([images[k] for k in rng.integers(n, size=n)]) for _ in range(300)])
    error = resampled.std(axis=0, ddof=1) * np.sqrt(n / (n - 1))
    t, items_worth = stats.t.ppf(0.975, n - 1), value * (1 - value) / error**2
    centre = (value + t**2 / (2 * items_worth)) / (1 + t**2 / items_worth)
    half = t * np.sqrt(value * (1 - value) / items_worth + t**2 / (4 * items_worth**2)) / (1 + t**2 / items_worth)
    for k, share in enumerate(SHARES):
        row = one(found, layer=1, label="macro", answer="as said", share=share)
        assert row["value"] == pytest.approx(value[k])
        # Two sets of resamples differ by about 5 % in their spread.
        assert row["high"] - row["low"] == pytest.approx(2 * half[k], rel=0.2)
        assert (row["low"] + row["high"]) / 2 == pytest.approx(centre[k], abs=0.1 * half[k])


def test_what_independence_gives_is_the_product_of_the_margins_within_labels(several):
    table, known, said, _, found = several
    y = table["y"].to_numpy()
    expected = []
    for label in SEVERAL.labels:
        chosen = ((table["split"] == "test") & (table["label"] == label)).to_numpy()
        k, s = ((hits[chosen, 0] > 0) == y[chosen] for hits in (known[0], said[2]))
        expected.append(k.mean() * (1 - s.mean()))
        row = one(found, layer=0, label=label, answer="as said", share="known, not said")
        assert row["independent"] == pytest.approx(expected[-1])
        assert row["phi"] == pytest.approx(np.corrcoef(k, s)[0, 1])
    row = one(found, layer=0, label="macro", answer="as said", share="known, not said")
    assert row["independent"] == pytest.approx(np.mean(expected))
    assert np.allclose(found.groupby(["layer", "label", "answer"])["value"].sum(), 1)


def test_texts_that_images_share_count_as_units(tmp_path):
    """The error of a share is by image plus by text less by both, computed here from sums of residuals."""
    table = items(BINARY, n_images=60, per_image=4, texts=60)
    of_text = np.random.default_rng(3).standard_normal(60)[table["text"]]
    # Whole texts are easy or hard for the probe and the model alike.
    margins = (2 * table["y"] - 1) * (0.4 + 2 * of_text)
    known = {0: margins.to_numpy()[:, None]}
    write_cell(tmp_path, BINARY, table, known, {0: known[0], 1: known[0]})
    found = one(computed("known-said", tmp_path, BINARY), layer=0, answer="as said", share="known and said")
    test = table[table["split"] == "test"].assign(hit=(margins > 0) == (table["y"] == 1))
    rest = test["hit"] - test["hit"].mean()
    squares = {
        by: (rest.groupby([test[column] for column in columns]).sum() ** 2).sum()
        for by, columns in {"image": ["group"], "text": ["text"], "both": ["group", "text"]}.items()
    }
    error = np.sqrt(squares["image"] + squares["text"] - squares["both"]) / len(test)
    alone = np.sqrt(squares["image"]) / len(test)
    assert found["n_texts"] == 60
    assert (found["high"] - found["low"]) / (2 * 2.0) == pytest.approx(error, rel=0.15)
    assert error > 1.5 * alone


def test_three_classes_are_read_among_the_tasks_own(tmp_path):
    """A prompt may have answers for more classes than the task: what is said is the best of the task's."""
    table = items(THREE)
    margins = noisy(table, THREE, 1.0, 0, bias=2)
    write_cell(tmp_path, THREE, table, {0: margins}, {0: margins, 1: margins})
    binary = replace(THREE, task="binary", kind="binary", classes=["true", "false"])
    two = table[table["y"] != 1].assign(y=lambda t: (t["y"] == 0).astype(int))
    (tmp_path / "probes/m/binary").mkdir()
    two.assign(layer=0, pred=0, scores=[[0.0]] * len(two)).to_parquet(
        tmp_path / "probes/m/binary/plain.predictions.parquet"
    )
    found = computed("said", tmp_path, binary)
    test = (two["split"] == "test").to_numpy()
    log_odds = (margins[two.index, 0] - margins[two.index, 2])[test]
    row = one(found, layer=1, split="test", metric="accuracy", answer="as said")
    assert row["value"] == pytest.approx(np.mean((log_odds > 0) == two["y"][test]))
    whole = computed("said", tmp_path, THREE)
    row = one(whole, layer=1, split="test", metric="says:true", answer="as said")
    assert row["value"] == pytest.approx(np.mean(margins[table["split"] == "test"].argmax(axis=1) == 2))


def test_the_best_layer_is_tested_against_what_is_said(tmp_path):
    """One item per image: the exact test of the items that only one has right; Holm over both ways to read answers."""
    table = items(BINARY, n_images=150, per_image=1)
    known = {0: noisy(table, BINARY, 0.1, 1), 1: noisy(table, BINARY, 1.3, 2), 2: noisy(table, BINARY, 5, 3)}
    said = {layer: noisy(table, BINARY, 1.0, 4, bias=2) for layer in range(3)}
    write_cell(tmp_path, BINARY, table, known, said)
    found = computed("known-said-top", tmp_path, BINARY, scores=probe_scores(BINARY, table, known))
    test, y = (table["split"] == "test").to_numpy(), table["y"].to_numpy()
    # The final norm is no candidate, as good as it is.
    assert set(found["best_layer"]) == {1}
    row = one(found, answer="as said")
    k, s = (((hits[:, 0] > 0) == y)[test] for hits in (known[1], said[2]))
    assert (row["known"], row["said"]) == pytest.approx((k.mean(), s.mean()))
    assert row["difference"] == pytest.approx(k.mean() - s.mean())
    only, other = (k & ~s).sum(), (s & ~k).sum()
    assert row["p_value"] == pytest.approx(stats.binomtest(only, only + other).pvalue, rel=0.1, abs=1e-4)
    at_threshold = one(found, answer="threshold")
    assert at_threshold["said"] > row["said"] + 0.1
    holm = multipletests(found["p_value"], method="holm")[1]
    np.testing.assert_allclose(found["p_holm"], holm)


def test_written_answers_without_a_match_are_wrong(tmp_path):
    table = items(BINARY)
    margins = noisy(table, BINARY, 1, 0)
    write_cell(tmp_path, BINARY, table, {0: margins}, {0: margins, 1: margins})
    said = np.array(["yes", "no", None, "maybe"], dtype=object)[np.arange(len(table)) % 4]
    (tmp_path / "generated/m/pairs").mkdir(parents=True)
    written = pd.DataFrame({"item_id": table["item_id"], "text": "x", "class": said}).iloc[::-1]
    written.to_parquet(tmp_path / "generated/m/pairs/plain.parquet")
    found = computed("said", tmp_path, BINARY, {"generated": ["m/agree/plain"]})
    test = (table["split"] == "test").to_numpy()
    truth = np.array(["no", "yes"])[table["y"]]
    values = {"accuracy": np.mean((said == truth)[test]), "unmatched": 0.25, "says:yes": 0.25, "says:no": 0.25}
    # A prompt whose answers cannot be read off the states has those that are written alone.
    alone = computed("said", tmp_path, BINARY, {"said": [], "generated": ["m/agree/plain"]})
    assert set(alone["answer"]) == {"written"}
    for metric, value in values.items():
        for table in (found, alone):
            row = one(table, split="test", metric=metric, answer="written")
            assert (row["layer"], row["value"]) == (2, pytest.approx(value))


def test_a_class_or_an_item_without_an_answer_is_named(tmp_path):
    table = items(BINARY)
    margins = noisy(table, BINARY, 1, 0)
    write_cell(tmp_path, BINARY, table, {0: margins}, {0: margins})
    file = tmp_path / "answers/m/pairs/plain.parquet"
    whole = read_answers(file)
    lacks = replace(whole, table=whole.table[whole.table["item_id"] != "agrees-test-0007"])
    write_answers(file, lacks)
    with pytest.raises(InputError, match=r"plain\.parquet: has no answer for item 'agrees-test-0007'"):
        computed("said", tmp_path, BINARY)
    write_answers(file, replace(whole, classes=["no", "perhaps"]))
    with pytest.raises(InputError, match=r"has no answers for yes of task 'agree'.*`answers` of prompt 'plain'"):
        computed("said", tmp_path, BINARY)
    write_answers(file, replace(whole, classes=["left", "right"]))
    with pytest.raises(InputError, match="no prompt has answers for the classes of its tasks"):
        computed("said", tmp_path, BINARY)


def test_answers_are_scored_on_the_resamples_of_the_probes(tmp_path):
    """The same margins get the same interval, whether they are a probe's or the model's."""
    from layerwise.probes.problems import Problem
    from layerwise.probes.scoring import Guess, Scorer

    table = items(BINARY)
    margins = noisy(table, BINARY, 1, 0).astype(np.float32)
    write_cell(tmp_path, BINARY, table, {0: margins}, {0: margins})
    found = one(computed("said", tmp_path, BINARY), split="test", metric="accuracy", answer="as said")
    splits = {split: (table["split"] == split).to_numpy() for split in ("val", "test")}
    columns = [{s: table[c].to_numpy()[at] for s, at in splits.items()} for c in ("item_id", "group", "y", "text")]
    problem = Problem("agrees", 2, columns[0], columns[1], {}, columns[2], columns[3])
    scorer = Scorer([problem], OPTIONS["resamples"], OPTIONS["seed"])
    measured = scorer.measure([Guess({s: margins[at] for s, at in splits.items()})], metrics=["accuracy"])
    (row,) = [row for row in scorer.rows(measured) if row["split"] == "test"]
    assert (found["low"], found["high"]) == pytest.approx((row["low"], row["high"]))
