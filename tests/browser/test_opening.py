"""The page opens from a file: without errors, without a network, on every screen, in light and dark, and on paper."""

import pytest

from tests.browser.watching import SCREENS, inaccessible, sideways

MOST_BYTES = 20_000_000


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_and_is_accessible(open_page, screen, scheme):
    page = open_page(screen, color_scheme=scheme)
    assert sideways(page) <= 0
    assert inaccessible(page) == []


def test_it_is_printed_without_sideways_scrolling(open_page):
    page = open_page()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 794, "height": 1123})
    assert sideways(page) <= 0


def test_it_is_one_small_file(made):
    assert made.file.stat().st_size < MOST_BYTES
