"""Read and use a page as a reader does: what its charts draw, and its controls."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

# Vega keeps at each mark the row that it was drawn from.
ROWS = """([view, marks]) => [...document.querySelectorAll(`[data-view="${view}"] .chart svg ${marks}`)]
  .map((mark) => ({ ...mark.__data__.datum }))"""
# Not those of axes and legends.
DOTS = ".mark-symbol.role-mark path"


def drawn(page: Page, view: str, marks: str = DOTS) -> list[dict[str, Any]]:
    """The rows of the marks that a chart has drawn.

    Args:
        page: that has it.
        view: name of the chart.
        marks: a selector of their elements.
    """
    return page.evaluate(ROWS, [view, marks])


def dots(page: Page, view: str, marks: str = DOTS) -> Locator:
    return page.locator(f'[data-view="{view}"] .chart svg {marks}')


def controls(page: Page, choice: str) -> Locator:
    """The page's controls of a choice; a layer can be chosen in two places, and lines have a box each."""
    return page.locator(f'[data-choice="{choice}"]')


def control(page: Page, choice: str) -> Locator:
    """The first of them."""
    return controls(page, choice).first


def choose(page: Page, choice: str, value: str) -> None:
    """Choose a value in the page's own control."""
    control(page, choice).select_option(value)


def slide(page: Page, layer: int) -> None:
    control(page, "layer").fill(str(layer))


def show_lines(page: Page, *whats: str) -> None:
    """Tick the boxes of these lines, and no others."""
    for box in controls(page, "what").all():
        box.set_checked(box.get_attribute("value") in whats)


def tooltip(page: Page) -> str:
    """What hovering shows."""
    told = page.locator("#vg-tooltip-element.visible")
    told.wait_for()
    return told.inner_text()


def eventually(check: Callable[[], None], seconds: float = 30) -> None:
    """Wait until a check no longer fails: pages draw in their own time."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
