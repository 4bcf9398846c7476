"""For everyone: the keyboard alone reaches and uses everything; dark and light; paper."""

import pytest

from layerwise.explore.planning import views
from tests.browser.made_up.page import contents
from tests.browser.made_up.study import SMALL
from tests.browser.reading import drawn, eventually
from tests.browser.watching import inaccessible, wait_for

# What a reader may press, as far as it can be seen. Of radio buttons the keyboard stops at one.
PRESSED = """() => {
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0;
  const all = [...document.querySelectorAll("a[href], button, select, input, summary, [tabindex]")].filter(seen);
  all.forEach((one, place) => { one.dataset.place = place; });
  return all.length;
}"""


def focus(page, selector, presses=400):
    """Press Tab until an element has the focus."""
    for _ in range(presses):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => Boolean(document.activeElement?.matches(selector))", selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")


def test_tab_comes_to_everything(page):
    wait_for(page, "layerwise.drawAll()")
    for details in page.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    count = page.evaluate(PRESSED)
    assert count > 50
    page.evaluate("document.activeElement?.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    reached = set()
    for _ in range(count + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement?.dataset.place"))
    missed = set(map(str, range(count))) - reached
    told = page.evaluate(
        "(places) => places.map((place) => document.querySelector(`[data-place='${place}']`)?.outerHTML.slice(0, 120))",
        sorted(missed),
    )
    assert not missed, told
    for details in page.locator("details").all():
        details.evaluate("(one) => { one.open = false; }")


def test_what_has_the_focus_can_be_seen(page):
    focus(page, "select[data-choice]")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_controls_are_used_by_keys(open_page):
    page = open_page()
    focus(page, '[data-choice="prompt"]')
    page.keyboard.press("ArrowDown")
    focus(page, '[data-choice="layer"]')
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    focus(page, '[data-choice="what"][value="control"]')
    page.keyboard.press("Space")

    def check():
        found = drawn(page, "curves")
        assert {row["prompt"] for row in found} == {"words-alone"}
        assert "control" in {row["what"] for row in found}
        assert "layer=1" in page.url

    eventually(check)
    focus(page, '[data-view="curves"] .legend button')
    name = page.evaluate("document.activeElement.dataset.value")
    page.keyboard.press("Enter")
    eventually(lambda: _hidden(page, name))
    # The focus stays where it was.
    assert page.evaluate("document.activeElement.dataset.value") == name
    focus(page, '[data-view="curves"] summary')
    page.keyboard.press("Enter")
    assert page.locator('[data-view="curves"] table tr').count() > 1
    # It comes near and charts are drawn: focus and press in one step.
    page.locator('[data-filter="items"]').press("ArrowDown")
    eventually(lambda: _misread(page))


def _hidden(page, name):
    assert name not in {row["model"] for row in drawn(page, "curves")}


def _misread(page):
    assert "items=misread" in page.url


def test_the_button_turns_the_page_dark_and_light(open_page):
    page = open_page(color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    before = drawn(page, "curves")
    page.locator("button.theme").click()
    assert page.evaluate("layerwise.theme()") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    eventually(lambda: _same(page, before))
    assert inaccessible(page) == []
    page.reload()
    wait_for(page, "layerwise.ready")
    assert page.evaluate("layerwise.theme()") == "dark"


def _same(page, before):
    assert drawn(page, "curves") == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_begins_as_the_system_is(open_page, scheme):
    assert open_page(color_scheme=scheme).evaluate("layerwise.theme()") == scheme


def test_paper_has_every_chart_and_no_controls(open_page):
    page = open_page(color_scheme="dark")
    page.pdf()
    charts = page.locator(".view .chart svg").evaluate_all(
        "(all) => all.map((one) => one.closest('.view').dataset.view)"
    )
    assert set(charts) == set(views(contents(SMALL)))
    page.emulate_media(media="print")
    assert not page.locator("#controls form").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
