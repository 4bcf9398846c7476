"""A test that runs out of time fails with a log and leaves no process behind; a pytest plugin.

The limits are in pyproject.toml and here. pytest-timeout interrupts the test by a signal, so that fixtures clean up. A
process that the test started may have outlived its parent by then (Snakemake's jobs do), so processes are also found by
their environment: pytest names the running test in ``PYTEST_CURRENT_TEST``, and children inherit it.
"""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

# Seconds for a test marked `slow` that has no limit of its own. CI may be three times as slow as a desktop.
SLOW = 2700
# In the environment of all that is started here: two runs may be at the same test on one machine.
RUN, THIS_RUN = "LAYERWISE_TEST_RUN", uuid.uuid4().hex


def pytest_configure():
    os.environ[RUN] = THIS_RUN


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]):
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if call.excinfo is not None and str(call.excinfo.value).startswith("Timeout (>"):
        ended = end_processes(f"{item.nodeid} ({call.when})", since=call.start)
        report.sections.append(("Processes that the test left behind, now killed", "\n".join(ended) or "none"))
    return report


def end_processes(test: str, since: float) -> list[str]:
    """Kill what a phase of a test started and left; return the command lines."""
    ended = []
    # Again, until a look finds none: what is killed may have started another in the meantime.
    while found := [process for process in psutil.process_iter() if _belongs(process, test, since)]:
        for process in found:
            try:
                ended.append(" ".join(process.cmdline())[:300])
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, timeout=10)
    return ended


def _belongs(process: psutil.Process, test: str, since: float) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
        # An environment of its own may name neither: what this process started then is found as its child.
        named = environment.get(RUN) == THIS_RUN and environment.get("PYTEST_CURRENT_TEST") == test
        # Linux tells when a process began to within a second.
        return named or (process.create_time() > since - 1 and os.getpid() in map(_pid, process.parents()))
    except psutil.Error:
        return False


def _pid(process: psutil.Process) -> int:
    return process.pid


def run_logged(command: Sequence[str], **options) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` with captured output, which is printed should the test be interrupted meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with open(out, "w") as stdout, open(err, "w") as stderr:
            try:
                done = subprocess.run(command, stdout=stdout, stderr=stderr, check=False, **options)
            except BaseException:
                print(f"interrupted: {' '.join(command)}", out.read_text(), err.read_text(), sep="\n", file=sys.stderr)
                raise
        return subprocess.CompletedProcess(command, done.returncode, out.read_text(), err.read_text())
