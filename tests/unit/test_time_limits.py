"""A test that hangs fails in time, says where, and leaves no process behind; tests that share much stay on one core."""

import os
import subprocess
import sys

import psutil

from tests.conftest import REPOSITORY
from tests.cores import LONGEST, file_of

# Waits for a program, and has started two others: one in a session of its own whose parent has ended, as jobs of a
# workflow may be, and one with an environment of its own.
HANGING = """
import subprocess, sys
from tests.time_limits import run_logged

def test_that_hangs():
    detached = "import subprocess, sys; subprocess.Popen(['sleep', 'SECONDS1'], start_new_session=True)"
    subprocess.run([sys.executable, "-c", detached], check=True)
    subprocess.Popen(["sleep", "SECONDS2"], env={})
    run_logged(["sh", "-c", "echo what it said; exec sleep SECONDS3"])

def test_after_it():
    pass
"""


def test_a_hang_is_a_failure_with_a_log_and_leaves_no_process(tmp_path):
    # Known from those of another run on this machine.
    seconds = str(100_000_000 + 10 * os.getpid())[:-1]
    (tmp_path / "test_hanging.py").write_text(HANGING.replace("SECONDS", seconds))
    command = [sys.executable, "-m", "pytest", "-p", "tests.time_limits", "--rootdir", tmp_path, "-c", os.devnull]
    # By xdist, as `make test` does.
    command += ["-n", "1", "--timeout", "1", "--timeout-method", "signal", tmp_path / "test_hanging.py"]
    done = subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout
    assert "Timeout (>1.0s)" in done.stdout
    assert "interrupted: sh -c echo what it said" in done.stdout
    assert "\nwhat it said\n" in done.stdout
    killed = done.stdout.split("left behind")[1]
    assert f"sleep {seconds}1" in killed
    assert f"sleep {seconds}2" in killed
    running = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in running if command.startswith(f"sleep {seconds}")]


def test_every_test_has_a_limit(request):
    assert float(request.config.getini("timeout")) > 0
    assert request.config.getini("timeout_method") == "signal"
    slow = [item for item in request.session.items if item.get_closest_marker("slow")]
    assert all(item.get_closest_marker("timeout") for item in slow)


def test_files_that_share_the_finished_grid_stay_on_one_core(request):
    sharing = {file_of(item.nodeid) for item in request.session.items if "finished" in item.fixturenames}
    (together,) = (files for files in LONGEST if "tests/workflow/test_whole_run.py" in files)
    assert sharing <= set(together), "list the file in tests/cores.py, or each core runs the tiny grid"


def test_files_that_take_long_are_there():
    assert all((REPOSITORY / file).is_file() for files in LONGEST for file in files)
