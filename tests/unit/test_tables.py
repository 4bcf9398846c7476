"""Table 2's statistics on data whose answer is known, and tables that show any name literally."""

import csv
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from layerwise.errors import InputError
from layerwise.figures.comparison import choose_layer, compare_layers, comparison_sections, holm
from layerwise.figures.inputs import Model, Task, read_predictions, read_prompts
from layerwise.figures.overview import overview_sections
from layerwise.figures.paired import paired_difference, worse_than
from layerwise.figures.tables import Section, escape_latex, escape_markdown, to_csv, to_html, to_latex, to_markdown

ROOT = Path(__file__).parents[2]
MODELS = {name: Model(name, "hub", "pretrained", n_layers=3, width=8) for name in ("b", "a")}
TASKS = {
    "objects": Task(
        **{"task": "objects", "stimuli": "images", "question": "local", "kind": "multilabel", "metric": "accuracy"},
        labels=["cat", "dog"],
        classes=["absent", "present"],
        sizes={split: {"items": 80, "groups": 20, "images": 20} for split in ("train", "val", "test")},
        balance={
            "cat": {"test": {"absent": 20, "present": 20}, "train": {"absent": 39, "present": 1}},
            "dog": {"test": {"absent": 30, "present": 10}},
        },
        excluded=[{"label": "hair_drier", "reason": "no positives in train"}],
    ),
    "agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy"),
}
# Rate of right answers by layer 0 to 3 and of the final norm: validation says 1, the test split would say 2.
RATES = {"val": (0.5, 0.95, 0.8, 0.6, 0.99), "test": (0.5, 0.85, 0.95, 0.6, 0.6)}


def predictions(right, y, group, label="agrees"):
    """One layer's rows from which items it gets right; margins of either sign."""
    margins = np.where(right == (y == 1), 1.0, -1.0)
    items = [f"{label}{i:05d}" for i in range(len(y))]
    return pd.DataFrame({"label": label, "item_id": items, "group": group, "y": y, "scores": [[m] for m in margins]})


def some_right(rate, n):
    """Exactly the rate, at places that differ from rate to rate."""
    return np.random.default_rng(round(1000 * rate)).permutation(n) < round(rate * n)


@pytest.fixture
def grid(tmp_path):
    """Two models x two tasks x one prompt with consistent scores and predictions; model "a" is best at the top."""
    rows = []
    for model in MODELS:
        for task in TASKS.values():
            parts = []
            for split, rates in RATES.items():
                rates = (0.5, 0.55, 0.6, 0.9, 0.9) if model == "a" else rates
                for layer, rate in enumerate(rates):
                    for label in task.labels:
                        y = np.arange(200) % 2
                        part = predictions(some_right(rate, 200), y, np.arange(200) // 4, label)
                        parts.append(part.assign(layer=layer, split=split, pred=0))
                    cell = {"model": model, "task": task.task, "prompt": "plain", "n_layers": 3, "split": split}
                    cell |= {"metric": "accuracy", "n": 200, "n_groups": 50, "C": 1.0, "at_boundary": False}
                    for label in [*task.labels, "macro"] if len(task.labels) > 1 else task.labels:
                        interval = {"value": some_right(rate, 200).mean(), "low": rate - 0.05, "high": rate + 0.05}
                        rows.append(
                            cell | interval | {"label": label, "layer": layer, "layer_name": "", "probe": "logistic"}
                        )
                        rows.append(rows[-1] | {"probe": "majority", "layer": -1, "value": 0.5})
            path = tmp_path / model / task.task / "plain.predictions.parquet"
            path.parent.mkdir(parents=True)
            pd.concat(parts).to_parquet(path)
    scores = pd.DataFrame(rows)
    return scores.drop_duplicates(["model", "task", "probe", "layer", "label", "split"]), tmp_path


def compare(grid, seed=1, **changes):
    scores, root = grid
    arguments = {"scores": scores, "tasks": TASKS, "models": MODELS, "predictions_root": root}
    return compare_layers(**(arguments | changes), n_resamples=200, n_permutations=199, seed=seed)


def test_best_layer_is_chosen_on_validation_and_measured_on_test(grid):
    table = compare(grid).set_index(["model", "task"])
    for task in TASKS:
        row = table.loc[("b", task)]
        assert (row["best_layer"], row["top_layer"]) == (1, 3)
        assert row["best"] == pytest.approx(0.85)
        assert row["top"] == pytest.approx(0.6)
        assert row["difference"] == pytest.approx(0.25)
        assert row["difference_low"] < 0.25 < row["difference_high"]
        assert row["difference_low"] > 0
        assert row["p_value"] == pytest.approx(1 / 200)
        assert row["norm"] == pytest.approx(0.6)
        assert row["chance"] == 0.5


def test_best_equal_to_top_is_no_difference(grid):
    row = compare(grid).set_index(["model", "task"]).loc[("a", "agree")]
    assert row["best_layer"] == 3
    assert (row["difference"], row["difference_low"], row["difference_high"], row["p_value"]) == (0, 0, 0, 1)


def test_layers_as_good_as_the_best_are_listed(grid):
    """Test rates are 0.5, 0.85, 0.95, 0.6: layer 2 beats the chosen layer 1, the others are plainly worse."""
    table = compare(grid).set_index(["model", "task"])
    assert table.loc[("b", "agree"), "not_worse"] == "1 2"
    assert table.loc[("a", "agree"), "not_worse"] == "3"
    shown = comparison_sections(compare(grid).assign(not_worse="0 2 3 4 6 7"))[0].frame["As good"]
    assert shown.iloc[0] == "0, 2–4, 6–7"


def test_selectivity_is_that_of_the_best_layer(grid):
    scores, root = grid
    assert compare(grid)["selectivity"].isna().all()
    assert (comparison_sections(compare(grid))[0].frame["Selectivity"] == "–").all()
    above = scores[scores["probe"] == "logistic"].assign(probe="selectivity")
    above = above.assign(value=above["layer"] / 10, low=0.0, high=0.9)
    row = compare((pd.concat([scores, above]), root)).set_index(["model", "task"]).loc[("b", "agree")]
    assert (row["selectivity"], row["selectivity_low"], row["selectivity_high"]) == (0.1, 0.0, 0.9)


def test_spread_over_splits(grid):
    """Two further splits: one whose best layer is the top, one whose validation takes layer 2."""
    scores, root = grid
    assert compare(grid)["n_splits"].eq(1).all()
    assert "Best − top, over splits" not in comparison_sections(compare(grid))[0].frame
    parts = []
    for seed, val, test in (("8", (0, 0, 0, 1), (0.5, 0.5, 0.5, 0.9)), ("9", (0, 0, 1, 0), (0.5, 0.5, 0.8, 0.7))):
        for split, values in (("val", val), ("test", test)):
            rows = scores[(scores["split"] == split) & (scores["layer"] < 4)]
            rows = rows.query("model == 'b' and task == 'agree' and probe == 'logistic'").sort_values("layer")
            parts.append(rows.assign(probe="resplit", split_seed=seed, value=values))
    table = compare((pd.concat([scores, *parts]), root))
    row = table.set_index(["model", "task"]).loc[("b", "agree")]
    assert (row["n_splits"], row["split_layers"]) == (3, "1 3 2")
    assert row["split_best"] == pytest.approx(np.mean([0.85, 0.9, 0.8]))
    assert row["split_difference"] == pytest.approx(np.mean([0.25, 0, 0.1]))
    assert row["split_difference_sd"] == pytest.approx(np.std([0.25, 0, 0.1], ddof=1))
    shown = {section.title: section.frame for section in comparison_sections(table)}
    assert shown["agree: accuracy"]["Best − top, over splits"].tolist() == ["+11.7 ± 12.6 (3)", "–"]
    assert "Best − top, over splits" not in shown["objects: accuracy"]


def test_rows_follow_the_given_order_and_p_is_adjusted_over_all_cells(grid):
    table = compare(grid)
    assert list(zip(table["task"], table["model"], strict=True)) == [
        *[("objects", "b"), ("objects", "a"), ("agree", "b"), ("agree", "a")]
    ]
    np.testing.assert_allclose(table["p_holm"], multipletests(table["p_value"], method="holm")[1])
    assert table["p_holm"].iloc[0] == pytest.approx(4 * table["p_value"].iloc[0])


def test_a_cell_s_numbers_do_not_depend_on_the_other_cells(grid):
    scores, _ = grid
    alone = compare(
        grid, scores=scores[(scores["model"] == "b") & (scores["task"] == "agree")], tasks={"agree": TASKS["agree"]}
    )
    among = compare(grid).query("model == 'b' and task == 'agree'").drop(columns="p_holm").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.drop(columns="p_holm"), among)
    assert compare(grid, seed=2)["difference_low"].iloc[0] != compare(grid)["difference_low"].iloc[0]


def test_predictions_of_another_run_are_refused(grid):
    scores, _ = grid
    scores.loc[(scores["layer"] == 1) & (scores["split"] == "test"), "value"] += 0.01
    with pytest.raises(InputError, match=r"plain\.predictions\.parquet.*layer 1 give accuracy 0\.8500"):
        compare(grid)


def test_missing_top_block_is_named(grid):
    scores, _ = grid
    with pytest.raises(InputError, match=r"model 'b', task 'objects'.*layer 1 or 3"):
        compare(grid, scores=scores[~((scores["layer"] == 3) & (scores["split"] == "test"))])


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([0.5, 0.9, 0.9, 0.8, 0.7], 1),  # the lowest of equals
        ([0.5, 0.6, 0.7, 0.8, 0.99], 3),  # the final norm is no candidate
        ([0.9, 0.6, 0.7, 0.8, 0.8], 0),  # the embeddings are one
        ([0.5, 0.3 - 0.1 + 0.7, 0.9 + 1e-13, 0.8, 0.7], 1),  # nor does a last digit decide
        ([np.nan, 0.2, np.nan, 0.1, 0.9], 1),
    ],
)
def test_choice_of_the_layer(values, chosen):
    rows = pd.DataFrame({"layer": range(5), "n_layers": 3, "value": values}).sample(frac=1, random_state=0)
    assert choose_layer(rows) == chosen


def test_choice_without_any_value_is_an_input_error():
    with pytest.raises(InputError, match="validation"):
        choose_layer(pd.DataFrame({"layer": [0, 1], "n_layers": 1, "value": np.nan}))


def null_pair(rng, n_groups=40, per_group=3, metric="accuracy"):
    """Two equally good layers whose items within a group are right or wrong together."""
    group = np.repeat(np.arange(n_groups), per_group)
    y = np.tile([0, 1, 1], n_groups)[: len(group)]
    frames = []
    for scale in (1.0, 50.0 if metric == "roc_auc" else 1.0):
        # Two layers' margins may differ in scale, which no metric of ranking sees.
        margin = scale * (2 * y - 1) * (0.8 + rng.normal(size=n_groups)[group] + 0.3 * rng.normal(size=len(y)))
        frames.append(predictions(np.ones(len(y), bool), y, group).assign(scores=[[m] for m in margin]))
    return frames


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "roc_auc"])
def test_p_values_are_uniform_when_the_layers_are_equally_good(metric):
    rng = np.random.default_rng(7)
    found = [paired_difference(*null_pair(rng, metric=metric), metric, 2, 20, 99, rng) for _ in range(300)]
    p = np.array([pair.p_value for pair in found])
    # Ties make p a little conservative; a test of items rather than groups would reject 30 % at 5 %.
    assert (p <= 0.05).mean() < 0.085
    assert (p <= 0.5).mean() == pytest.approx(0.45, abs=0.1)
    assert p.min() > 0


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_sums_over_groups_permute_as_the_metric_itself_does(metric, monkeypatch):
    rng = np.random.default_rng(3)
    labels = [null_pair(rng) for _ in range(2)]
    first, second = (
        pd.concat([frames[k].assign(label=name) for frames, name in zip(labels, ("cat", "dog"), strict=True)])
        for k in (0, 1)
    )
    summed = paired_difference(first, second, metric, 2, 50, 299, np.random.default_rng(1))
    monkeypatch.setattr("layerwise.figures.paired.SUM_METRICS", ())
    monkeypatch.setattr("layerwise.figures.paired._WEIGHTS_AT_ONCE", 5000)
    assert paired_difference(first, second, metric, 2, 50, 299, np.random.default_rng(1)) == summed
    assert 0 < summed.p_value < 1


def test_p_value_is_that_of_scipy_s_exact_test():
    """With one item per group the swap test of accuracy is the sign test of the items that the layers differ on."""
    y, group = np.ones(60, int), np.arange(60)
    first, second = np.arange(60) < 50, np.arange(60) >= 7
    # Right in the first alone: 7; in the second alone: 10.
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 200_000,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(7, 17).pvalue, abs=0.005)
    table = [[43, 7], [10, 0]]
    assert pair.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=0.005)


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_few_groups_give_scipy_s_exact_p_value(metric):
    rng, pairs = np.random.default_rng(8), []
    y, group = np.arange(24) % 2, np.arange(24) // 2
    for _ in range(2):
        margins = 2 * y - 1 + 1.5 * rng.standard_normal(24)
        pairs.append(predictions(y == y, y, group).assign(scores=[[value] for value in margins]))

    def by_group(frame):
        """Whether right, or ranks of the margins, shape (images, items)."""
        margins = np.vstack(frame["scores"])[:, 0]
        values = (margins > 0) == y if metric == "accuracy" else stats.rankdata(margins)
        return values.astype(float).reshape(12, 2)

    def difference(a, b):
        if metric == "accuracy":
            return a.mean() - b.mean()
        return roc_auc_score(y, a.ravel()) - roc_auc_score(y, b.ravel())

    # Swaps of whole images by hand: every one of 2^12.
    a, b = map(by_group, pairs)
    observed, extreme = abs(difference(a, b)), 0
    for swap in itertools.product([False, True], repeat=12):
        chosen = np.array(swap)[:, None]
        extreme += abs(difference(np.where(chosen, b, a), np.where(chosen, a, b))) >= observed - 1e-9
    found = paired_difference(*pairs, metric, 2, 50, 4096, rng)
    assert found.p_value == pytest.approx(extreme / 4096, abs=1e-6)
    if metric == "accuracy":
        gains = (a - b).mean(axis=1)
        reference = stats.permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert found.p_value == pytest.approx(reference.pvalue, abs=1e-6)


def test_sign_test_of_few_images_is_exact():
    y, group = np.ones(12, int), np.arange(12)
    first, second = np.arange(12) < 9, np.arange(12) >= 7
    # Right in the first alone: 7; in the second alone: 3.
    pair = paired_difference(predictions(first, y, group), predictions(second, y, group), "accuracy", 2, 10, 9999,
                             np.random.default_rng(0))  # fmt: skip
    assert pair.p_value == pytest.approx(stats.binomtest(7, 10).pvalue, abs=1e-6)
    assert pair.p_value == pytest.approx(mcnemar([[2, 7], [3, 0]], exact=True).pvalue, abs=1e-6)


def layers_of(rng, rates, n=150, shared=0.8):
    """Layers right at the given rates, whose mistakes coincide in part, as one layer's do with the next one's."""
    y, group = rng.integers(0, 2, n), np.arange(n)
    common = rng.random(n)
    return [predictions(np.where(rng.random(n) < shared, common, rng.random(n)) < rate, y, group) for rate in rates]


def test_equally_good_layers_are_seldom_called_worse_and_bad_ones_always():
    rng, any_wrong, bad_found = np.random.default_rng(4), 0, 0
    for k in range(150):
        reference, *others = layers_of(rng, [0.8] * 12 + [0.5])
        p_values = worse_than(reference, others, "accuracy", 2, 199, seed=k)
        any_wrong += min(p_values[:-1]) <= 0.05
        bad_found += p_values[-1] <= 0.05
    # 5 % are allowed, over all layers; without the correction it would be some 30 %.
    assert any_wrong / 150 <= 0.09
    assert bad_found / 150 >= 0.95


def test_a_layer_that_predicts_alike_is_not_worse():
    reference, other = layers_of(np.random.default_rng(0), [0.8, 0.5])
    assert worse_than(reference, [reference], "accuracy", 2, 99, seed=0) == [1.0]
    p_values = worse_than(reference, [other, reference], "roc_auc", 2, 99, seed=0)
    assert p_values[0] <= 0.05
    assert p_values[1] == 1.0
    assert worse_than(reference, [], "accuracy", 2, 99, seed=0) == []


def test_ranking_metrics_see_no_scale_of_the_margins():
    first, second = null_pair(np.random.default_rng(5))
    scaled = second.assign(scores=[[np.exp(3 * margin[0]) + 100] for margin in second["scores"]])
    for metric in ("roc_auc", "average_precision"):
        pairs = [
            paired_difference(first, other, metric, 2, 50, 99, np.random.default_rng(1)) for other in (second, scaled)
        ]
        assert pairs[0] == pairs[1]
        assert 0 < pairs[0].p_value < 1


def test_interval_covers_a_known_difference_and_respects_groups():
    rng, covered, widths = np.random.default_rng(3), 0, []
    for _ in range(200):
        group = np.repeat(np.arange(80), 3)
        y = rng.integers(0, 2, len(group))
        better = (rng.random(80) < 0.85)[group]
        worse = (rng.random(80) < 0.65)[group]
        pair = paired_difference(
            predictions(better, y, group), predictions(worse, y, group), "accuracy", 2, 200, 1, rng
        )
        covered += pair.low <= 0.2 <= pair.high
        widths.append(pair.high - pair.low)
    assert 0.9 <= covered / 200 <= 0.99
    # 2 x 1.96 x sqrt((0.85 x 0.15 + 0.65 x 0.35) / 80 groups); over 240 items it would be 0.15.
    assert np.mean(widths) == pytest.approx(0.261, abs=0.02)


def test_both_layers_are_measured_on_the_same_resample():
    rng = np.random.default_rng(0)
    y, group = rng.integers(0, 2, 200), np.arange(200)
    right = rng.random(200) < 0.7
    same = paired_difference(predictions(right, y, group), predictions(right, y, group), "accuracy", 2, 100, 99, rng)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_labels_share_one_resample_of_their_groups():
    # The second label is right where the first is wrong: their mean is 1/2 in every resample that both share.
    y, group = np.ones(100, int), np.arange(100)
    right = np.arange(100) < 50
    first = pd.concat([predictions(right, y, group, "cat"), predictions(~right, y, group, "dog")], ignore_index=True)
    never = pd.concat([predictions(np.zeros(100, bool), y, group, name) for name in ("cat", "dog")], ignore_index=True)
    pair = paired_difference(first, never, "accuracy", 2, 100, 99, np.random.default_rng(0))
    assert (pair.difference, pair.low, pair.high) == pytest.approx((0.5, 0.5, 0.5))
    assert pair.p_value == 0.01


def test_several_classes_are_compared_by_their_largest_margin():
    y = np.tile([0, 1, 2], 30)
    good, bad = np.eye(3)[y], np.eye(3)[(y + (np.arange(90) % 2)) % 3]
    frames = [
        predictions(y >= 0, y, np.arange(90)).assign(scores=[list(row) for row in margins]) for margins in (good, bad)
    ]
    pair = paired_difference(*frames, "accuracy", 3, 50, 99, np.random.default_rng(0))
    assert (pair.first, pair.second) == pytest.approx((1, 0.5))


def test_layers_with_other_items_are_refused():
    y = np.ones(4, int)
    first = predictions(y == 1, y, np.arange(4))
    for second in (first.iloc[:3], first.assign(item_id=list("abcd")), first.assign(y=0)):
        with pytest.raises(InputError, match="different items"):
            paired_difference(first, second, "accuracy", 2, 10, 10, np.random.default_rng(0))


def test_a_metric_that_is_not_defined_gives_no_p_value():
    y = np.ones(6, int)
    one_class = predictions(y == 1, y, np.arange(6))
    pair = paired_difference(one_class, one_class, "roc_auc", 2, 10, 10, np.random.default_rng(0))
    assert np.isnan([pair.difference, pair.low, pair.high, pair.p_value]).all()


def test_holm_leaves_undefined_values_out_of_the_family():
    adjusted = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])
    assert holm(pd.Series([np.nan])).isna().all()


def test_an_item_twice_is_refused(tmp_path):
    y = np.ones(3, int)
    rows = predictions(y == 1, y, np.arange(3)).assign(layer=0, split="test")
    pd.concat([rows, rows.iloc[:1]]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p\.parquet.*'agrees00000' twice"):
        read_predictions(tmp_path / "p.parquet", 0, "test")
    with pytest.raises(InputError, match="no predictions of layer 9"):
        read_predictions(tmp_path / "p.parquet", 9, "test")


def test_comparison_shows_one_section_per_task_with_scores_times_100(grid):
    sections = comparison_sections(compare(grid).assign(norm=np.nan))
    assert [section.title for section in sections] == ["objects: accuracy", "agree: accuracy"]
    row = sections[1].frame.iloc[0]
    assert row["Best layer"] == "1 / 3"
    assert row["Best"] == "85.0 [80.0, 90.0]"
    assert row["Best − top"].startswith("+25.0 [")
    assert row["Majority"] == "50.0"
    assert row["Final norm"] == "–"


NASTY = 'a_b & 50% $x$ #1 {c} <image> | ~^\\ "q"\nnew [l](u) `code` *s*'


def test_latex_escapes_every_special_character():
    assert escape_latex("&%$#_{}") == r"\&\%\$\#\_\allowbreak{}\{\}"
    assert escape_latex("\\~^<>|") == (
        r"\textbackslash{}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"
    )
    # Nothing special is left once commands are taken away.
    bare = re.sub(r"\\[a-z]+(\{\})?|\\[&%$#_{}]|\{[\[\]]\}", "", escape_latex(NASTY))
    assert not set(bare) & set('\\&%$#_{}~^<>|[]"\n')


def test_latex_is_a_booktabs_table_and_a_longtable_when_it_exceeds_a_page():
    frame = pd.DataFrame({"Name_1": ["x_y"], "n": [3]})
    text = to_latex([Section("A & B", frame, "50 %", numbers=("n",)), Section("long", frame, detail=True)])
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count("\\" + rule) == 1
    assert r"\caption{A \& B. 50 \%}" in text
    assert r"Name\_\allowbreak{}1 & n \\" in text
    assert r"x\_\allowbreak{}y & 3 \\" in text
    assert r"\begin{tabular}{@{}lr@{}}" in text
    many = to_latex([Section("A", pd.concat([frame] * 41))])
    assert r"\begin{longtable}" in many
    assert "table*" not in many


def test_latex_rows_have_as_many_cells_as_the_header():
    text = to_latex([Section("A", pd.DataFrame({"a": [NASTY], "b": [1], "c": [2]}), texts=(("a", 0.5),))])
    rows = [row for row in text.splitlines() if row.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2, 2]
    assert r"p{0.5\linewidth}" in text


def test_markdown_rows_stay_rows_and_links_stay_text():
    text = to_markdown("T", [Section("A", pd.DataFrame({"a|b": [NASTY], "n": [1]}), numbers=("n",))])
    head, rule, row = [line for line in text.splitlines() if line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", head)) == 3
    assert rule == "|---|---:|"
    assert escape_markdown("[l](u)") == r"[l]\(u)"
    assert escape_markdown("[1.0, 2.0]") == "[1.0, 2.0]"


def test_html_escapes_and_refers_to_nothing_outside():
    page = to_html("T<1>", [Section("A & B", pd.DataFrame({"a": ["<script>x</script>"], "n": [1]}), numbers=("n",))])
    assert "<script>" not in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<title>T&lt;1&gt;</title>" in page
    assert '<td class="number">1</td>' in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)


def test_a_note_that_sections_share_is_said_once():
    sections = [Section(name, pd.DataFrame({"a": [1]}), "Shared note.") for name in "AB"]
    assert to_html("T", sections).count("Shared note.") == 1
    assert to_markdown("T", sections).count("Shared note.") == 1


PROMPTS = [{"stimuli": "images", "prompt": "free", "text": "Describe it."}]


def test_overview_states_sizes_balance_and_exclusions():
    sections = {section.title: section for section in overview_sections(TASKS, MODELS, PROMPTS)}
    objects = sections["Tasks"].frame.iloc[0]
    assert (objects["Labels"], objects["Excluded"], objects["Test"]) == (2, 1, "80 / 20")
    assert objects["Majority"] == "50–75"
    assert sections["Class balance"].frame.iloc[0]["Train"] == "absent: 39, present: 1"
    assert list(sections["Excluded labels"].frame.iloc[0]) == ["objects", "hair_drier", "no positives in train"]
    assert list(sections["Models"].frame["Model"]) == ["b", "a"]
    assert list(sections["Prompts"].frame.iloc[0]) == ["images", "free", "Describe it."]
    assert "Excluded labels" not in to_latex(list(sections.values()))


def test_overview_csv_is_tidy_and_complete():
    rows = list(csv.DictReader(io.StringIO(to_csv(overview_sections(TASKS, MODELS, PROMPTS)))))
    assert {"section": "Models", "row": "1", "column": "Width", "value": "8"} in rows
    assert {"section": "Excluded labels", "row": "0", "column": "Label", "value": "hair_drier"} in rows


def test_prompts_without_text_are_an_input_error(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"stimuli": "a", "prompt": "b"}]))
    with pytest.raises(InputError, match=r"prompts\.json: prompt 0 lacks text"):
        read_prompts(path)


def test_program_writes_both_tables_in_four_formats_the_same_each_time(grid, tmp_path):
    scores, root = grid
    scores.to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    for name, entry in {**TASKS, **MODELS}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(vars(entry)))
    command = [sys.executable, ROOT / "scripts/make_tables.py", "--scores", tmp_path / "scores.parquet"]
    command += ["--predictions-root", root, "--prompts", tmp_path / "prompts.json"]
    command += [
        "--tasks",
        *[tmp_path / f"{t}.json" for t in TASKS],
        "--models",
        *[tmp_path / f"{m}.json" for m in MODELS],
    ]
    command += ["--resamples", "50", "--permutations", "999", "--seed", "4", "--out-dir"]
    for name in ("one", "two"):
        subprocess.run([*command, tmp_path / name], check=True)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [f"table{i}.{suffix}" for i in (1, 2) for suffix in ("csv", "html", "md", "tex")]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(pd.read_csv(tmp_path / "one/table2.csv")) == 4


class Job:
    """What Snakemake gives to a caption."""

    def __init__(self, axis):
        self.wildcards = type("Wildcards", (), {"axis": axis})()
        self.params = type("Params", (), {"resamples": 777})()
        self.config = {"seed": 11}


@pytest.mark.parametrize("axis", ["layer", "depth"])
@pytest.mark.parametrize("path", sorted((ROOT / "report").glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_valid_and_follow_the_job(path, axis):
    # The settings of Snakemake's own report.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(path.read_text()).render(snakemake=Job(axis))
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["html_body"]
    assert "{{" not in text
    assert "{%" not in text
    words = " ".join(re.sub("<[^>]*>", "", html).split())
    if path.stem in ("entailment", "recognition-by-model", "recognition-by-prompt"):
        assert ("relative depth" in words) == (axis == "depth")
        assert "(777 resamples)" in words
    if path.stem == "workflow":
        assert "the seed 11" in words
