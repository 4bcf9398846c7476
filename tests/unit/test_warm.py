"""Programs that are forked from a Python with imports behave as those that start from nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TELLS = """\
import json, os, sys
from layerwise import here
told = [sys.argv, os.getcwd(), sys.path[0], os.environ.get("TOLD"), sys.stdin.read(), here]
print(json.dumps(told))
print("to the other stream", file=sys.stderr)
"""


@pytest.fixture
def program(tmp_path) -> Path:
    """A program with a library of its own, whose name is that of the project's."""
    (tmp_path / "layerwise.py").write_text("here = 'its own'")
    return tmp_path / "program.py"


def both(warm: str, program: Path, code: str) -> list[subprocess.CompletedProcess[str]]:
    program.write_text(code)
    (program.parent / "elsewhere").mkdir(exist_ok=True)
    options = {"cwd": program.parent / "elsewhere", "env": os.environ | {"TOLD": "so"}, "input": "and so"}
    command = ["../program.py", "--option", "a b"]
    pythons = (sys.executable, warm)
    return [subprocess.run([python, *command], capture_output=True, text=True, **options) for python in pythons]


def test_arguments_folder_environment_streams_and_code_are_its_own(warm, program):
    cold, forked = both(warm, program, TELLS)
    assert "its own" in cold.stdout
    assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit()",
        "sys.exit(3)",
        "sys.exit('why')",
        "raise ValueError('why')",
        "os.kill(os.getpid(), 9)",
        "os._exit(4)",
    ],
)
def test_it_ends_the_same(warm, program, end):
    late = "import atexit, os, sys, threading, time\natexit.register(print, 'at exit')\n"
    late += "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
    cold, forked = both(warm, program, late + end)
    assert (forked.returncode, forked.stdout) == (cold.returncode, cold.stdout)
    assert forked.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_modules_run_and_what_it_starts_is_forked_too(warm, tmp_path):
    (tmp_path / "module.py").write_text("import sys; print(sys.argv[1:], sys.executable)")
    done = subprocess.run([warm, "-m", "module", "x"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"['x'] {warm}\n"
    done = subprocess.run([warm, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{sys.executable}\n"


def test_signals_reach_it_and_it_ends_with_the_process_that_stands_for_it(warm, program):
    program.write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    for how, status in ((signal.SIGTERM, 5), (signal.SIGKILL, -9)):
        with subprocess.Popen([warm, str(program)], stdout=subprocess.PIPE, text=True) as client:
            running = psutil.Process(int(client.stdout.readline()))
            client.send_signal(how)
            assert client.wait(60) == status
        assert not psutil.wait_procs([running], timeout=60)[1]
