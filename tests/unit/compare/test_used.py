"""Which concepts are used: numbers against plain computations, and sweeps whose effects are planted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import bootstrap
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from layerwise.compare.statistics.swept import Items, Swept
from layerwise.compare.statistics.used_tests import beyond_draws, difference_from_draws, interval
from layerwise.errors import InputError
from tests.sweeps import (
    AGREE,
    BLOCKS,
    OBJECTS,
    OPTIONS,
    THREE,
    Planted,
    above_table,
    made,
    study,
    sweep_table,
    write,
    write_cell,
)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return made(tmp_path_factory.mktemp("used"), study())


def rows(given, comparison="used", **keys):
    table = given.comparison(comparison)
    return table[np.logical_and.reduce([table[key] == value for key, value in keys.items()])]


def margins(table):
    """Log odds of the right class, from the classes' probabilities."""
    probabilities = np.exp(np.stack(table["scores"]).astype(float))
    right = probabilities[np.arange(len(table)), table["y"]]
    return np.log(right) - np.log(probabilities.sum(axis=1) - right)


def class_mean(table, column):
    """The mean over classes of the means over their items."""
    return table.groupby("y")[column].mean().mean()


def test_the_planted_concept_is_used_where_it_is_planted_and_the_others_nowhere(given):
    used = rows(given, change="erase", used=True)
    assert list(used[["model", "task", "block"]].itertuples(index=False, name=None)) == [
        ("m", "entailment", block) for block in (2, 3, 4)
    ]
    peak = rows(given, peak=True)
    assert len(peak) == len(study())
    assert peak.set_index(["model", "task"]).loc[("m", "entailment"), "block"] == 3
    steered = rows(given, change="steer", used=True)
    assert set(steered["task"]) == {"entailment"}
    assert set(rows(given, change="steer", used=True, strength=2.0)["block"]) == {2, 3, 4}


def test_one_more_random_draw_is_not_used_though_images_alone_would_say_so(given):
    drawn = rows(given, task="snli-ve", change="erase")
    assert not drawn["used"].any()
    assert (drawn["p_value"] > 0.5).all()
    # The test that takes the draws as fixed calls some block used.
    assert drawn["p_fixed"].min() < 0.001
    assert drawn["beyond"].any()


@pytest.mark.parametrize("task", [AGREE, THREE], ids=lambda task: task.task)
def test_no_concept_is_used_where_random_ones_move_their_own_classes_as_far(tmp_path, task):
    """As in a model that makes of every direction what it makes of the concept's: controls signed by y hide that."""
    planted = Planted(task=task, taken=(0.4,) * BLOCKS, steered=None, signed=1.5)
    write_cell(tmp_path, planted)
    found = _computed(tmp_path, planted)
    assert (found["effect"] > found["control_greatest"] + 0.5).all()
    assert (found["p_value"] < 0.05).all()
    assert found["answers"].all()
    assert found["control_own"].to_numpy() == pytest.approx(1.5, abs=0.1)
    assert not found[["beyond", "used"]].any(axis=None)
    # In the other sense too: which end of a random direction is which class is arbitrary.
    write_cell(tmp_path, replace(planted, signed=-1.5))
    assert not _computed(tmp_path, planted)["used"].any()
    write_cell(tmp_path, replace(planted, signed=0.5))
    assert _computed(tmp_path, planted)["used"].all()


def test_draws_that_give_a_class_no_item_have_no_effect_of_their_own(tmp_path):
    planted = Planted(steered=None, signed=0.5)
    write_cell(tmp_path, planted)
    table, before = sweep_table(planted), _computed(tmp_path, planted)
    flat = (table["pseudo"] >= 0) & ((table["block"] == 3) | ((table["block"] == 2) & (table["draw"] > 0)))
    write(tmp_path / "used/m/entailment/agree.parquet", table.assign(pseudo=table["pseudo"].mask(flat, 1)), AGREE)
    found = _computed(tmp_path, planted).set_index("block")
    assert found["control_own"].isna().tolist() == [False, False, True, False, False, False]
    # A single draw is left.
    assert found.loc[2, "control_own"] == found.loc[2, "control_own_greatest"] != before["control_own"][1]
    assert found.loc[3, "missing"] == "no control gives the items all classes"
    assert list(found.index[found["used"]]) == [2, 4]


@pytest.mark.parametrize("planted", study()[:3], ids=lambda planted: planted.task.task)
def test_effects_are_those_of_a_plain_computation(given, planted):
    table = sweep_table(planted)
    table["margin"] = margins(table)
    table["said"] = [np.argmax(scores) for scores in table["scores"]]
    free = table[table["change"] == "free"].set_index("item_id")
    table["fall"] = free.loc[table["item_id"], "margin"].to_numpy() - table["margin"]
    # Signed by the class that a random concept gives the item.
    before = free.loc[table["item_id"]].assign(y=table["pseudo"].to_numpy())
    table["own_fall"] = margins(before) - margins(table.assign(y=table["pseudo"]))
    table["flipped"] = free.loc[table["item_id"], "said"].to_numpy() != table["said"]
    table["right"] = table["said"] == table["y"]
    for block in range(1, BLOCKS + 1):
        erased = table[(table["change"] == "erase") & (table["block"] == block)]
        own = erased[erased["source"] == "own"]
        draws = [of_draw for _, of_draw in erased[erased["source"] == "control"].groupby("draw")]
        (found,) = rows(given, model="m", task=planted.task.task, change="erase", block=block).to_dict("records")
        of_draws = [class_mean(of_draw, "fall") for of_draw in draws]
        signed = [abs(of_draw.groupby("pseudo")["own_fall"].mean().mean()) for of_draw in draws]
        expected = {
            "free": class_mean(free, "margin"),
            "free_accuracy": (free["said"] == free["y"]).mean(),
            "effect": class_mean(own, "fall"),
            "control": np.mean(of_draws),
            "control_least": min(of_draws),
            "control_greatest": max(of_draws),
            "control_own": np.mean(signed),
            "control_own_greatest": max(signed),
            "difference": class_mean(own, "fall") - np.mean(of_draws),
            "flips": own["flipped"].mean(),
            "control_flips": np.mean([of_draw["flipped"].mean() for of_draw in draws]),
            "accuracy": own["right"].mean(),
            "control_accuracy": np.mean([of_draw["right"].mean() for of_draw in draws]),
            "completeness": np.clip(class_mean(own, "fall") / class_mean(free, "margin"), 0, 1),
        }
        assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-6)


def test_steering_is_the_move_of_the_second_class_in_the_sense_of_the_strength(given):
    table = sweep_table(study()[0])
    table["margin"] = [float(scores[1]) - float(scores[0]) for scores in table["scores"]]
    free = table[table["change"] == "free"].set_index("item_id")["margin"]
    table["moved"] = table["margin"] - free.loc[table["item_id"]].to_numpy()
    for (strength, block), run in table[(table["change"] == "steer") & (table["source"] == "own")].groupby(
        ["strength", "block"]
    ):
        found = rows(given, model="m", task="entailment", change="steer", strength=strength, block=block)
        assert found["effect"].item() == pytest.approx(np.sign(strength) * class_mean(run, "moved"), abs=1e-6)
        assert np.isnan(found["completeness"].item())


def test_selectivity_is_over_the_other_tasks(given):
    across = given.comparison("used-across")
    for row in rows(given, model="m", change="erase").to_dict("records"):
        of = f"{row['task']}/{row['prompt']}"
        hit = across[(across["model"] == "m") & (across["of"] == of) & (across["block"] == row["block"])]
        others = hit[hit["task"] != row["task"]]
        assert len(others) == 2
        assert row["others"].split() == list(others["task"])
        assert row["selectivity"] == pytest.approx(1 - others["completeness"].mean())
        assert row["completeness"] == pytest.approx(hit[hit["own"]]["completeness"].item())
        complete, selective = row["completeness"], row["selectivity"]
        assert row["product"] == pytest.approx(complete * selective)
    # The concept that takes 15 % of another task is the only one that is not selective.
    assert rows(given, model="m", task="objects", change="erase")["selectivity"].mean() == pytest.approx(
        0.925, abs=0.01
    )
    assert rows(given, model="m", task="snli-ve", change="erase")["selectivity"].min() > 0.98


def test_prompts_of_one_task_count_once_in_selectivity(tmp_path):
    names = {"objects/category": 0.4}
    cells = [
        Planted(task=OBJECTS, prompt="category", steered=None),
        Planted(prompt="agree", others=names, steered=None, seed=1),
        Planted(prompt="again", others={"objects/category": 0.2}, steered=None, seed=2),
        Planted(task=THREE, prompt="statement", others={"objects/category": 0.0}, steered=None, seed=3),
    ]
    found = rows(made(tmp_path, cells, ("used",)), task="objects")
    # (0.3 of one task, 0 of the other) / 2.
    assert found["selectivity"].mean() == pytest.approx(1 - 0.15, abs=0.02)
    assert set(found["others"]) == {"entailment snli-ve"}


def test_the_error_of_the_difference_has_the_spread_of_the_draws():
    """With the same noise in all runs, images add nothing, and the t-test is that of one number against a sample."""
    items = Items(np.tile([0, 1], 50), np.arange(100) // 2, 2)
    of_draws = np.array([0.1, 0.4, -0.3, 0.25, 0.0])
    noise = np.random.default_rng(0).standard_normal(100)
    found = difference_from_draws(items, 1.5 + noise, of_draws[:, None] + noise)
    error, freedom = found.error_and_freedom()
    assert found.value == pytest.approx(1.5 - of_draws.mean())
    assert error == pytest.approx(of_draws.std(ddof=1) * np.sqrt(1 + 1 / 5))
    assert freedom == pytest.approx(4)
    low, high = interval(found)
    assert (low, high) == pytest.approx(student.interval(0.95, 4, found.value, error))
    (p_value,), _ = beyond_draws(items, [(1.5 + noise, of_draws[:, None] + noise)], 9999, 0)
    assert p_value == pytest.approx(student.sf(found.value / error, 4), rel=0.25)


def test_without_a_spread_of_draws_the_error_is_that_by_image():
    rng = np.random.default_rng(1)
    items = Items(np.zeros(120, int), np.arange(120) // 2, 1)
    own = 0.2 + rng.standard_normal(60)[items.images] + rng.standard_normal(120)
    found = difference_from_draws(items, own, np.zeros((4, 120)))
    by_image = own.reshape(60, 2).mean(axis=1)
    error, freedom = found.error_and_freedom()
    assert (error, freedom) == pytest.approx((by_image.std(ddof=1) / np.sqrt(60), 59))


def test_intervals_of_effects_are_a_bootstrap_over_images(given):
    table = sweep_table(study()[0])
    table["margin"] = margins(table)
    free = table[table["change"] == "free"].set_index("item_id")["margin"]
    own = table[(table["change"] == "erase") & (table["source"] == "own") & (table["block"] == 3)].copy()
    own["fall"] = free.loc[own["item_id"]].to_numpy() - own["margin"].to_numpy()
    # By image the sums and the numbers of items of each class.
    sums, counts = (own.pivot_table("fall", "image", "y", how, fill_value=0).to_numpy() for how in ("sum", "count"))

    def mean(chosen, axis):
        return (sums[chosen].sum(axis=axis) / counts[chosen].sum(axis=axis)).mean(axis=-1)

    drawn = bootstrap((np.arange(100),), mean, n_resamples=2000, rng=2, method="percentile")
    found = rows(given, model="m", task="entailment", change="erase", block=3)
    half = (found["effect_high"] - found["effect_low"]).item() / 2
    assert half == pytest.approx(student.ppf(0.975, 99) * drawn.standard_error, rel=0.12)


def test_a_push_of_all_answers_to_one_class_is_no_effect(tmp_path):
    """In a mean over items it would be one, because three quarters of the items are of one class."""
    planted = Planted(taken=(0,) * BLOCKS, steered=None)
    table = sweep_table(planted)
    table = table[(table["y"] == 1) | (table["item_id"].str[-1].isin(list("0123")))]
    pushed = (table["change"] == "erase") & (table["source"] == "own")
    logits = np.stack(table["scores"]) - 1.5 * pushed.to_numpy()[:, None] * np.array([0, 1])
    table["scores"] = list((logits - logsumexp(logits, axis=1, keepdims=True)).astype(np.float32))
    table["margin"] = margins(table)
    assert table.loc[~pushed, "margin"].mean() - table.loc[pushed, "margin"].mean() > 0.5
    write_cell(tmp_path, planted)
    write(tmp_path / "used/m/entailment/agree.parquet", table.drop(columns="margin"), AGREE)
    found = _computed(tmp_path, planted)
    assert found["effect"].abs().max() < 0.06
    assert not found["used"].any()


def _computed(folder, planted, name="used"):
    """The comparison of a cell that is already on disk."""
    from layerwise.compare.catalogue import COMPARISONS
    from layerwise.compare.inputs import Given

    options = OPTIONS | {"used": [f"{planted.model}/{planted.name}"]}
    return COMPARISONS[name].compute(Given({"sweeps": [folder / "used"]}), options)


def test_a_model_that_does_not_answer_has_neither_verdict_nor_completeness(given):
    twin = rows(given, model="m-untrained")
    assert set(twin["missing"]) == {"the model does not answer"}
    assert not twin["answers"].any()
    assert not twin["used"].any()
    assert twin[["completeness", "selectivity", "product"]].isna().all(axis=None)
    assert set(rows(given, model="m", task="entailment")["twins"]) == {"m-untrained"}
    # Nor does a verdict come from a model that says the opposite: its margin is below 0.
    assert (rows(given, model="m")["free_low"] > 0).all()


def test_a_model_that_says_the_opposite_does_not_answer(tmp_path):
    planted = Planted(answers=-2.0, taken=(0.9,) * BLOCKS, steered=None)
    write_cell(tmp_path, planted)
    found = _computed(tmp_path, planted)
    assert (found["free_high"] < 0).all()
    assert set(found["missing"]) == {"the model does not answer"}
    assert found["completeness"].isna().all()


def test_a_sample_of_one_class_has_no_verdict(tmp_path):
    planted = Planted(steered=None)
    write_cell(tmp_path, planted)
    table = sweep_table(planted)
    write(tmp_path / "used/m/entailment/agree.parquet", table[table["y"] == 1], AGREE)
    found = _computed(tmp_path, planted)
    assert found["missing"].str.contains("a class has no items").all()
    assert found["p_value"].isna().all()
    assert not found["used"].any()
    # The effect is that of the items there are.
    table["margin"] = margins(table)
    ones = table[table["y"] == 1].groupby(["change", "source", "block"])["margin"].mean()
    assert found["effect"].iloc[2] == pytest.approx(ones["free", "own", 0] - ones["erase", "own", 3])


def test_few_images_or_draws_give_no_p_value(tmp_path):
    planted = Planted(n_images=20, steered=None)
    write_cell(tmp_path / "few", planted)
    found = _computed(tmp_path / "few", planted)
    assert found["missing"].str.contains("too few images").all()
    assert found["effect"].notna().all()
    planted = Planted(steered=None)
    write_cell(tmp_path / "one", planted)
    table = sweep_table(planted)
    write(tmp_path / "one/used/m/entailment/agree.parquet", table[table["draw"] <= 0], AGREE)
    found = _computed(tmp_path / "one", planted)
    assert found["missing"].str.contains("too few draws").all()
    assert found["difference_low"].isna().all()


def test_a_cell_without_other_concepts_has_no_selectivity(tmp_path):
    planted = Planted(steered=None)
    write_cell(tmp_path, planted)
    found = _computed(tmp_path, planted)
    assert found["selectivity"].isna().all()
    assert found["product"].isna().all()
    assert found["completeness"].notna().all()
    assert set(found["used"][1:4]) == {True}


def test_three_classes_are_erased_only(given):
    assert set(rows(given, task="snli-ve")["change"]) == {"erase"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda table: table.assign(scores=[s * (np.nan if i == 7 else 1) for i, s in enumerate(table["scores"])]),
            "are no numbers",
        ),
        (lambda table: table.iloc[:-1], "not of the items of the free run"),
        (lambda table: table[table["change"] != "free"], "has no free run"),
        (lambda table: table[table["draw"] < 0], "has no control for erase"),
    ],
)
def test_a_damaged_sweep_is_one_clear_error(tmp_path, damage, message):
    planted = Planted(steered=None)
    write_cell(tmp_path, planted)
    table = sweep_table(planted).sort_values(["block", "source", "draw"], ignore_index=True)
    write(tmp_path / "used/m/entailment/agree.parquet", damage(table), AGREE)
    with pytest.raises(InputError, match=message) as caught:
        _computed(tmp_path, planted)
    assert "entailment" in str(caught.value)


def test_a_missing_sweep_is_named(tmp_path):
    with pytest.raises(InputError, match=r"agree\.parquet"):
        _computed(tmp_path, Planted())


def test_what_probes_find_above_is_the_tasks_own_metric(given):
    for planted, score in ((study()[0], accuracy_score), (study()[2], balanced_accuracy_score)):
        table = above_table(planted)
        table["said"] = [int(m[0] > 0) if len(m) == 1 else int(np.argmax(m)) for m in table["margins"]]
        runs = {key: score(run["y"], run["said"]) for key, run in table.groupby(["block", "above", "source", "draw"])}
        found = rows(given, "used-above", model="m", task=planted.task.task)
        assert len(found) == BLOCKS * (BLOCKS + 1) / 2
        for row in found.to_dict("records"):
            block, above = row["block"], row["above"]
            draws = [runs[block, above, "control", draw] for draw in range(10)]
            assert row["free"] == pytest.approx(runs[0, above, "own", -1])
            assert row["erased"] == pytest.approx(runs[block, above, "own", -1])
            assert row["control"] == pytest.approx(np.mean(draws))
            assert (row["control_least"], row["control_greatest"]) == pytest.approx((min(draws), max(draws)))
            assert row["erased_low"] < row["erased"] < row["erased_high"]
        assert set(found["chance"].round(3)) == {round(1 / planted.task.n_classes, 3)}


def test_rows_of_a_sweep_may_come_in_any_order_and_as_categories():
    table = sweep_table(replace(study()[0], n_images=10))
    scores = np.stack(table["scores"])
    cell, plain = ("m", "entailment", "agree"), table.drop(columns=["scores", "mass"])
    names = dict.fromkeys(("item_id", "image", "change", "source", "of"), "category")
    mixed = np.random.default_rng(0).permutation(len(table))
    first = Swept.of(cell, plain, scores, BLOCKS, "f")
    second = Swept.of(cell, plain.astype(names).iloc[mixed], scores[mixed], BLOCKS, "f")
    pd.testing.assert_series_equal(first.runs, second.runs)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.items.y, second.items.y)
