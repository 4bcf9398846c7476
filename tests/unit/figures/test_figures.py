"""What the figures draw, read back from the drawing; and files that come out the same byte for byte."""

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.transforms import Bbox

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Model, Task, read_curves, read_models, read_scores, read_tasks
from layerwise.compare.rows import headline_scores
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing import style, training
from tests.given import OPTIONS, as_options, given

SCRIPTS = Path(__file__).parents[3] / "scripts"
MODELS = {
    "deep": Model("deep", "hub", "pretrained", n_layers=4, width=8),
    "flat": Model("flat", "hub", "pretrained", n_layers=2, width=8),
    "twin": Model("twin", "hub", "random", n_layers=4, width=8),
}
TASKS = {
    "agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy"),
    "objects": Task("objects", "images", "local", "multilabel", ["cat", "dog"], ["absent", "present"], "roc_auc"),
}
PROMPTS = {"agree": ["plain", "asked"], "objects": ["free", "cue", "list"]}
CHANCE = {"agree": 0.55, "objects": 0.5}
SHORTCUTS = ("words", "picture", "sum", "product", "text")


def value(model, task, prompt, layer, label):
    """A score that differs in every argument, so that a mixed-up line cannot pass."""
    places = (list(MODELS).index(model), PROMPTS[task].index(prompt), layer)
    return 0.56 + 0.1 * places[0] + 0.03 * places[1] + 0.004 * places[2] + (0.001 if label in ("cat", "dog") else 0)


@pytest.fixture
def scores():
    rows = []
    for task in TASKS.values():
        labels = [*task.labels, "macro"] if len(task.labels) > 1 else task.labels
        for model in MODELS.values():
            for prompt in PROMPTS[task.task]:
                cell = {"model": model.model, "task": task.task, "prompt": prompt, "n_layers": model.n_layers}
                cell |= {"n": 40, "n_groups": 20, "C": 1.0, "at_boundary": False}
                for label in labels:
                    for split in ("val", "test"):
                        # Rows of another metric and of the other split lie 1 off: drawing them shows.
                        for metric in ("f1", task.metric):
                            off = (split == "val") + (metric == "f1")
                            here = cell | {"label": label, "split": split, "metric": metric}
                            v = CHANCE[task.task] + off
                            base = {"probe": "majority", "layer": -1, "layer_name": "majority"}
                            rows.append(here | base | {"value": v, "low": v, "high": v})
                            for layer in range(model.n_layers + 2):
                                v = value(model.model, task.task, prompt, layer, label) + off
                                kind = {"probe": "logistic", "layer": layer, "layer_name": f"block {layer}"}
                                rows.append(here | kind | {"value": v, "low": v - 0.02, "high": v + 0.03})
    return pd.DataFrame(rows)


def facets(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def line(axes, label):
    (found,) = [drawn for drawn in axes.get_lines() if drawn.get_label() == label]
    return found


def draw(scores, figure, axis="layer", tasks=TASKS, models=MODELS, options=OPTIONS, **others):
    """A figure of the catalogue, from the comparisons that are made of the scores."""
    comparisons = [name for name in FIGURES[figure].reads if name in COMPARISONS]
    with tempfile.TemporaryDirectory() as folder, style.figure_style():
        made = given(folder, comparisons, options, scores=scores, tasks=tasks, models=models, **others)
        return FIGURES[figure].draw(made, axis)


def test_entailment_shows_global_tasks_with_a_facet_per_prompt_and_a_line_per_model(scores):
    drawn = facets(draw(scores, "entailment"))
    assert list(drawn) == ["plain", "asked"]
    for prompt, axes in drawn.items():
        for model in MODELS.values():
            of_model = line(axes, model.model)
            expected = [value(model.model, "agree", prompt, k, "agrees") for k in range(model.n_layers + 1)]
            np.testing.assert_allclose(of_model.get_xdata(), range(model.n_layers + 1))
            np.testing.assert_allclose(of_model.get_ydata(), expected)


def test_figure_1_has_a_thin_named_line_at_the_words_and_at_each_models_best_shortcut(scores, tmp_path):
    ends = {f"{name}{end}": 0.5 for name in SHORTCUTS for end in ("_low", "_high")}
    row = {"task": "agree", "prompt": "plain", "words": 0.6} | ends
    table = pd.DataFrame(
        [
            row | {"model": "deep", "shortcut": "product", "shortcut_value": 0.7},
            row | {"model": "flat", "shortcut": "words", "shortcut_value": 0.6},
        ]
    )
    table = table.reindex(columns=list(COMPARISONS["shortcuts"].columns))
    drawn = facets(draw(scores, "entailment", shortcuts=table))
    lines = {each.get_label(): each for each in drawn["plain"].get_lines() if "_shortcut" in each.get_label()}
    heights = {label: each.get_ydata()[0] for label, each in lines.items()}
    assert heights == {"_shortcut words": 0.6, "_shortcut words × picture": 0.7}
    assert lines["_shortcut words × picture"].get_color() == line(drawn["plain"], "deep").get_color()
    assert max(each.get_linewidth() for each in lines.values()) < line(drawn["plain"], "deep").get_linewidth()
    assert {"words", "words × picture"} <= {text.get_text() for text in drawn["plain"].texts}
    # The other prompt shows no picture.
    assert not [each for each in drawn["asked"].get_lines() if "_shortcut" in each.get_label()]
    low, high = drawn["plain"].get_ylim()
    assert low < 0.6 < 0.7 < high
    figure = drawn["plain"].figure.figure
    assert "shortcut" in [text.get_text() for text in figure.legends[0].get_texts()]
    plain = facets(draw(scores, "entailment"))["plain"].figure.figure
    assert "shortcut" not in [text.get_text() for text in plain.legends[0].get_texts()]


def test_names_of_shortcuts_that_lie_together_stand_in_one_line(scores):
    row = {"task": "agree", "prompt": "plain", "words": 0.6}
    table = pd.DataFrame(
        [
            row | {"model": "deep", "shortcut": "product", "shortcut_value": 0.605},
            row | {"model": "flat", "shortcut": "product", "shortcut_value": 0.61},
        ]
    )
    table = table.reindex(columns=list(COMPARISONS["shortcuts"].columns))
    texts = [text.get_text() for text in facets(draw(scores, "entailment", shortcuts=table))["plain"].texts]
    assert "words, words × picture" in texts


@pytest.mark.parametrize("figure", ["entailment", "selectivity"])
def test_a_language_model_has_the_colour_of_the_model_that_was_made_from_it(scores, figure):
    controls = scores[scores["probe"] == "logistic"].assign(probe="selectivity")
    scores = pd.concat([scores, controls])
    # The language model is asked one prompt only.
    scores = scores[(scores["model"] != "flat") | (scores["prompt"] == "plain") | (scores["task"] == "objects")]
    plain, paired = (draw(scores, figure, options=OPTIONS | more) for more in ({}, {"made_from": {"deep": "flat"}}))
    own, made, base, twin = (
        line(facets(drawing)["plain"], name)
        for drawing, name in ((plain, "flat"), (paired, "deep"), (paired, "flat"), (paired, "twin"))
    )
    assert own.get_color() != made.get_color() == base.get_color() != twin.get_color()
    assert (made.get_linestyle(), base.get_linestyle()) == ("-", "--")
    assert base.get_marker() == own.get_marker() != made.get_marker()
    assert [each.get_label() for each in facets(paired)["asked"].get_lines() if each.get_label() in MODELS] == [
        "deep",
        "twin",
    ]
    said = [text.get_text() for text in paired.legends[0].get_texts()]
    assert said[:3] == ["deep", "flat (language model of deep)", "twin (random weights)"]
    assert "flat" in [text.get_text() for text in plain.legends[0].get_texts()]


def test_recognition_by_prompt_swaps_facets_and_lines_and_draws_the_mean_over_labels(scores):
    drawn = facets(draw(scores, "recognition-by-prompt"))
    assert list(drawn) == ["deep", "flat", "twin\n(random weights)"]
    expected = [value("flat", "objects", "cue", k, "macro") for k in range(3)]
    np.testing.assert_allclose(line(drawn["flat"], "cue").get_ydata(), expected)
    assert to_hex(drawn["twin\n(random weights)"].get_facecolor()) != to_hex(drawn["deep"].get_facecolor())


def test_band_is_the_interval_of_the_scores(scores):
    axes = facets(draw(scores, "entailment"))["plain"]
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    values = [value("deep", "agree", "plain", k, "agrees") for k in range(5)]
    assert heights.min() == pytest.approx(min(values) - 0.02)
    assert heights.max() == pytest.approx(max(values) + 0.03)


def test_chance_line_is_the_majority_baseline_and_says_its_value(scores):
    for axes in draw(scores, "entailment").axes:
        np.testing.assert_allclose(line(axes, "_chance").get_ydata(), CHANCE["agree"])
        assert "majority 0.55" in [text.get_text() for text in axes.texts]


def test_baselines_of_cells_scored_on_other_items_are_all_drawn(scores):
    other = (scores["probe"] == "majority") & (scores["model"] == "flat")
    scores.loc[other, "value"] += 0.1
    drawn = [d for d in draw(scores, "entailment").axes[0].get_lines() if d.get_label() == "_chance"]
    assert sorted(d.get_ydata()[0] for d in drawn) == pytest.approx([0.55, 0.65])


def test_final_norm_stands_apart_and_open(scores):
    axes = facets(draw(scores, "entailment"))["plain"]
    (norm,) = [c for c in axes.containers if c.get_label() == "_norm deep"]
    point = norm.lines[0]
    assert point.get_xdata()[0] >= 5
    assert point.get_ydata()[0] == pytest.approx(value("deep", "agree", "plain", 5, "agrees"))
    assert to_hex(point.get_markerfacecolor()) == "#ffffff"
    assert list(axes.get_xticks()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("figure", ["entailment", "recognition-by-model", "selectivity", "code-length"])
def test_nothing_is_drawn_over_the_baselines_name(scores, figure):
    """Also where the final norm, which stands above the name or below it, is at the baseline or beyond."""
    scores = with_controls(scores)
    baseline = {"selectivity": 0.0, "code-length": 1.0}.get(figure, 0.5)
    for layer, off in ((5, 0.0), (3, -0.05)):
        norm = (scores["layer"] == layer) & (scores["layer"] > scores["n_layers"])
        scores.loc[norm, ["value", "low", "high"]] = [baseline + off + by for by in (0, -0.04, 0.04)]
    drawn = draw(scores, figure)
    FigureCanvasAgg(drawn).draw()
    for axes in drawn.axes:
        (name,) = axes.texts
        box = name.get_window_extent()
        for bars in axes.containers:
            point, _, (bar,) = bars.lines
            assert not box.overlaps(point.get_window_extent())
            assert not box.overlaps(Bbox(axes.transData.transform(bar.get_segments()[0])))
        for of_model in axes.get_lines():
            assert not box.overlaps(of_model.get_window_extent()) or of_model.get_label() == "_chance"


def test_relative_depth_ends_at_one_for_every_model_and_marks_the_norm(scores):
    axes = draw(scores, "recognition-by-model", axis="depth").axes[0]
    np.testing.assert_allclose(line(axes, "deep").get_xdata(), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(line(axes, "flat").get_xdata(), [0, 0.5, 1])
    (norm,) = [c for c in axes.containers if c.get_label() == "_norm flat"]
    assert 1 < norm.lines[0].get_xdata()[0] < 1.3
    assert axes.get_xticklabels()[-1].get_text() == "norm"


def test_legend_names_every_line_once_and_the_twin_is_grey_and_dashed(scores):
    figure = draw(scores, "entailment")
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["deep", "flat", "twin (random weights)", "95 % interval", "final norm", "majority baseline"]
    twin, deep = line(figure.axes[0], "twin"), line(figure.axes[0], "deep")
    red, green, blue = mpl.colors.to_rgb(twin.get_color())
    assert red == green == blue
    assert twin.is_dashed()
    assert not deep.is_dashed()


def test_a_model_keeps_its_colour_when_another_has_no_scores(scores):
    full = line(draw(scores, "entailment").axes[0], "flat").get_color()
    fewer = draw(scores[scores["model"] != "deep"], "entailment")
    assert line(fewer.axes[0], "flat").get_color() == full
    assert "deep" not in [text.get_text() for text in fewer.legends[0].get_texts()]


def test_axis_titles_carry_units_and_nothing_is_clipped_or_laid_over(scores):
    many = [
        scores[scores["task"] == "objects"].assign(prompt=lambda rows, i=i: rows["prompt"] + f"_with_a_long_name_{i}")
        for i in range(2)
    ]
    figure = draw(pd.concat(many), "recognition-by-model")
    assert len(figure.axes) == 6
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == 3  # wrapped into two rows of three
    assert figure.axes[0].get_ylabel() == "test ROC AUC"
    with style.figure_style():
        figure.draw_without_rendering()
    page = figure.bbox
    legend = figure.legends[0].get_window_extent()
    title = figure.subfigs[-1]._supxlabel
    assert title.get_text() == "decoder layer (0 = embeddings)"
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for box in [*boxes, legend, title.get_window_extent()]:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1 + 1
    for box in [*boxes, title.get_window_extent()]:
        assert not box.overlaps(legend)


def test_a_band_of_five_does_not_wrap_bands_of_four(scores):
    """Five facets take two rows however they are laid out, so all bands are as wide as four."""
    tasks = {name: replace(TASKS["objects"], task=name) for name in ("five", "four", "too")}
    of_prompt = scores[(scores["task"] == "objects") & (scores["prompt"] == "free")]
    of_each = [
        of_prompt.assign(task=name, prompt=f"{name} {i}")
        for name, n in (("five", 5), ("four", 4), ("too", 4))
        for i in range(n)
    ]
    figure = draw(pd.concat(of_each), "recognition-by-model", tasks=tasks)
    rows = {band._suptitle.get_text().split(" ")[0]: band.axes[0].get_gridspec().nrows for band in figure.subfigs}
    assert rows == {"five": 2, "four": 1, "too": 1}


def test_many_narrow_bands_stand_side_by_side(scores):
    tasks = {f"objects-{i}": replace(TASKS["objects"], task=f"objects-{i}") for i in range(5)}
    of_each = pd.concat([scores[scores["task"] == "objects"].assign(task=name) for name in tasks])
    of_each = of_each[of_each["model"] != "deep"]
    figure = draw(of_each, "recognition-by-prompt", tasks=tasks)
    with style.figure_style():
        figure.draw_without_rendering()
    titles = {band._suptitle.get_text().split(" ")[0]: band for band in figure.subfigs if band._suptitle}
    assert list(titles) == list(tasks)
    left = [round(band.bbox.x0) for band in titles.values()]
    assert left[0] == left[2] == left[4] < left[1] == left[3]
    # The lowest band of each column says what is on the x axis.
    assert [band._supxlabel is not None for band in titles.values()] == [False, False, False, True, True]
    few = dict(list(tasks.items())[:4])
    stacked = draw(of_each[of_each["task"].isin(few)], "recognition-by-prompt", tasks=few)
    assert len({round(band.bbox.x0) for band in stacked.subfigs}) == 1


def test_scores_at_chance_look_like_chance(scores):
    flat = scores.assign(value=0.5, low=0.48, high=0.52)
    low, high = draw(flat, "entailment").axes[0].get_ylim()
    assert (0.52 - 0.48) / (high - low) < 0.2


def test_facets_of_a_task_share_the_y_axis(scores):
    limits = {axes.get_ylim() for axes in draw(scores, "recognition-by-model").axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low < CHANCE["objects"]
    assert high > value("twin", "objects", "list", 5, "macro") + 0.03


def test_one_model_and_one_prompt_make_one_facet(scores):
    one = scores[(scores["model"] == "flat") & (scores["prompt"] == "plain")]
    assert len(draw(one, "entailment").axes) == 1


def test_dollar_signs_in_names_are_not_mathematics(scores, tmp_path):
    figure = draw(scores.replace({"prompt": {"plain": "costs $5_or $6^"}}), "entailment")
    style.save_figure(figure, tmp_path / "a.svg")
    assert "costs $5_or $6^" in facets(figure)


@pytest.mark.parametrize("missing", ["question", "model", "rows"])
def test_what_cannot_be_drawn_is_an_input_error_that_names_it(scores, missing):
    if missing == "question":
        with pytest.raises(InputError, match="local question"):
            draw(scores, "recognition-by-model", tasks={"agree": TASKS["agree"]})
    elif missing == "model":
        with pytest.raises(InputError, match="deep"):
            draw(scores, "entailment", models={name: MODELS[name] for name in ("flat", "twin")})
    else:
        with pytest.raises(InputError, match=r"'agree'.*'accuracy'"):
            draw(scores[scores["metric"] == "f1"], "entailment")


def test_headline_of_one_label_is_that_label(scores):
    rows = headline_scores(scores, TASKS, "val")
    assert set(rows.loc[rows["task"] == "agree", "label"]) == {"agrees"}
    assert set(rows.loc[rows["task"] == "objects", "label"]) == {"macro"}
    assert set(rows["split"]) == {"val"}


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_same_scores_give_the_same_bytes(scores, tmp_path, suffix):
    written = []
    for name in "ab":
        style.save_figure(draw(scores, "entailment"), tmp_path / f"{name}.{suffix}")
        written.append((tmp_path / f"{name}.{suffix}").read_bytes())
    assert written[0] == written[1]
    style.save_figure(draw(scores.assign(value=scores["value"] + 0.01), "entailment"), tmp_path / f"c.{suffix}")
    assert (tmp_path / f"c.{suffix}").read_bytes() != written[0]


def test_pdf_embeds_truetype_and_svg_has_no_date(scores, tmp_path):
    for suffix in ("pdf", "svg"):
        style.save_figure(draw(scores, "entailment"), tmp_path / f"a.{suffix}")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "dc:date" not in (tmp_path / "a.svg").read_text()


def test_the_style_leaves_the_callers_settings_alone():
    before = dict(mpl.rcParams)
    with style.figure_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_styles_differ_in_colour_and_marker():
    found = style.line_styles([f"name {i}" for i in range(7)])
    assert len({s.colour for s in found.values()}) == 7
    assert len({s.marker for s in found.values()}) == 7
    more = style.line_styles([f"name {i}" for i in range(20)])
    assert len({(s.colour, s.dash) for s in more.values()}) == 20


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [
        ("short", "short"),
        ("a_long_name_of_a_prompt", "a_long_name_\nof_a_prompt"),
        ("two words here", "two words\nhere"),
        ("unbreakablename", "unbreakablen\name"),
        ("twin (random weights)", "twin (random\nweights)"),
        ("model-7b-chat-random", "model-7b-\nchat-random"),
    ],
)
def test_names_wrap_where_they_can_and_lose_nothing(name, wrapped):
    assert style.wrap_name(name, 12) == wrapped


def test_unknown_format_is_refused_before_drawing():
    with pytest.raises(InputError, match=r"a\.jpg"):
        style.check_formats(["a.png", "a.jpg"])


@pytest.fixture
def curve(tmp_path):
    rows = [(10.0 * i, i, "captions", "agree", "loss", 2 - 0.1 * i) for i in range(1, 6)]
    rows += [(10.0 * i, i, "questions", "count", "loss", 1 - 0.1 * i) for i in range(6, 10)]
    rows += [(50.0, 5, "captions", "agree", "accuracy", 0.7), (90.0, 9, "questions", "agree", "accuracy", 0.9)]
    rows += [(90.0, 9, "questions", "count", "accuracy", 0.6)]
    path = tmp_path / "curve.csv"
    pd.DataFrame(rows, columns=training.COLUMNS).to_csv(path, index=False)
    return path


def test_training_curve_has_accuracy_per_lesson_loss_and_phases(curve):
    with style.figure_style():
        figure = training.draw_training(training.read_curve(curve))
    above, below = figure.axes
    np.testing.assert_allclose(line(above, "agree").get_xydata(), [(50, 0.7), (90, 0.9)])
    np.testing.assert_allclose(line(above, "count").get_xydata(), [(90, 0.6)])
    np.testing.assert_allclose(line(below, "agree").get_ydata(), [1.9, 1.8, 1.7, 1.6, 1.5])
    assert below.get_xlabel() == "training time (s)"
    assert [text.get_text() for text in above.texts] == ["captions", "questions"]
    first, second = [patch for patch in above.patches if patch.get_label() == "_phase"]
    assert first.get_x() + first.get_width() == second.get_x() == 50
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["agree", "count"]


def test_training_curve_without_a_column_is_an_input_error(curve):
    pd.read_csv(curve).drop(columns="lesson").to_csv(curve, index=False)
    with pytest.raises(InputError, match="lesson"):
        training.read_curve(curve)


def described(folder):
    for kind, entries in (("tasks", TASKS), ("models", MODELS)):
        for name, entry in entries.items():
            path = folder / kind / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(vars(entry) | {"sources": []}))
    return [folder / "tasks" / f"{t}.json" for t in TASKS], [folder / "models" / f"{m}.json" for m in MODELS]


def test_descriptions_are_read_in_order_and_unknown_keys_ignored(tmp_path):
    tasks, models = described(tmp_path)
    assert read_tasks(tasks) == TASKS
    assert list(read_models(reversed(models))) == ["twin", "flat", "deep"]


def test_faulty_descriptions_name_the_file_and_the_key(tmp_path):
    path = tmp_path / "task.json"
    path.write_text(json.dumps(vars(TASKS["agree"]) | {"question": "both"}))
    with pytest.raises(InputError, match=r'task\.json: "question" is \'both\''):
        read_tasks([path])
    path.write_text(json.dumps({"task": "agree"}))
    with pytest.raises(InputError, match=r"task\.json.*stimuli"):
        read_tasks([path])
    path.write_text("{")
    with pytest.raises(InputError, match=r"task\.json.*JSON"):
        read_tasks([path])
    with pytest.raises(InputError, match=r"none\.parquet"):
        read_scores(tmp_path / "none.parquet")


def test_program_writes_all_formats_and_fails_in_one_line(scores, tmp_path, warm):
    made = given(tmp_path, scores=scores, tasks=TASKS, models=MODELS)
    command = [warm, SCRIPTS / "plot_figure.py", "--figure", "entailment", "--variant", "depth", "--inputs"]
    out = [tmp_path / f"out/figure.{suffix}" for suffix in style.FORMATS]
    subprocess.run([*command, *as_options(made), "--out", *out], check=True)
    assert all(path.stat().st_size > 1000 for path in out)
    local = [option for option in as_options(made) if "agree.json" not in option]
    without = [option for option in local if not option.startswith("models=")]
    for options, message in (
        (local, "error: the figure shows tasks with a global question; none was given"),
        (without, "error: the figure shows tasks with a global question; none was given"),
        (["tasks"], "error: --inputs: 'tasks' is not NAME=PATH"),
    ):
        command_line = [*command, *options, "--out", *out]
        failed = subprocess.run(command_line, capture_output=True, text=True, check=False)
        assert failed.returncode == 1
        assert failed.stderr.startswith(message)
        assert "Traceback" not in failed.stderr


def with_controls(scores):
    """The scores with rows of selectivity and code length that differ in every argument."""
    test = scores.query("probe == 'logistic' and split == 'test'")
    above = test.assign(probe="selectivity", value=test["value"] - 0.5, low=test["low"] - 0.5, high=test["high"] - 0.5)
    bits = test.assign(split="train", metric="code_bits", value=1.2 - test["value"], low=0.1, high=0.9)
    return pd.concat([scores, above, bits.drop_duplicates(["model", "task", "prompt", "layer", "label"])])


def test_selectivity_shows_all_tasks_above_zero(scores):
    drawn = draw(with_controls(scores), "selectivity")
    assert [band.get_suptitle().split()[0] for band in drawn.subfigs] == ["agree", "objects"]
    axes = drawn.subfigs[1].axes[1]
    expected = [value("flat", "objects", "cue", k, "macro") - 0.5 for k in range(3)]
    np.testing.assert_allclose(line(axes, "flat").get_ydata(), expected)
    np.testing.assert_allclose(line(axes, "_chance").get_ydata(), 0)
    assert "random labels 0.00" in [text.get_text() for text in axes.texts]
    assert "above random labels" in drawn.subfigs[0].axes[0].get_ylabel()
    legend = {text.get_text() for text in drawn.legends[0].get_texts()}
    assert {"no better than random labels", "95 % interval"} <= legend


def test_code_length_shows_bits_from_zero_below_the_uniform_code(scores):
    tasks = TASKS | {"agree": Task("agree", "pairs", "global", "multiclass", ["agrees"], ["a", "b", "c"], "accuracy")}
    drawn = draw(with_controls(scores), "code-length", tasks=tasks)
    for band, bits, shown in zip(drawn.subfigs, (np.log2(3), 1), ("uniform 1.58", "uniform 1.00"), strict=True):
        for axes in band.axes:
            np.testing.assert_allclose(line(axes, "_chance").get_ydata(), bits, atol=1e-6)
            (name,) = [text for text in axes.texts if text.get_text() == shown]
            assert name.get_verticalalignment() == "top"
            assert axes.get_ylim()[0] == 0
            # Room for the name above all that is drawn.
            assert axes.get_ylim()[1] >= 1.15 * bits


def test_figures_of_controls_need_their_rows(scores):
    with pytest.raises(InputError, match="no selectivity rows"):
        draw(scores, "selectivity")
    with pytest.raises(InputError, match="code_bits"):
        draw(scores, "code-length")


@pytest.fixture
def curves(scores):
    rows = []
    for cell, of_cell in scores.query("probe == 'logistic'").groupby(["model", "task", "prompt", "layer", "label"]):
        metric = TASKS[cell[1]].metric
        for images in (4, 8, 16):
            row = dict(zip(["model", "task", "prompt", "layer", "label"], cell, strict=True))
            # Differs by layer and size; the score itself when all 16 images are used.
            v = of_cell.query("split == 'test' and metric == @metric")["value"].item() - 0.1 / images + 0.1 / 16
            rows.append(row | {"metric": metric, "train_groups": images, "value": v, "low": v - 0.1, "high": v + 0.05})
    return pd.DataFrame(rows)


def test_learning_curve_is_that_of_the_best_layer_on_validation(scores, curves):
    # Validation prefers layer 1 in one cell; elsewhere the topmost block is best.
    cell = (scores["model"] == "deep") & (scores["task"] == "agree") & (scores["prompt"] == "asked")
    scores.loc[cell & (scores["layer"] == 1) & (scores["split"] == "val"), "value"] += 5
    drawn = draw(scores, "learning-curve", curves=curves)
    plain, asked = drawn.subfigs[0].axes
    for axes, prompt, layer in ((plain, "plain", 4), (asked, "asked", 1)):
        deep = line(axes, "deep")
        np.testing.assert_allclose(deep.get_xdata(), [4, 8, 16])
        top = value("deep", "agree", prompt, layer, "agrees")
        np.testing.assert_allclose(deep.get_ydata(), [top - 0.1 / n + 0.1 / 16 for n in (4, 8, 16)])
        np.testing.assert_allclose(line(axes, "_chance").get_ydata(), CHANCE["agree"])
        assert axes.get_xscale() == "log"
        # Each line says at its end which layer it is of; lines that end close together have names apart.
        names = {to_hex(text.get_color()): text.get_text() for text in axes.texts}
        assert names[to_hex(deep.get_color())] == f"L{layer}"
        heights = sorted(text.xy[1] for text in axes.texts if text.get_text().startswith("L"))
        assert len(heights) == 3
        assert min(np.diff(heights)) >= 0.1
    assert len(drawn.subfigs[1].axes) == 3
    assert "majority baseline" in [text.get_text() for text in drawn.legends[0].get_texts()]


def test_learning_curves_without_a_column_or_a_model_are_refused(scores, curves, tmp_path):
    curves.drop(columns="train_groups").to_parquet(tmp_path / "curves.parquet")
    with pytest.raises(InputError, match=r"curves\.parquet: lacks the columns train_groups"):
        read_curves(tmp_path / "curves.parquet")
    with pytest.raises(InputError, match=r"no model\.json describes deep"):
        draw(scores, "learning-curve", models={name: MODELS[name] for name in ("flat", "twin")}, curves=curves)


def test_numbers_are_drawn_by_layer_above_the_training_mean(scores):
    """Scores are those of the other figures, under the names that ridge regression has."""
    numbers = {"agree": replace(TASKS["agree"], kind="regression", classes=[], metric="r2")}
    renamed = scores[scores["task"] == "agree"].replace({"metric": {"accuracy": "r2"}})
    renamed = renamed.replace({"probe": {"logistic": "ridge", "majority": "mean"}})
    renamed.loc[renamed["probe"] == "mean", "value"] = -0.004
    with tempfile.TemporaryDirectory() as folder, style.figure_style():
        described = Path(folder, "agree.json")
        described.write_text(json.dumps(vars(numbers["agree"])))
        inputs = {"number-scores": renamed, "number-tasks": described, "models": MODELS}
        drawn = facets(FIGURES["numbers"].draw(given(folder, ["number-headline"], **inputs), "layer"))
    assert list(drawn) == ["plain", "asked"]
    expected = [value("flat", "agree", "asked", k, "agrees") for k in range(3)]
    np.testing.assert_allclose(line(drawn["asked"], "flat").get_ydata(), expected)
    assert "training mean 0.00" in [text.get_text() for text in drawn["asked"].texts]
    assert drawn["plain"].get_ylabel() == "test R²"


def test_the_premise_is_drawn_beside_the_picture(scores):
    """Of tasks whose stimuli have such a prompt; not those with a picture that is not the item's."""
    scores = scores[scores["task"] == "agree"]
    both = pd.concat([scores, scores[scores["prompt"] == "plain"].assign(prompt="blank")])
    prompts = [
        {"stimuli": "pairs", "prompt": "blank", "image": "blank", "text": "{text}"},
        {"stimuli": "pairs", "prompt": "plain", "image": "none", "text": "{premise} {text}"},
        {"stimuli": "pairs", "prompt": "asked", "image": "shown", "text": "{text}"},
        {"stimuli": "images", "prompt": "free", "image": "shown", "text": "Hm?"},
    ]
    drawn = facets(draw(both, "premise", tasks={"agree": TASKS["agree"]}, prompts=prompts))
    assert list(drawn) == ["deep", "flat", "twin\n(random weights)"]
    shown = [each.get_label() for each in drawn["deep"].get_lines() if not each.get_label().startswith("_")]
    assert shown == ["asked: picture", "plain: caption"]
    expected = [value("deep", "agree", "plain", k, "agrees") for k in range(5)]
    np.testing.assert_allclose(line(drawn["deep"], "plain: caption").get_ydata(), expected)
