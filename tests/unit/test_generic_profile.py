"""The scripts of profiles/generic, which stand for a scheduler: what they tell of jobs that end in each way."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import REPOSITORY

PROFILE = REPOSITORY / "profiles/generic"


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """Where jobs are sent from; nothing that works in it outlives the test."""
    yield tmp_path
    for process in processes(tmp_path):
        process.kill()


def tell(folder: Path, script: str, *arguments: str) -> str:
    command = [PROFILE / script, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def submit(folder: Path, script: str, minutes: str = "5") -> str:
    (folder / "job.sh").write_text(script)
    return tell(folder, "submit.sh", "0", "100", minutes, "1", "job.sh")


def until(met: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


def processes(folder: Path) -> list[psutil.Process]:
    """All that work in a folder."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.mark.parametrize(("script", "told"), [("sleep 0.3", "success"), ("sleep 0.3; exit 3", "failed")])
def test_a_job_runs_and_ends(folder, script, told):
    job = submit(folder, script)
    assert tell(folder, "status.sh", job) == "running"
    until(lambda: tell(folder, "status.sh", job) != "running", "the job did not end")
    assert tell(folder, "status.sh", job) == told


# A job is a shell that starts Snakemake, which starts a shell with the program in it.
@pytest.mark.parametrize("how", ["cancel", "time limit"])
def test_a_job_that_is_ended_takes_with_it_what_it_started(folder, how):
    job = submit(folder, "sleep 300 & bash -c 'sleep 300; true'; true", "5" if how == "cancel" else "0.02")
    if how == "cancel":
        until(lambda: len(processes(folder)) >= 5, "the job did not start")
        assert tell(folder, "status.sh", job) == "running"
        tell(folder, "cancel.sh", job)
    until(lambda: not processes(folder), "something works on")
    assert tell(folder, "status.sh", job) == "failed"


def test_the_profile_names_scripts_that_can_be_run():
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())
    scripts = [words.split()[0] for key, words in profile.items() if key.endswith("-cmd")]
    assert len(scripts) == 3
    assert all(os.access(REPOSITORY / script, os.X_OK) for script in scripts)
