"""What the figure and the table of parts of the test items show, and which studies have them."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex

from layerwise.compare.inputs import Task
from layerwise.compare.parts import ALL, PARTS, RIGHT, SEEN, UNSEEN, WRONG
from layerwise.errors import InputError
from layerwise.figures.drawing.style import figure_style
from layerwise.figures.drawing.test_parts import STYLES, draw_test_parts
from layerwise.figures.writing.sections import to_markdown
from layerwise.figures.writing.test_parts import test_parts_sections as sections_of
from layerwise.study import Study
from tests.conftest import REPOSITORY

TASK = Task("sides", "relations", "local", "binary", ["left-right"], ["left", "right"], "accuracy")


def value(model, prompt, layer, part):
    return 0.5 + 0.1 * ["own", "other"].index(model) + 0.05 * PARTS.index(part) + 0.01 * layer + 0.002 * len(prompt)


@pytest.fixture
def table():
    rows = []
    for model in ("own", "other"):
        for prompt, twin, parts in (("where", "words", PARTS), ("words", "", PARTS[:3]), ("said", "", PARTS[:3])):
            for layer in range(4):
                for part in parts:
                    v = value(model, prompt, layer, part)
                    row = {"model": model, "task": "sides", "prompt": prompt, "metric": "accuracy", "layer": layer}
                    row |= {"label": "left-right", "n_layers": 2, "is_best": layer == 1, "part": part, "value": v}
                    row |= {"low": v - 0.04, "high": v + 0.03, "n": 10 + PARTS.index(part), "n_groups": 9, "n_texts": 0}
                    row |= {"majority": 0.4 if part == WRONG else 0.5, "text_only_prompt": twin}
                    row["text_only"] = 0.3 + 0.1 * PARTS.index(part) if twin else np.nan
                    difference = (-0.07, -0.12, -0.02) if part == UNSEEN else (np.nan,) * 3
                    rows.append(
                        row | dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True))
                    )
    return pd.DataFrame(rows)


def test_each_part_is_a_line_of_its_facet_and_the_words_alone_a_dashed_one(table):
    with figure_style():
        drawing = draw_test_parts(table, TASK)
    bands = {band.get_suptitle().replace("\n", " "): band for band in drawing.subfigs}
    by_text = "sides, own: items whose text was seen or unseen in training"
    alone = "sides, own: items that the text alone gets wrong or right"
    assert len(bands) == 4
    assert [axes.get_title() for axes in bands[by_text].axes] == ["where", "words", "said"]
    assert [axes.get_title() for axes in bands[alone].axes] == ["where"]
    for title, parts in ((by_text, (ALL, SEEN, UNSEEN)), (alone, (ALL, WRONG, RIGHT))):
        axes = bands[title].axes[0]
        lines = {line.get_label(): line for line in axes.get_lines()}
        for part in parts:
            expected = [value("own", "where", layer, part) for layer in range(3)]
            np.testing.assert_allclose(lines[part].get_ydata(), expected)
            assert to_hex(lines[part].get_color()) == STYLES[part].colour.lower()
            if part != ALL:
                dashed = lines[f"_text only {part}"]
                np.testing.assert_allclose(dashed.get_ydata(), [0.3 + 0.1 * PARTS.index(part)] * 3)
                assert to_hex(dashed.get_color()) == STYLES[part].colour.lower()
        assert f"_text only {ALL}" not in lines
    # The majority of the part that it differs in has the part's colour.
    dotted = {
        to_hex(line.get_color()): line.get_ydata()[0]
        for line in bands[alone].axes[0].get_lines()
        if line.get_linestyle() == ":"
    }
    assert dotted == {"#444444": 0.5, STYLES[WRONG].colour.lower(): 0.4}
    assert not any(line.get_label().startswith("_text only") for line in bands[by_text].axes[1].get_lines())
    names = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert names[:5] == ["all test items", SEEN, UNSEEN, WRONG, RIGHT]


def test_a_task_without_parts_is_refused(table):
    with pytest.raises(InputError, match="`test-parts` has no part of the task other"):
        draw_test_parts(table, Task("other", "s", "local", "binary", ["a"], ["b", "c"], "accuracy"))


def test_what_the_text_alone_answers_alike_is_left_out_of_figure_and_table_with_the_reason(table):
    """Where one of its parts would have a single class, the comparison has neither."""
    by_text_alone = table["part"].isin([WRONG, RIGHT])
    # Of one of two models: its band is missing, and its row has dashes that the note explains.
    some = table[~(by_text_alone & (table["model"] == "other"))]
    with figure_style():
        bands = [band.get_suptitle().replace("\n", " ") for band in draw_test_parts(some, TASK).subfigs]
    assert bands == [
        "sides, own: items whose text was seen or unseen in training",
        "sides, own: items that the text alone gets wrong or right",
        "sides, other: items whose text was seen or unseen in training",
    ]
    section = sections_of(some)[1]
    assert section.frame["Text alone wrong"].tolist() == ["67.0 [63.0, 70.0]", "–"]
    assert "A dash: one of the two parts would have a single class" in section.note
    assert "A dash" not in sections_of(table)[1].note
    # Of all: no column is left for them.
    section = sections_of(table[~by_text_alone])[1]
    assert section.title == "sides, beside the text alone: accuracy"
    assert "one of the two parts would have a single class" in section.note
    assert section.frame.iloc[0].to_dict() == {
        **{"Model": "own", "Prompt": "where", "Best layer": "1 / 2", "All": "52.0 [48.0, 55.0]"},
        **{"Without the image": "30.0", "Majority": "50.0", "Items": "10"},
    }
    # And without unseen texts the figure gives the reason alone.
    only_all = table[(table["part"] == ALL) & (table["prompt"] == "where")]
    with figure_style():
        drawing = draw_test_parts(only_all, TASK)
    (reason,) = (text.get_text().replace("\n", " ") for text in drawing.texts)
    assert reason.startswith("sides: the items that the text alone gets wrong or right are not shown apart, because")
    assert [section.title for section in sections_of(only_all)] == ["sides, beside the text alone: accuracy"]


def test_the_table_has_the_best_layer_of_each_cell(table):
    sections = sections_of(table)
    assert [section.title for section in sections] == [
        "sides, seen and unseen texts: accuracy",
        "sides, where the text alone is wrong or right: accuracy",
    ]
    by_text, alone = (section.frame.reset_index(drop=True) for section in sections)
    assert by_text["Prompt"].tolist() == ["where", "words", "said"] * 2
    assert by_text.loc[0].tolist() == [
        *("own", "where", "1 / 2", "52.0 [48.0, 55.0]", "57.0 [53.0, 60.0]", "62.0 [58.0, 65.0]"),
        *("−7.0 [−12.0, −2.0]", "40.0 | 50.0", "50.0 | 50.0", "11 | 12"),
    ]
    assert by_text.loc[1, "Without the image"] == "–"
    assert alone["Prompt"].tolist() == ["where"] * 2
    assert alone.loc[0].tolist() == [
        *("own", "where", "1 / 2", "52.0 [48.0, 55.0]", "67.0 [63.0, 70.0]", "72.0 [68.0, 75.0]"),
        *("60.0 | 70.0", "40.0 | 50.0", "13 | 14"),
    ]
    # A cell without one of the parts, as where all texts are unseen.
    text = to_markdown("", sections_of(table[~((table["part"] == SEEN) & (table["model"] == "own"))]))
    assert re.search(r"own \| where \| 1 / 2 \| 52\.0 \[48\.0, 55\.0\] \| – \| 62\.0 \[58\.0, 65\.0\]", text)
    only_alone = table[table["part"].isin([ALL, WRONG, RIGHT])]
    assert len(sections_of(only_alone)) == 1


def test_tasks_in_parts_are_those_with_unseen_texts_or_words_that_are_read_alone():
    config: dict = {}
    for file in ("adapters", "prompts", "sources", "config"):
        config |= yaml.safe_load((REPOSITORY / f"config/{file}.yaml").read_text())
    assert Study.from_config(config).grid.tasks_in_parts() == ["entailment", "snli-ve", "snli-ve-binary"]
    # The words alone, or another wording of them, are no pair; an untrained twin's words are not scored.
    config["models"]["shapes-llava"]["prompts"] = ["caption", "agree-text-only", "statement", "no-cue"]
    config["models"]["shapes-llava-untrained"]["prompts"] = ["agree", "statement", "statement-text-only"]
    assert Study.from_config(config).grid.tasks_in_parts() == []
    config["tasks"]["snli-ve"]["split"]["unseen_texts"] = 0.3
    grid = Study.from_config(config).grid
    assert grid.tasks_in_parts() == grid.unseen_text_tasks() == ["snli-ve"]
    # A prompt that shows no text of an item reads the same for seen and unseen ones.
    config["tasks"]["objects"] |= {"knowledge": {"about": "count", "bins": 2}, "split": {"unseen_texts": 0.3}}
    assert Study.from_config(config).grid.tasks_in_parts() == ["snli-ve"]
    config["models"]["shapes-llava"]["prompts"].append("category")
    assert Study.from_config(config).grid.tasks_in_parts() == ["snli-ve", "objects"]
