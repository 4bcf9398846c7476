"""Open a page and note all that a reader should never meet: errors, and requests to a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

# Width and height in pixels: two common screens and a phone.
SCREENS = {"laptop": (1366, 768), "desktop": (1920, 1080), "phone": (390, 844)}
# A machine may be busy with other tests.
TIMEOUT_MS = 60_000
LOCAL = ("file:", "data:", "blob:", "about:")


@contextmanager
def opened(browser: Browser, file: Path, screen: str = "laptop", choice: str = "", **options: Any) -> Iterator[Page]:
    """A page of a file, once the charts in view are drawn. Fails at the end if anything went wrong meanwhile.

    Args:
        browser: that opens it.
        file: of the page.
        screen: a key of SCREENS.
        choice: what stands behind the # of the address.
        options: of the browser's context, such as ``color_scheme``.
    """
    width, height = SCREENS[screen]
    # The page writes to the clipboard at a click; only a test reads it.
    options = {"permissions": ["clipboard-read", "clipboard-write"], **options}
    with browser.new_context(viewport={"width": width, "height": height}, **options) as context:
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        faults = watch(page)
        page.goto(f"{file.resolve().as_uri()}#{choice}")
        wait_for(page, "layerwise.ready")
        yield page
        assert not faults, "\n".join(faults)


def watch(page: Page) -> list[str]:
    """The list to which the faults of a page are added as they happen."""
    faults: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"console {message.type}: {message.text}")

    def asked(url: str) -> None:
        if not url.startswith(LOCAL):
            faults.append(f"request to the network: {url}")

    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(f"error in a script: {error}"))
    page.on("request", lambda request: asked(request.url))
    page.on("requestfailed", lambda request: faults.append(f"failed to load {request.url}"))
    page.on("websocket", lambda socket: asked(socket.url))
    return faults


def wait_for(page: Page, promise: str) -> None:
    """Wait for a promise of the page's scripts, whatever it holds.

    Args:
        page: the page.
        promise: layerwise.ready (the charts near the window are drawn), layerwise.settled() (those that are drawn show
            the choice) or layerwise.drawAll() (all are drawn).
    """
    page.evaluate(f"Promise.resolve({promise}).then(() => null)")


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


def inaccessible(page: Page) -> list[str]:
    """Serious and critical faults that axe-core finds."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{fault['id']} ({fault['impact']}): {fault['help']}: "
        + "; ".join(f"{node['target']} {node['html'][:150]}" for node in fault["nodes"][:5])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
