"""A Chromium to look at pages with: the one on the PATH, or else Debian's, which is installed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The path of the browser. Playwright's own browsers are not fetched: they would need another server.

    Raises:
        FileNotFoundError: There is none, and it cannot be installed.
    """
    if found := _on_path():
        return found
    reason = _install()
    if found := _on_path():
        return found
    raise FileNotFoundError(f"no {', '.join(NAMES)} on the PATH, and `apt-get install chromium` failed: {reason}")


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _install() -> str:
    """Install Debian's; returns why that did not work."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    # Two processes may come here at the same time: the second one waits for the first.
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    install = ["apt-get", *wait, "install", "-yq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    for command in (["apt-get", *wait, "update", "-q"], install):
        try:
            done = subprocess.run([*as_root, *command], capture_output=True, text=True, check=False)
        except OSError as error:
            return str(error)
    return done.stderr.strip().rpartition("\n")[2]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium without a window."""
    path = find_chromium()
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, nor in most containers. It opens only pages that are made here.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()
