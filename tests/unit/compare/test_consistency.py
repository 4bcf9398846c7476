"""Sets of items that belong together: which items are in them, and whether all of a set are right."""

import json

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.readings import SAID, WRITTEN
from layerwise.compare.statistics.consistency import PROBE, SetScorer, set_numbers
from layerwise.figures.writing.consistency import consistency_sections
from layerwise.figures.writing.sections import to_markdown
from tests.answers import BINARY, MODEL, made, probe_scores, write_cell

OPTIONS = {"resamples": 400, "seed": 0, "twins": {}, "said": ["m/agree/plain"], "generated": []}


def items_of(*rows):
    """Items from (group, text, pictures), and the labels that name their pictures."""
    items = pd.DataFrame(rows, columns=["group", "text", "image_id"]).assign(label="agrees", y=0)
    items["item_id"] = [f"i{place}" for place in range(len(items))]
    return items.drop(columns="image_id"), items[["item_id", "image_id", "label"]]


def sets_of(*rows):
    """The places of the items of each set."""
    numbers = set_numbers(*items_of(*rows))
    assert len(numbers) == len(rows)
    return {tuple(np.flatnonzero(numbers == number)) for number in set(numbers) - {-1}}


def test_a_set_has_the_same_words_within_a_group():
    # A sentence about three pairs, and another one that shares a picture; the first one's words in another group.
    rows = [("a", 1, "p\nq"), ("a", 2, "p\nr"), ("a", 1, "r\ns"), ("b", 1, "t\nu"), ("a", 1, "u\nv"), ("a", 2, "x\ny")]
    assert sets_of(*rows) == {(0, 2, 4), (1, 5)}


def test_where_all_read_the_same_a_set_has_the_same_pictures():
    # Two frames in both orders, and another two that share one with them.
    assert sets_of(("a", 7, "p\nq"), ("a", 7, "q\nr"), ("a", 7, "q\np"), ("a", 7, "r\nq"), ("b", 7, "s\nt")) == {
        (0, 2),
        (1, 3),
    }


def test_labels_have_sets_of_their_own():
    items, labels = items_of(("a", 1, "p"), ("a", 1, "q"), ("a", 1, "p"), ("a", 1, "q"), ("b", 2, "r"))
    items["label"] = ["one", "one", "other", "other", "one"]
    numbers = set_numbers(items, labels)
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
    assert numbers[4] == -1


def test_shares_are_those_of_sets_counted_by_hand():
    items, labels = items_of(
        *[("a", 1, "p"), ("a", 1, "q"), ("b", 2, "r"), ("b", 2, "s"), ("b", 2, "t"), ("c", 3, "u"), ("c", 3, "v")],
        ("d", 4, "w"),
    )
    right = np.array([1, 1, 1, 1, 0, 0, 0, 1], bool)
    scorer = SetScorer(items, set_numbers(items, labels), 200, 0)
    assert scorer.counts == {"n_sets": 3, "n": 7, "n_groups": 3}
    found = scorer.score(right)
    # The item that is alone counts nowhere.
    assert found["all_right"] == pytest.approx(1 / 3)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["independent"] == pytest.approx((2 * (4 / 7) ** 2 + (4 / 7) ** 3) / 3)
    assert found["difference"] == pytest.approx(found["all_right"] - found["independent"])
    assert found["low"] < found["all_right"] < found["high"]


def test_several_labels_are_averaged():
    items, labels = items_of(*[("a", 1, "p"), ("a", 1, "q")] * 2, ("b", 2, "r"), ("b", 2, "s"))
    items["label"] = ["one", "one", "other", "other", "one", "one"]
    scorer = SetScorer(items, set_numbers(items, labels), 200, 0)
    # Of the label "one" the first set of two is right, of the other none.
    found = scorer.score(np.array([1, 1, 1, 0, 1, 0], bool))
    assert found["all_right"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["independent"] == pytest.approx(((3 / 4) ** 2 + (1 / 2) ** 2) / 2)


def test_the_interval_of_the_difference_covers_0_for_independent_answers():
    n, covered, found_together = 150, 0, 0
    rows = [(str(group), group, str(2 * group + k)) for group in range(n) for k in range(2)]
    items, labels = items_of(*rows)
    scorer, rng = SetScorer(items, set_numbers(items, labels), 200, 0), np.random.default_rng(0)
    for _ in range(200):
        independent = scorer.score(rng.random(2 * n) < 0.75)
        covered += independent["difference_low"] <= 0 <= independent["difference_high"]
        # Half of the sets are known as a whole.
        together = scorer.score(np.repeat(rng.random(n) < 0.5, 2) | (rng.random(2 * n) < 0.5))
        found_together += together["difference_low"] > 0
    assert 0.9 < covered / 200 < 0.99
    assert found_together > 180


@pytest.fixture
def cell(tmp_path):
    """Statements about both pictures of a pair: a probe that knows more than the model says, which answers by words."""
    pairs = 60
    rows = [
        {"label": "agrees", "split": split, "item_id": f"{split}{pair}/{text}/{image}", "group": f"{split}{pair}"}
        | {"text": 2 * pair + text, "y": int(text == image)}
        for split in ("val", "test")
        for pair in range(pairs)
        for text in range(2)
        for image in range(2)
    ]
    table = pd.DataFrame(rows)
    y, rng = table["y"].to_numpy(), np.random.default_rng(0)
    sign = (2.0 * y - 1)[:, None]
    by_words = np.where(table["text"] % 2 == 0, 1.0, -1.0)[:, None]
    known = {0: rng.standard_normal((len(y), 1)), 1: sign * np.where(rng.random((len(y), 1)) < 0.9, 1, -1), 2: sign}
    write_cell(tmp_path, BINARY, table, known, {1: sign, 2: by_words})
    folder = tmp_path / "task" / "agree"
    folder.mkdir(parents=True)
    table.assign(image_id=table["group"] + table["item_id"].str[-1]).to_parquet(folder / "labels.parquet")
    (folder / "task.json").write_text(
        json.dumps({"labels": ["agrees"], "classes": ["no", "yes"], "metric": "accuracy"})
    )
    # The model writes the class for every other pair, and nothing for the others.
    written = tmp_path / "generated" / "m" / "pairs" / "plain.parquet"
    written.parent.mkdir(parents=True)
    even = table["group"].str.extract(r"(\d+)")[0].astype(int) % 2 == 0
    said = np.where(even, np.where(y == 1, "yes", "no"), "")
    pd.DataFrame({"item_id": table["item_id"], "class": said}).sample(frac=1, random_state=0).to_parquet(written)
    return {"scores": probe_scores(BINARY, table, known), "set-labels": folder / "labels.parquet"}, table, known


def compared(folder, cell, **options):
    inputs, _, _ = cell
    return made(folder, [BINARY], ["consistency"], options=OPTIONS | options, **inputs).comparison("consistency")


def test_each_layer_of_the_probe_and_of_the_model_has_its_share(tmp_path, cell):
    _, table, known = cell
    found = compared(tmp_path, cell, generated=["m/agree/plain"]).set_index(["reading", "layer"])
    assert list(found.index) == [(PROBE, 0), (PROBE, 1), (PROBE, 2), (SAID, 1), (SAID, 2), (WRITTEN, 2)]
    test = (table["split"] == "test").to_numpy()
    for layer, margins in known.items():
        right = pd.Series((margins[:, 0] > 0) == (table["y"] == 1))[test]
        by_hand = right.groupby([table["group"][test], table["text"][test]]).all().mean()
        assert found.loc[(PROBE, layer), "all_right"] == pytest.approx(by_hand)
        assert found.loc[(PROBE, layer), "independent"] == pytest.approx(right.mean() ** 2)
    assert found.loc[(SAID, 1), "all_right"] == 1
    # Whoever answers by the words is right in one item of each pair, and in no pair.
    assert found.loc[(SAID, 2), ["all_right", "accuracy", "independent"]].tolist() == [0, 0.5, 0.25]
    assert found.loc[(SAID, 2), "difference_high"] < 0
    assert found.loc[(WRITTEN, 2), ["all_right", "accuracy", "independent"]].tolist() == [0.5, 0.5, 0.25]
    assert found.loc[(WRITTEN, 2), "difference_low"] > 0
    # The final norm's output is no candidate for the probe.
    assert found.index[found["is_best"]].tolist() == [(PROBE, 1), (SAID, 2), (WRITTEN, 2)]
    counts = found[["n_sets", "n", "n_groups"]].drop_duplicates()
    assert counts.to_numpy().tolist() == [[120, 240, 60]]


def test_answers_for_other_classes_and_untrained_twins_are_left_out(tmp_path, cell):
    assert set(compared(tmp_path, cell, said=[])["reading"]) == {PROBE}
    assert compared(tmp_path, cell, twins={"other": ["m"]}).empty


def test_older_predictions_without_texts_have_no_sets(tmp_path, cell, caplog):
    file = tmp_path / "probes" / "m" / "agree" / "plain.predictions.parquet"
    pd.read_parquet(file).drop(columns="text").to_parquet(file)
    assert compared(tmp_path, cell, generated=["m/agree/plain"]).empty
    assert "plain.predictions.parquet: does not say which items read the same" in caplog.text


def test_the_table_shows_best_layers_and_answers(tmp_path, cell):
    found = compared(tmp_path, cell, generated=["m/agree/plain"])
    written = to_markdown("Consistency", consistency_sections(found))
    rows = [line for line in written.splitlines() if line.startswith(f"| {MODEL.model} |")]
    assert [row.split(" | ")[2:4] for row in rows] == [
        ["probe", "1 / 1"],
        ["answer", "output"],
        ["written answer", "output"],
    ]
    assert "| 0.0 [0.0, " in rows[1]
    assert " | 50.0 | 25.0 | −25.0 [" in rows[1]
    assert rows[1].endswith("| 120 | 240 |")
    assert "there are no sets" in to_markdown("Consistency", consistency_sections(found.iloc[:0]))
