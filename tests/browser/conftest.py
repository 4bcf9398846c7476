"""The page of a small made-up study in Chromium."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from layerwise.compare.inputs import Given
from tests.browser.chromium import chromium
from tests.browser.made_up.page import make_page
from tests.browser.made_up.study import SMALL
from tests.browser.watching import opened, wait_for, watch


@dataclass(frozen=True)
class MadePage:
    """A page, and the files that it was made from."""

    file: Path
    given: Given


# Of a test, on a machine that is busy with others. A browser that hangs ends no test.
SECONDS = 300


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> MadePage:
    return MadePage(*make_page(tmp_path_factory.mktemp("made-up"), SMALL))


# Not for the whole session: Playwright keeps an event loop, beside which other tests cannot start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser, made) -> Iterator[Callable[..., Page]]:
    """Opens a page of its own, see :func:`tests.browser.watching.opened`. What goes wrong in it fails the test."""
    with ExitStack() as stack:
        yield lambda screen="laptop", choice="", **options: stack.enter_context(
            opened(browser, made.file, screen, choice, **options)
        )


@pytest.fixture(scope="module")
def shared(browser, made) -> Iterator[tuple[Page, list[str]]]:
    """One page for the tests of a file, and the list of what goes wrong in it."""
    with opened(browser, made.file) as page:
        yield page, watch(page)


@pytest.fixture
def page(shared) -> Iterator[Page]:
    """The shared page with the choice that it begins with. What goes wrong in it fails the test."""
    found, faults = shared
    del faults[:]
    found.evaluate("history.replaceState(null, '', '#'); dispatchEvent(new HashChangeEvent('hashchange'));")
    wait_for(found, "layerwise.settled()")
    yield found
    assert not faults, "\n".join(faults)
