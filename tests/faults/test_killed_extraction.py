"""SIGKILL in the middle of an extraction: the same command ends with the states of an undisturbed run."""

import copy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from layerwise.states.store import StatesFile
from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, Project, copy_project

STATES = "results/states/llava/captions/agree.h5"


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    """A grid with a model from a folder, and small parts, so that there is a middle to be killed in."""
    project = copy_project(tmp_path_factory.mktemp("killed"), warm)
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 1}}
    project.configure(config)
    project.snakemake(STATES)
    return project


def states(project: Project) -> np.ndarray:
    with StatesFile(project.folder / STATES) as file:
        return np.stack([file.layer("last", layer) for layer in range(len(file.layers))])


def forget(project: Project) -> None:
    """Delete the states, and the name under which they would be found by content."""
    (project.folder / STATES).unlink()
    shutil.rmtree(project.folder / "results/kept")


def start(project: Project, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", STATES, "--cores", "1", *options, "--configfile", "tiny.yaml"]
    return subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_a_part(project: Project, parent: psutil.Process) -> psutil.Process:
    """The extraction's process, once its first part is on disk."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if list((project.folder / "results/work").glob("*/rows-*.safetensors")):
            for process in parent.children(recursive=True):
                if any("extract_states.py" in part for part in process.cmdline()) and "python" in process.name():
                    return process
        time.sleep(0.002)
    raise AssertionError("the extraction did not start")


def parts(project: Project) -> list[Path]:
    return list((project.folder / "results/work").glob("*/rows-*.safetensors"))


@fault(
    "an extraction, or the Snakemake that runs it, is killed with SIGKILL",
    sees="the job fails, or Snakemake leaves a lock; run `--unlock`, then the same command",
    kept="all finished parts: only the others are made again, and the states come out the same",
)
@pytest.mark.parametrize("victim", [pytest.param("job", marks=pytest.mark.whole), "snakemake"])
def test_a_killed_extraction_is_taken_up_again(project, victim):
    undisturbed = states(project)
    forget(project)
    running = start(project)
    job = wait_for_a_part(project, psutil.Process(running.pid))
    if victim == "job":
        job.kill()
    else:
        running.kill()
        # Jobs end with the workflow that started them, although there is a shell in between.
        psutil.wait_procs([job], timeout=20)
        assert not job.is_running()
    running.wait(timeout=60)
    assert not (project.folder / STATES).exists()
    kept = {file.name: file.stat().st_mtime_ns for file in parts(project)}
    assert 0 < len(kept) < 18
    if victim == "snakemake":
        assert "cannot be locked" in project.snakemake(STATES, check=False).stderr.replace("\n", " ")
        project.snakemake("--unlock")
    project.snakemake(STATES)
    log = (project.folder / "logs/states/llava/captions/agree.log").read_text()
    assert log.count("were finished by an earlier job") == len(kept)
    assert np.array_equal(states(project), undisturbed)
    assert not parts(project)


@fault(
    "two Snakemakes are started at once in one folder, the second with `--nolock`",
    sees="without `--nolock`, a message that the folder is locked; with it, one job waits for the other",
    kept="everything: one of them runs each cell, and the other reuses the result",
)
def test_of_two_jobs_on_a_cell_one_waits(project):
    undisturbed = states(project)
    forget(project)
    first = start(project)
    job = wait_for_a_part(project, psutil.Process(first.pid))
    job.suspend()
    assert "cannot be locked" in project.snakemake(STATES, check=False).stderr.replace("\n", " ")
    second = start(project, "--nolock")
    log = project.folder / "logs/states/llava/captions/agree.log"
    deadline = time.monotonic() + 120
    # Snakemake removes the log of the run before, then the job writes its own.
    while not (log.exists() and "waiting for it" in log.read_text()):
        assert time.monotonic() < deadline, "the second does not wait"
        time.sleep(0.05)
    job.resume()
    assert first.wait(timeout=120) == 0
    assert second.wait(timeout=120) == 0
    assert "has been finished in the meantime" in log.read_text()
    assert np.array_equal(states(project), undisturbed)
    assert not parts(project)
