"""Which layer knows it, for reading: sentences for every case, the strips, the report's first page, draws as one."""

import pandas as pd
import pytest
from docutils.core import publish_parts
from matplotlib.colors import to_hex

from layerwise.compare.inputs import Model, with_draws
from layerwise.figures.drawing.strips import FIRST, SHADES, draw_strips
from layerwise.figures.drawing.style import figure_style
from layerwise.figures.first_page import quoted
from layerwise.figures.writing.best_layers import comparison_sections, in_points, is_better
from layerwise.figures.writing.sections import numbers_csv
from layerwise.figures.writing.which_layer import sentence, which_layer_sections, with_sentences

ROW = {
    **{"model": "llava", "task": "entailment", "prompt": "agree", "image": "shown", "metric": "accuracy"},
    **{"label": "match", "n_layers": 6, "n": 100, "n_groups": 50, "chance": 0.5, "twins": "twin", "text_only": "words"},
    **{"missing": "", "best_layer": 5, "best": 0.81, "best_low": 0.78, "best_high": 0.84, "not_worse": "4 5"},
    **{"top_layer": 6, "top": 0.74, "top_low": 0.7, "top_high": 0.78, "difference": 0.07, "difference_low": 0.02},
    **{"difference_high": 0.12, "p_holm": 0.01, "p_holm_is_bound": False, "twin_highest": 0.55, "text_highest": 0.52},
    **{"first": 0.62, "first_low": 0.58, "first_high": 0.66},
}


def row(above_chance="3 4 5 6", above_twin=None, above_text=None, **more):
    """A row whose layers above all are those that are above each."""
    ROW_ = ROW | more
    lists = {"chance": above_chance, "twin": above_twin or above_chance, "text": above_text or above_chance}
    lists["all"] = " ".join(layer for layer in lists["chance"].split() if all(layer in of for of in lists.values()))
    for name, layers in lists.items():
        layers = [] if layers == "-" else layers.split()
        first = int(layers[0]) if layers else pd.NA
        ROW_ |= {f"above_{name}": " ".join(layers), f"first_above_{name}": first}
    if pd.isna(ROW_["first_above_all"]):
        ROW_ |= {"first": float("nan"), "first_low": float("nan"), "first_high": float("nan")}
    return ROW_


TAIL = "; its untrained twin reaches 55 % at most; the text alone gives 52 % at most."
BEST = ", best in block 5 (81 % [78, 84]), in the topmost block 74 %"
TOP = {"best_layer": 6, "best": 0.84, "best_low": 0.8, "best_high": 0.88, "top": 0.84}
AT_TOP = ", best in the topmost block (84 % [80, 88])"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (row(), f"knows it from block 3 on (62 %, chance 50 %){BEST}{TAIL}"),
        (row("3 4 5"), f"knows it from block 3 to block 5 (62 %, chance 50 %){BEST}{TAIL}"),
        (row("5"), f"knows it in block 5 only (62 %, chance 50 %){BEST}{TAIL}"),
        (row("0 1 2 3 4 5 6"), f"knows it in every layer (62 %, chance 50 %){BEST}{TAIL}"),
        (row("0 1"), f"knows it from the embeddings to block 1 (62 %, chance 50 %){BEST}{TAIL}"),
        (row("6", **TOP), f"knows it in the topmost block only (62 %, chance 50 %){AT_TOP}{TAIL}"),
        (row("-", first="nan"), f"is not shown to be above chance in any layer (chance 50 %){BEST}{TAIL}"),
        (
            row(above_twin="-"),
            f"is above chance from block 3 on (chance 50 %), but in no layer above its untrained twin{BEST}{TAIL}",
        ),
        (
            row(above_text="-"),
            f"is above chance from block 3 on (chance 50 %), but in no layer above what the text alone gives"
            f"{BEST}{TAIL}",
        ),
        (
            row("3 4", "3", "4"),
            "is above chance from block 3 to block 4 (chance 50 %), but in no layer above both its untrained twin and "
            f"what the text alone gives{BEST}{TAIL}",
        ),
        (
            row(twins="", text_only="", missing="no twin; no text-only prompt"),
            f"is above chance from block 3 on (62 %, chance 50 %){BEST}; it has no untrained twin to compare with.",
        ),
        (
            row(twins="", missing="twin not asked"),
            f"knows it from block 3 on (62 %, chance 50 %){BEST}; its untrained twin was not asked; the text alone "
            "gives 52 % at most.",
        ),
        (
            row(twins="t-0 t-1 t-2"),
            f"knows it from block 3 on (62 %, chance 50 %){BEST}; its untrained twin, the mean of 3 draws, reaches "
            "55 % at most; the text alone gives 52 % at most.",
        ),
        (row("-", missing="too few images"), f"cannot be tested with so few images (chance 50 %){BEST}{TAIL}"),
        (
            row(top=0.83, metric="roc_auc"),
            "knows it from block 3 on (0.62, chance 0.50), best on validation in block 5 (0.81 [0.78, 0.84]), in the "
            "topmost block 0.83; its untrained twin reaches 0.55 at most; the text alone gives 0.52 at most.",
        ),
    ],
)
def test_a_row_in_words(given, says):
    assert sentence(given) == f"entailment (prompt agree): llava {says}"


@pytest.fixture
def table():
    """Two tasks; the first prompt of a task lacks a comparison, and words are no prompt that shows an image."""
    rows = [row(prompt="words", image="none"), row(prompt="bare", missing="no twin", twins=""), row(), row("3 4", "3")]
    rows[-1] |= {"task": "objects", "prompt": "a_*cue*", "best_layer": 3, "not_worse": "3 4"}
    return pd.DataFrame(rows)


def test_the_first_page_quotes_the_prompt_that_was_compared_most(table, tmp_path):
    shown = with_sentences(table)
    assert shown["first_page"].tolist() == [False, False, True, True]
    (tmp_path / "table.csv").write_text(numbers_csv(shown))
    lines = quoted(tmp_path / "table.csv")
    assert len(lines) == 2
    # Names are no markup.
    html = publish_parts("\n".join(f"- {line}" for line in lines), writer="html", settings_overrides={"halt_level": 2})
    assert "objects (prompt a_*cue*): llava knows it in block 3 only (62 %" in html["html_body"]
    assert quoted(tmp_path / "missing.csv") == []


def test_the_table_has_never_where_nothing_is_above_and_a_dash_where_nothing_was_compared(table):
    table.loc[1, ["above_chance", "above_text", "above_all"]] = ""
    table.loc[1, ["first_above_chance", "first_above_text", "first_above_all", "first"]] = None
    words, agree, objects = which_layer_sections(with_sentences(table))
    assert len(words.frame) == 2
    firsts = [f"Above {name} from" for name in ("chance", "twin", "text", "all")]
    assert agree.frame[firsts].to_numpy().tolist() == [["3"] * 4, ["never", "–", "never", "never"], ["3"] * 4]
    assert agree.frame["Score there"].tolist() == ["62.0 [58.0, 66.0]", "–", "62.0 [58.0, 66.0]"]
    assert objects.frame["Twin at most"].tolist() == ["55.0"]


def test_strips_show_what_a_layer_is_above_which_is_best_and_where_it_begins(table):
    with figure_style():
        drawing = draw_strips(table)
    entailment, objects = drawing.axes
    assert [label.get_text() for label in entailment.get_yticklabels()] == ["words", "bare", "agree"]
    shades = [box.get_facecolor() for box in objects.patches]
    names = {value.lower(): name for name, value in SHADES.items()}
    none, some, all_ = "not above chance", "above chance, but not above all", "above all"
    assert [names[to_hex(shade)] for shade in shades] == [none, none, none, all_, some, none, none]
    marks = {line.get_marker(): line for line in objects.get_lines()}
    assert marks["*"].get_xdata() == [3]
    assert marks["o"].get_xdata() == [4]
    assert (marks[">"].get_xdata(), to_hex(marks[">"].get_color())) == ([2.5], FIRST.lower())


BETTER = {"margin": 0.01, "difference": 0.05, "difference_lower": 0.02, "difference_upper": 0.08, "p_holm": 0.001}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "better by 5.0"),
        ({"difference": 0.004, "difference_upper": 0.008}, "better by 0.4, less than 1 point"),
        ({"difference": -0.05, "difference_upper": -0.02}, "worse by 5.0"),
        ({"p_holm": 0.3}, "undecided"),
        ({"p_holm": 0.3, "difference": -0.02, "difference_upper": 0.005}, "not better by 1 point"),
        ({"p_holm": 0.3, "difference_upper": 0.005, "equivalent": True}, "equal within 1 point"),
        ({"p_holm": float("nan"), "difference_upper": float("nan")}, "–"),
    ],
)
def test_table_2_says_whether_the_best_layer_is_better(changed, says):
    assert is_better({"equivalent": False} | BETTER | changed) == says
    assert [in_points(margin) for margin in (0.01, 0.005, 0.02)] == ["1 point", "0.5 points", "2 points"]


def test_draws_are_one_row_of_table_2_and_one_model_of_the_figures():
    draws = [f"twin-{k}" for k in range(3)]
    numbers = {"n_splits": 1, "selectivity": 0.1, "norm": 0.5, "within_margin": "", "split_difference": 0.0}
    numbers |= {"smallest": 0.02, "smallest_holm": 0.03, "p_value": 0.01, "n_groups": 200}
    bounds = [f"{name}_redrawn_{end}" for name in ("best", "difference") for end in ("low", "high")]
    numbers |= dict.fromkeys(bounds, float("nan"))
    rows = [ROW | BETTER | numbers | {"equivalent": False, "draw_of": "", "p_is_bound": False}]
    rows += [rows[0] | {"model": draw, "draw_of": "twin", "best": 0.5 + k / 100} for k, draw in enumerate(draws)]
    (section,) = comparison_sections(pd.DataFrame(rows).assign(split_difference_sd=0.0))
    assert section.frame["Model"].tolist() == ["llava", "twin"]
    assert section.frame["Best"].tolist() == ["81.0 [78.0, 84.0]", "51.0 (50.0 to 52.0)"]
    assert section.frame["Best layer"].tolist() == ["5 / 6", "5 / 6 (3 draws)"]

    models = {name: Model(name, "hub", "random", 4, 8) for name in ("own", *draws)}
    headline = pd.DataFrame({"model": ["own", "twin"], "draws": ["", " ".join(draws)]})
    shown = with_draws(models, headline)
    assert list(shown) == ["own", "twin"]
    assert shown["twin"].in_words == "random weights, mean of 3 draws"
    assert shown["own"].in_words == "random weights"
