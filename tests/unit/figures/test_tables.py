"""Table 2 on scores whose best layers are known, and tables that show any name literally."""

import csv
import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from statsmodels.stats.multitest import multipletests

from layerwise.compare.inputs import Model, Task, read_predictions, read_prompts
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.layers import compare_layers
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import holm, holm_is_bound, with_holm
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.writing.best_layers import comparison_sections
from layerwise.figures.writing.overview import overview_sections
from layerwise.figures.writing.sections import (
    Section,
    escape_latex,
    escape_markdown,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)
from layerwise.figures.writing.words import p_in_words
from layerwise.probes.problems import Problem
from layerwise.probes.scoring import Scorer, majority_guess
from tests.given import as_options, given
from tests.predictions import predictions, some_right

ROOT = Path(__file__).parents[3]
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
        # 50 of 200 items tell the layers apart.
        assert row["p_value"] < 1e-4
        assert row["norm"] == pytest.approx(0.6)
        assert row["chance"] == 0.5


def test_best_equal_to_top_is_no_difference(grid):
    row = compare(grid).set_index(["model", "task"]).loc[("a", "agree")]
    assert row["best_layer"] == 3
    assert (row["difference"], row["difference_low"], row["difference_high"]) == (0, 0, 0)
    # Validation left nothing to test.
    assert np.isnan([row["p_value"], row["p_holm"]]).all()
    assert comparison_sections(compare(grid))[1].frame["p (Holm)"].tolist() == ["< 0.001", "–"]


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


def test_intervals_with_training_redrawn_stand_beside_the_plain_ones(grid):
    scores, root = grid
    plain = comparison_sections(compare(grid))[1]
    assert not [column for column in plain.frame if "redrawn" in column]
    assert "redrawn" not in plain.note
    ordinary = scores.query("probe == 'logistic' and split == 'test'")
    wider = ordinary.assign(probe="redrawn", low=ordinary["value"] - 0.1 * (ordinary["layer"] + 1))
    above = ordinary.assign(probe="redrawn_above_top", low=-0.07, high=0.3 + 0.01 * ordinary["layer"])
    table = compare((pd.concat([scores, wider, above]), root))
    row = table.set_index(["model", "task"]).loc[("b", "agree")]
    # Of layer 1, and of layer 3, the topmost.
    assert row["best_redrawn_low"] == pytest.approx(0.85 - 0.2)
    assert row["top_redrawn_low"] == pytest.approx(0.6 - 0.4)
    assert (row["difference_redrawn_low"], row["difference_redrawn_high"]) == pytest.approx((-0.07, 0.31))
    shown = comparison_sections(table)[1]
    assert shown.frame["Best, training redrawn"].iloc[0] == "[65.0, 90.0]"
    assert shown.frame["Best − top, training redrawn"].iloc[0] == "[−7.0, 31.0]"
    assert "Best − top, training redrawn" in shown.numbers
    assert "include the choice of training images" in shown.note
    drawings = {}
    for name, rows in (("plain", scores), ("redrawn", pd.concat([scores, wider]))):
        (root / name).mkdir()
        made = given(root / name, scores=rows, tasks=TASKS, models=MODELS)
        drawings[name] = FIGURES["entailment"].draw(made, "layer")
    bands = {name: len(drawing.axes[0].collections) for name, drawing in drawings.items()}
    # For each of two models a second band, and a bar at the final norm.
    assert bands["redrawn"] == bands["plain"] + 4
    legends = {name: [text.get_text() for text in each.legends[0].get_texts()] for name, each in drawings.items()}
    assert set(legends["redrawn"]) - set(legends["plain"]) == {"with training redrawn"}


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
    tested = table[table["best_layer"] != table["top_layer"]]
    assert len(tested) == 2
    np.testing.assert_allclose(tested["p_holm"], multipletests(tested["p_value"], method="holm")[1])


def test_a_cell_s_numbers_do_not_depend_on_the_other_cells(grid):
    scores, _ = grid
    alone = compare(
        grid, scores=scores[(scores["model"] == "b") & (scores["task"] == "agree")], tasks={"agree": TASKS["agree"]}
    )
    corrected = ["p_holm", "smallest_holm"]
    among = compare(grid).query("model == 'b' and task == 'agree'").drop(columns=corrected).reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.drop(columns=corrected), among)
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


def test_holm_leaves_undefined_values_out_of_the_family():
    adjusted = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])
    assert holm(pd.Series([np.nan])).isna().all()


def test_no_family_is_too_large_for_significance():
    """600 rows, all with 40 of 50 items right in the one layer alone: 20,000 swaps drawn evenly could not tell."""
    y, group = np.ones(200, int), np.arange(200)
    pair = predictions(np.arange(200) >= 10, y, group), predictions(np.arange(200) < 160, y, group)
    found = paired_difference(*pair, "accuracy", 2, 100, 20_000, np.random.default_rng(0))
    table = with_holm(pd.DataFrame({"p_value": [found.p_value] * 600, "p_is_bound": found.p_is_bound}))
    assert table["p_holm"].iloc[0] == pytest.approx(600 * stats.binomtest(10, 50).pvalue, rel=0.05)
    assert table["p_holm"].iloc[0] < 0.05


def test_a_bound_stays_one_through_holm_s_correction():
    p_values = pd.Series([0.012, 0.01, np.nan, 0.5, 0.03])
    is_bound = pd.Series([False, True, False, False, False])
    # In order: 4 x 0.01 (a bound) = 0.04; 3 x 0.012 = 0.036, so 0.04 again; 2 x 0.03 = 0.06; 0.5.
    np.testing.assert_allclose(holm(p_values), [0.04, 0.04, np.nan, 0.5, 0.06])
    assert holm_is_bound(p_values, is_bound).tolist() == [True, True, False, False, False]
    table = with_holm(pd.DataFrame({"p_value": p_values, "p_is_bound": is_bound}))
    assert list(table) == ["p_value", "p_is_bound", "p_holm", "p_holm_is_bound"]
    shown = list(map(p_in_words, table["p_holm"], table["p_holm_is_bound"]))
    assert shown == ["≤ 0.040", "≤ 0.040", "–", "0.500", "0.060"]
    assert p_in_words(0.0004, is_bound=True) == "< 0.001"
    assert escape_latex(shown[0]) == r"\ensuremath{\leq} 0.040"


def test_too_few_images_give_neither_p_value_nor_set_of_layers(grid):
    """Leaving the family for that is no choice by outcome: the other rows' p-values are corrected for themselves."""
    scores, root = grid
    for model in MODELS:
        path = root / model / "agree" / "plain.predictions.parquet"
        table = pd.read_parquet(path)
        # The 50 images of four items become 25 of eight.
        table.assign(group=table["group"] // 2).to_parquet(path)
    table = compare((scores, root)).set_index(["task", "model"])
    assert table.loc["agree", "p_value"].isna().all()
    assert (table.loc["agree", "not_worse"] == "").all()
    assert table.loc[("objects", "b"), "p_holm"] == table.loc[("objects", "b"), "p_value"]
    shown = comparison_sections(table.reset_index())[1].frame
    assert (shown["p (Holm)"] == "–").all()
    assert (shown["As good"] == "–").all()


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


def test_row_names_stay_in_sight():
    frame = pd.DataFrame({"Model": ["m"], "Prompt": ["p"], "n": [1]})
    page = to_html("T", [Section("A", frame, numbers=("n",), row_names=2)])
    assert '<th class="name">m</th>' in page
    assert '<th class="name">p</th>' in page
    assert '<td class="number">1</td>' in page


def test_a_note_that_sections_share_is_said_once():
    sections = [Section(name, pd.DataFrame({"a": [1]}), "Shared note.") for name in "AB"]
    assert to_html("T", sections).count("Shared note.") == 1
    assert to_markdown("T", sections).count("Shared note.") == 1


PROMPTS = [{"stimuli": "images", "prompt": "free", "text": "Describe it."}]


def overview(grid, position="last"):
    return overview_sections(grid[0], TASKS, MODELS, PROMPTS, position)


def test_overview_states_sizes_balance_and_exclusions(grid):
    sections = {section.title: section for section in overview(grid)}
    objects = sections["Tasks"].frame.iloc[0]
    assert (objects["Labels"], objects["Excluded"], objects["Test"]) == (2, 1, "80 / 20")
    assert sections["Class balance"].frame.iloc[0]["Train"] == "absent: 39, present: 1"
    assert list(sections["Excluded labels"].frame.iloc[0]) == ["objects", "hair_drier", "no positives in train"]
    assert list(sections["Models"].frame["Model"]) == ["b", "a"]
    assert list(sections["Prompts"].frame.iloc[0]) == ["images", "free", "Describe it."]
    assert "Excluded labels" not in to_latex(list(sections.values()))


def test_overview_says_whose_data_came_from_the_hub(grid):
    plain = [section.title for section in overview(grid)]
    assert "Data sets" not in plain
    own = {"file": "own.csv", "sha256": "0" * 64}
    pope = own | {"repository": "lab/pope", "revision": "a" * 40, "licence": "mit", "citation": "@misc{pope}"}
    other = own | {"repository": "lab/<b>", "revision": "b" * 40, "licence": "", "citation": ""}
    sources = {"objects": [own, pope, pope, other], "agree": [pope]}
    tasks = {name: replace(task, sources=sources[name]) for name, task in TASKS.items()}
    sections = overview_sections(grid[0], tasks, MODELS, PROMPTS, "last")
    assert [section.title for section in sections] == [plain[0], "Data sets", *plain[1:]]
    assert sections[1].frame.to_numpy().tolist() == [
        ["lab/pope", "images, pairs", "aaaaaaaaaaaa", "mit", "@misc{pope}"],
        ["lab/<b>", "images", "bbbbbbbbbbbb", "not stated", "not stated"],
    ]
    # A stranger's words are shown as they are, and nothing of them is read as a page or a program.
    assert "<b>" not in to_html("T", sections)
    assert r"lab/\textless{}b\textgreater{}" in to_latex(sections)


def test_overview_lists_tasks_about_numbers_with_their_units(grid):
    spread = {split: {"mean": 3.25, "std": 1.5, "min": 0.0, "max": 8.0} for split in ("train", "val", "test")}
    far = Task("far", "images", "local", "regression", ["far"], [], "r2", units={"far": "m"}, numbers={"far": spread})
    found = overview_sections(grid[0], TASKS, MODELS, PROMPTS, "last", {"far": far})
    sections = {section.title: section for section in found}
    last = sections["Tasks"].frame.iloc[-1]
    assert (last["Task"], last["Metric"], last["Majority"]) == ("far", "R²", "–")
    assert sections["Numbers"].frame.iloc[0].tolist() == ["far", "far", "m", *["3.25 (1.5)"] * 3]
    assert "far" not in set(sections["Class balance"].frame["Task"])
    assert "Numbers" not in {section.title for section in overview(grid)}


def test_the_majority_is_the_same_in_both_tables_and_the_figure(grid):
    """Of 15 test items 4 are of the class that is more frequent in training; scikit-learn says what that scores."""
    y = {split: np.repeat([0, 1], n) for split, n in (("train", (23, 22)), ("val", (5, 5)), ("test", (4, 11)))}
    items = {split: np.arange(len(of_split)) for split, of_split in y.items()}
    problem = Problem("agrees", 2, items, groups=items, rows=items, y=y)
    scorer = Scorer([problem], resamples=10, seed=0)
    found = scorer.measure([majority_guess(problem)], metrics=["accuracy"])["test", "accuracy"][0, 0]
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((45, 1)), y["train"])
    assert found == pytest.approx(dummy.score(np.zeros((15, 1)), y["test"]))
    scores, root = grid
    scores = scores.assign(value=scores["value"].where(scores["probe"] != "majority", found))
    tasks = {section.title: section for section in overview((scores, root))}["Tasks"].frame
    assert tasks["Majority"].tolist() == ["26.7", "26.7"]
    for section in comparison_sections(compare((scores, root))):
        assert section.frame["Majority"].tolist() == ["26.7", "26.7"]
    (root / "shown").mkdir()
    made = given(root / "shown", scores=scores, tasks=TASKS, models=MODELS)
    drawn = FIGURES["entailment"].draw(made, "layer")
    assert "majority 0.27" in [text.get_text() for text in drawn.axes[0].texts]


@pytest.mark.parametrize(("position", "says"), [("last", "last token"), ("image-mean", "the image's tokens")])
def test_overview_says_which_states_are_probed(grid, position, says):
    (prompts,) = [section for section in overview(grid, position) if section.title == "Prompts"]
    assert says in prompts.note
    assert ("last token" in prompts.note) == (position == "last")


def test_overview_csv_is_tidy_and_complete(grid):
    rows = list(csv.DictReader(io.StringIO(to_csv(overview(grid)))))
    assert {"section": "Models", "row": "1", "column": "Width", "value": "8"} in rows
    assert {"section": "Excluded labels", "row": "0", "column": "Label", "value": "hair_drier"} in rows


def test_prompts_without_text_are_an_input_error(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"stimuli": "a", "prompt": "b"}]))
    with pytest.raises(InputError, match=r"prompts\.json: prompt 0 lacks text"):
        read_prompts(path)


def test_programs_write_both_tables_in_four_formats_the_same_each_time(grid, tmp_path, warm):
    scores, root = grid
    made = given(tmp_path, (), scores=scores, tasks=TASKS, models=MODELS, prompts=PROMPTS, predictions=root)
    options = json.dumps({"resamples": 50, "permutations": 999, "seed": 4})
    for folder in ("one", "two"):
        for comparison in ("headline", "best-layers"):
            made.files[comparison] = [tmp_path / folder / f"{comparison}.parquet"]
            command = [warm, ROOT / "scripts/compare.py", "--comparison", comparison, "--options", options]
            command += ["--out", *made.files[comparison], "--inputs", *as_options(made)]
            subprocess.run(command, check=True)
        for table in ("table1", "table2"):
            command = [warm, ROOT / "scripts/make_table.py", "--table", table, "--out-dir", tmp_path / folder]
            subprocess.run([*command, "--inputs", *as_options(made)], check=True)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    tables = [f"table{i}.{suffix}" for i in (1, 2) for suffix in ("csv", "html", "md", "tex")]
    assert names == ["best-layers.parquet", "headline.parquet", *tables]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    compared = pd.read_parquet(tmp_path / "one/best-layers.parquet")
    assert len(pd.read_csv(tmp_path / "one/table2.csv")) == len(compared) == 4
    # Without draws of training images, no column speaks of them.
    assert list(pd.read_csv(tmp_path / "one/table2.csv")) == [name for name in compared if "redrawn" not in name]
