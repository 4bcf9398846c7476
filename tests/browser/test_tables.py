"""Tables sort, filter, keep their first columns in view, and can be copied; they hold the numbers of the files."""

import re

import pandas as pd
import pytest

from tests.browser.reading import eventually

NAME = "table-which-layer"


@pytest.fixture
def table(page):
    """An open table."""
    details = page.locator(f'[data-table="{NAME}"]')
    details.evaluate("(one) => { one.open = true; }")
    details.locator("tbody tr").first.wait_for()
    return details


def rows(table):
    """The texts of the cells of each row that is shown."""
    return table.locator("tbody tr").evaluate_all(
        "(all) => all.map((row) => [...row.cells].map((one) => one.innerText))"
    )


def with_prompts(details):
    """Its first section with a row for each prompt."""
    return details.locator("table", has=details.page.locator("th", has_text=re.compile("^Prompt$"))).first


def test_its_numbers_are_those_of_the_file(made, table):
    found = pd.read_parquet(made.given.path("which-layer"))
    shown = [" ".join(row) for row in rows(table)]
    assert len(shown) >= len(found)
    for row in found.itertuples():
        best = f"{100 * row.best:.1f}"
        assert any(row.model in line and row.prompt in line and best in line for line in shown), (row.model, best)


def test_a_column_sorts_its_rows(table):
    section = with_prompts(table)
    before = rows(section)
    heads = section.locator("thead th")
    column = next(place for place, name in enumerate(heads.all_text_contents()) if name == "Prompt")
    for _ in range(2):
        heads.nth(column).locator("[role=button], .dt-column-order").first.click()

    def check():
        words = [row[column] for row in rows(section)]
        assert words == sorted(words, reverse=True)
        assert heads.nth(column).get_attribute("aria-sort") == "descending"

    eventually(check)
    assert sorted(before) == sorted(rows(section))


def test_words_keep_rows(table):
    table.locator("input[type=search]").fill("model-b")
    eventually(lambda: _all_have(table, "model-b"))
    assert "rows" in table.locator(".status").inner_text()
    table.locator("input[type=search]").fill("")


def _all_have(table, word):
    found = [row for row in rows(table) if len(row) > 1]
    assert found
    assert all(word in " ".join(row) for row in found)


@pytest.mark.parametrize(("button", "suffix"), [("Copy as CSV", "csv"), ("Copy as LaTeX", "tex")])
def test_it_can_be_copied(page, made, table, button, suffix):
    table.get_by_role("button", name=button).click()
    eventually(lambda: _says(table, "Copied"))
    file = next(path for path in made.given.paths("tables") if path.stem == NAME).with_suffix(f".{suffix}")
    assert page.evaluate("navigator.clipboard.readText()") == file.read_text(encoding="utf-8")


def _says(table, words):
    assert words in table.locator(".status").inner_text()


def test_first_columns_stay_in_view(open_page, made):
    page = open_page("phone")
    details = page.locator(f'[data-table="{NAME}"]')
    details.evaluate("(one) => { one.open = true; }")
    section = with_prompts(details)
    cell = section.locator("tbody tr").first.locator("th, td").first
    box = section.locator("xpath=ancestor::*[contains(concat(' ', @class, ' '), ' scroll ')][1]")
    before = cell.bounding_box()["x"]
    box.evaluate("(one) => { one.scrollLeft = 300; }")
    assert box.evaluate("(one) => one.scrollLeft") > 100
    assert cell.bounding_box()["x"] == pytest.approx(before, abs=2)
