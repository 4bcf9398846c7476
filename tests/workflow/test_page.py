"""The page of a finished study, as the workflow made it: in a browser, with the study's own numbers."""

import pandas as pd
import pytest

from tests.browser.chromium import chromium
from tests.browser.reading import choose, drawn, eventually, show_lines
from tests.browser.watching import inaccessible, opened, sideways, wait_for

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def page(finished):
    with chromium() as browser, opened(browser, finished.folder / "results/explore/index.html") as found:
        yield found


def test_everything_is_drawn_and_accessible(page):
    wait_for(page, "layerwise.drawAll()")
    assert page.locator(".view .chart svg").count() == page.locator(".view").count() > 2
    assert sideways(page) <= 0
    assert inaccessible(page) == []


@pytest.mark.parametrize("task", ["entailment", "snli-ve", "objects", "warm"])
def test_the_curves_are_the_scores(finished, page, task):
    show_lines(page, "probe", "twin")
    choose(page, "task", task)
    scores = pd.read_parquet(finished.folder / "results/probes/scores.parquet")
    scores = scores[(scores["task"] == task) & (scores["split"] == "test") & (scores["probe"] == "logistic")]
    label = "macro" if "macro" in set(scores["label"]) else scores["label"].iloc[0]
    scores = scores[scores["label"] == label]

    def check():
        rows = drawn(page, "curves")
        assert {row["task"] for row in rows} == {task}
        of_choice = scores[(scores["prompt"] == rows[0]["prompt"]) & (scores["metric"] == rows[0]["metric"])]
        numbers = ["value", "low", "high", "n", "C"]
        expected = {(row.model, row.layer): [getattr(row, name) for name in numbers] for row in of_choice.itertuples()}
        assert {(row["model"], row["layer"]): [row[name] for name in numbers] for row in rows} == expected

    eventually(check)


def test_items_have_their_pictures(page):
    picture = page.locator("#items-cards img").first
    picture.scroll_into_view_if_needed()

    def check():
        assert picture.evaluate("(image) => image.naturalWidth") > 0

    eventually(check)


def test_it_names_every_table_and_figure(finished, page):
    results = finished.folder / "results"
    tables = set(page.locator("[data-table]").evaluate_all("(all) => all.map((one) => one.dataset.table)"))
    assert tables == {file.stem for file in (results / "tables").glob("*.html")}
    assert page.locator("details.figure").count() == len(list((results / "figures").rglob("*.html")))
