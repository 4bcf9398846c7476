"""The first screen holds the answers: a sentence and a curve for each task, as the study's files have them."""

import pandas as pd
import pytest

from layerwise.figures.writing.which_layer import with_sentences
from tests.browser.reading import control, eventually


@pytest.fixture
def rows(made):
    """The row of each answer, by task."""
    table = with_sentences(pd.read_parquet(made.given.path("which-layer")))
    return table[table["first_page"]].drop_duplicates("task").set_index("task")


def test_every_task_is_answered_before_one_scrolls(page, rows):
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    for task, row in rows.iterrows():
        answer = page.locator(f'.answer[data-task="{task}"]')
        interval = f"{100 * row['best']:.0f} % [{100 * row['best_low']:.0f}, {100 * row['best_high']:.0f}]"
        assert interval in answer.inner_text()
        assert row["sentence"] in answer.inner_text()
        box = answer.locator("svg .line").bounding_box()
        assert box["height"] > 20
        assert box["y"] + box["height"] < 768


def test_an_answer_leads_to_its_curves(page, rows):
    page.locator('.answer[data-task="objects"] h3 a').click()

    def check():
        assert control(page, "task").input_value() == "objects"
        assert control(page, "layer").input_value() == str(rows.loc["objects", "best_layer"])

    eventually(check)
    assert "task=objects" in page.url
