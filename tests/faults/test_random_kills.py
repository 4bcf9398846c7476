"""Kills at random moments of a whole run: the same command again ends with the scores of an undisturbed one."""

import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from layerwise.states.store import StatesFile
from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, Project, copy_project

pytestmark = pytest.mark.slow

TRIALS = 20
# The first of them are each victim and signal once; the others are left to `make test-all`.
EACH_WAY = 4
# Of a trial, to kill a run before it ends.
TRIES = 5
STATES = "results/states/llava/own/describe.h5"
MADE = ("results", "logs", ".snakemake")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    """The smallest grid that goes from pictures to figures and tables."""
    project = copy_project(tmp_path_factory.mktemp("random-kills"), warm)
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 1}}
    config["stimuli"] = {"own": config["stimuli"]["own"]}
    config["tasks"] = {"warm": config["tasks"]["warm"] | {"question": "global"}}
    config["probes"]["controls"] = {"random_labels": 0, "description_length": False}
    config["states"] = {"positions": ["last"]}
    project.configure(config)
    return project


def start(project: Project) -> subprocess.Popen:
    # What is killed starts from nothing, as a user starts it.
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml"]
    return subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def outcome(project: Project) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    """States, scores, and the names of all figures and tables."""
    with StatesFile(project.folder / STATES) as file:
        states = np.stack([file.layer("last", layer) for layer in range(len(file.layers))])
    results = project.folder / "results"
    shown = sorted(path.name for kind in ("figures", "tables") for path in (results / kind).iterdir())
    return states, pd.read_parquet(results / "probes/scores.parquet"), shown


@pytest.fixture(scope="module")
def undisturbed(project) -> tuple[float, tuple]:
    """The seconds of a run that nobody kills, and its outcome."""
    begin = time.monotonic()
    assert start(project).wait() == 0
    return time.monotonic() - begin, outcome(project)


def jobs_of(workflow: psutil.Process) -> list[psutil.Process]:
    """The running programs of a workflow, without the shells around them."""
    found = []
    for process in workflow.children(recursive=True):
        try:
            if "python" in process.name() and any(f"{os.sep}scripts{os.sep}" in part for part in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_at_random(project: Project, chance: random.Random, seconds: float, victim: str, how: signal.Signals) -> None:
    """Start from nothing, and kill the run or one of its jobs at a random moment of the seconds that it should take.

    A run that was quicker than that ended well, and says nothing: it is started again, to be killed at half the time.
    """
    for _ in range(TRIES):
        for folder in MADE:
            shutil.rmtree(project.folder / folder, ignore_errors=True)
        running = start(project)
        workflow = psutil.Process(running.pid)
        time.sleep(chance.uniform(0.1, 0.9) * seconds)
        jobs, sent = [], False
        while running.poll() is None:
            # Every job that is asked for at a moment between two jobs is the next one.
            jobs = jobs_of(workflow)
            if victim == "snakemake" or jobs:
                # What has just ended cannot be killed, and shows below.
                with suppress(psutil.NoSuchProcess):
                    (workflow if victim == "snakemake" else chance.choice(jobs)).send_signal(how)
                    sent = True
                break
            time.sleep(0.01)
        ended = running.wait(timeout=120)
        # Jobs end with the workflow that started them: nothing works on in the dark.
        _, alive = psutil.wait_procs(jobs, timeout=20)
        assert not alive
        if sent and ended != 0:
            return
        assert ended == 0, "the run failed by itself"
        seconds /= 2
    raise AssertionError(f"{TRIES} runs ended well before they were killed")


@fault(
    "a job, or Snakemake itself, is killed (SIGKILL, SIGTERM) at a random moment",
    sees="the job fails, or Snakemake leaves a lock; run `--unlock` if needed, then the same command",
    kept="all finished work; scores and states come out equal to those of an undisturbed run",
)
@pytest.mark.parametrize("seed", [pytest.param(i, marks=[pytest.mark.whole] * (i >= EACH_WAY)) for i in range(TRIALS)])
def test_a_killed_run_ends_as_one_that_was_not(project, undisturbed, seed):
    seconds, (states, scores, shown) = undisturbed
    victim = ("job", "snakemake")[seed % 2]
    how = (signal.SIGKILL, signal.SIGTERM)[seed // 2 % 2]
    kill_at_random(project, random.Random(seed), seconds, victim, how)

    if victim == "snakemake" and how == signal.SIGKILL:
        project.snakemake("--unlock")
    project.snakemake()
    again = outcome(project)
    assert np.array_equal(again[0], states)
    pd.testing.assert_frame_equal(again[1], scores)
    assert again[2] == shown
    assert project.planned() == {}
    assert leftovers(project.folder / "results") == []


def leftovers(folder: Path) -> list[Path]:
    """What a killed job left and the next one should have taken up or away. What pictures look like is kept."""
    of_cells = (path for path in folder.glob("work/*/*") if path.parent.name != "pictures")
    return [*folder.rglob("*.partial*"), *of_cells]
