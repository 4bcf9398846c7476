"""Every chart of the catalogue: it draws rows of the choice, hovering tells numbers, and a click chooses."""

import pytest

from layerwise.explore.catalogue import VIEWS
from layerwise.explore.planning import views
from tests.browser.made_up.page import contents
from tests.browser.made_up.study import SMALL
from tests.browser.reading import control, drawn, eventually, tooltip
from tests.browser.watching import wait_for

NAMES = [name for name in views(contents(SMALL)) if name != "curves"]
# Marks that stand for one row each.
MARKS = ":is(.mark-symbol, .mark-rect).role-mark path"


def test_the_made_up_study_has_every_chart():
    assert set(NAMES) == set(VIEWS) - {"curves"}


@pytest.fixture(scope="module")
def rows(made):
    """By chart all of its rows, made from the study's files."""
    return {name: VIEWS[name].rows(made.given) for name in NAMES}


def marks_of(page, name):
    return page.locator(f'[data-view="{name}"] .chart svg {MARKS}')


def see(page, name):
    """Scroll a chart into view, and wait until it is drawn."""
    page.locator(f'[data-view="{name}"]').scroll_into_view_if_needed()
    marks_of(page, name).first.wait_for(state="attached")
    wait_for(page, "layerwise.settled()")


def word(value):
    """A value as it is compared; the page has null for what is missing."""
    return "" if value is None or value != value else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_rows_of_the_files(page, rows, name):
    """Each mark that stands for a row is one of the table, with every number as it is there."""
    see(page, name)
    table = rows[name]
    found = [row for row in drawn(page, name, MARKS) if 2 * len(row.keys() & set(table)) > len(table.columns)]
    assert found
    columns = [column for column in table if all(column in row for row in found)]
    numbers = [column for column in columns if table[column].dtype.kind == "f"]
    words = [column for column in columns if table[column].dtype.kind not in "fb"]
    known = {}
    for row in table.to_dict("records"):
        known.setdefault(tuple(word(row[column]) for column in words), []).append(row)
    for row in found:
        same = known[tuple(word(row[column]) for column in words)]
        assert any(
            all(row[column] is None or row[column] == pytest.approx(one[column], rel=1e-12) for column in numbers)
            for one in same
        ), row


@pytest.mark.parametrize("name", [name for name in NAMES if "prompt" in VIEWS[name].follows])
def test_it_follows_the_choice(page, name):
    see(page, name)
    assert {row["prompt"] for row in drawn(page, name, MARKS) if "prompt" in row} == {"agree"}
    control(page, "prompt").select_option("caption")

    def check():
        assert {row["prompt"] for row in drawn(page, name, MARKS) if "prompt" in row} == {"caption"}

    eventually(check)


@pytest.mark.parametrize("name", NAMES)
def test_hovering_tells_its_numbers(page, name):
    see(page, name)
    marks_of(page, name).first.hover(force=True)
    assert any(character.isdigit() for character in tooltip(page))


@pytest.mark.parametrize("name", [name for name in NAMES if "layer" in VIEWS[name].picks.values()])
def test_a_click_chooses_its_layer(page, name):
    see(page, name)
    field = next(field for field, choice in VIEWS[name].picks.items() if choice == "layer")
    found = drawn(page, name, MARKS)
    chosen = control(page, "layer").input_value()
    place = next(i for i, row in enumerate(found) if field in row and str(row[field]) != chosen and row[field] > 0)
    marks_of(page, name).nth(place).click(force=True)

    def check():
        assert control(page, "layer").input_value() == str(int(found[place][field]))

    eventually(check)
