"""benchmarks/gpu.sh on tiny shapes and without a GPU: it outlives a section that takes its process with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def run(folder: Path, used: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The program with a benchmark ``used`` of ours, which one section runs."""
    shutil.copytree(REPOSITORY / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    (folder / "benchmarks/used.py").write_text(used)
    environment = os.environ | {"OUT_DIR": str(folder / "out"), "PYTHON": sys.executable}
    command = ["bash", folder / "benchmarks/gpu.sh", "--small", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("only", [("--only", "graphs"), pytest.param((), marks=pytest.mark.whole)], ids=str)
def test_it_can_be_rehearsed(tmp_path, only):
    environment = os.environ | {"OUT_DIR": str(tmp_path), "PYTHON": sys.executable}
    command = ["bash", REPOSITORY / "benchmarks/gpu.sh", "--small", *only]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_sections_behind_one_that_crashes_still_run(tmp_path):
    crash = "import os\ndef main_gpu(shape, device, rounds):\n    print('before', shape.width)\n    os._exit(7)\n"
    done = run(tmp_path, crash, "--only", "used", "compiled")
    assert done.returncode == 1, done.stderr
    page = (tmp_path / "out/results.md").read_text()
    assert "before 128" in page
    assert "its process ended with status 7" in page
    # The section after it, from another process.
    assert page.index("status 7") < page.index("| compiled |")
    assert page.strip().endswith(done.stdout.strip()[-200:])
    records = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert {"section": "used", "what": "failed"}.items() <= records[0].items()
    assert {"plain", "compiled"} < {record["what"] for record in records if record["section"] == "compiled"}


@pytest.mark.slow
def test_a_section_that_hangs_is_ended_with_the_time(tmp_path):
    hang = "import time\ndef main_gpu(shape, device, rounds):\n    print('begun', flush=True)\n    time.sleep(600)\n"
    done = run(tmp_path, hang, "--only", "used", "compiled", "--seconds", "18")
    assert done.returncode == 1, done.stderr
    page = (tmp_path / "out/results.md").read_text()
    assert "begun" in page
    assert "its limit or the end of the whole time" in page
    assert page.count("not begun: the time was over") == 1
