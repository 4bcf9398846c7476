"""Weights are loaded once for several prompts, and each cell stays a job of its own."""

import copy
import json
import os
import re
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

PROMPTS = ["describe", "colour", "warmth"]
# Said once for each cell that a model is run over.
RUN = "hooks, position last"


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava) -> Project:
    """Two stimulus sets with three prompts each, of one model, run on one core."""
    project = copy_project(tmp_path_factory.mktemp("one-load"))
    rows = (project.folder / "own/colours.csv").read_text().splitlines(keepends=True)
    (project.folder / "own/half.csv").write_text("".join(rows[:41]))
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 1}}
    config["prompts"] = {"table": {"colour": {"text": "What colour is it?"}, "warmth": {"text": "Is it warm?"}}}
    own = TINY["stimuli"]["own"] | {"prompts": PROMPTS}
    config["stimuli"] = {"own": own, "half": own | {"file": "own/half.csv"}}
    config["tasks"] = {"warm": TINY["tasks"]["warm"], "half": TINY["tasks"]["warm"] | {"stimuli": "half"}}
    project.configure(config)
    project.config = config
    project.snakemake("states", "--cores", "1")
    return project


def states(project: Project) -> dict[str, np.ndarray]:
    """The states of each cell by its file, at all layers."""
    found = {}
    for path in sorted((project.folder / "results/states/llava").rglob("*.h5")):
        with StatesFile(path) as file:
            layers = [file.layer("last", layer) for layer in range(len(file.layers))]
        found["/".join(path.parts[-2:])] = np.stack(layers)
    return found


def forget(project: Project) -> None:
    for folder in ("states", "kept", "work"):
        shutil.rmtree(project.folder / "results" / folder)


def logged(project: Project) -> str:
    return "".join(file.read_text() for file in sorted((project.folder / "logs/states").rglob("*.log")))


def test_one_core_loads_once_and_gives_the_numbers_of_separate_jobs(project):
    assert logged(project).count("loaded the model") == 1
    assert logged(project).count(RUN) == 6
    together = states(project)
    assert len(together) == 6
    assert [file.name for file in (project.folder / "results/work").iterdir() if file.is_dir()] == ["pictures"]
    # One of them alone, outside any workflow.
    logs = (project.folder / "logs/states/llava/own").glob("*.log")
    prompt = next(log.stem for log in logs if RUN not in log.read_text())
    results = project.folder / "results"
    (model,) = results.glob("models/llava/*/model.json")
    (stimuli,) = results.glob("stimuli/own/*/stimuli.json")
    with StatesFile(results / f"states/llava/own/{prompt}.h5") as file:
        cell = json.dumps({key: value for key, value in file.cell.items() if not key.endswith("_digest")})
    out = project.folder / "alone.h5"
    command = [sys.executable, project.folder / "scripts/extract_states.py", "--model", model, "--cell", cell]
    command += ["--stimuli", stimuli.parent, "--batch-size", "1", "--threads", "1", "--work", project.folder / "alone"]
    environment = {key: value for key, value in os.environ.items() if key != "WORKFLOW_PID"}
    subprocess.run(list(map(str, [*command, "--out", out])), cwd=project.folder, env=environment, check=True)
    with StatesFile(out) as file:
        alone = np.stack([file.layer("last", layer) for layer in range(len(file.layers))])
    assert np.array_equal(alone, together[f"own/{prompt}.h5"])


def test_another_prompt_runs_that_prompt_alone(project):
    config = copy.deepcopy(project.config)
    config["prompts"]["table"]["size"] = {"text": "How large is it?"}
    config["stimuli"]["own"]["prompts"] = [*PROMPTS, "size"]
    project.configure(config)
    try:
        assert project.planned("states") == {"extract_states": 1}
    finally:
        project.configure(project.config)


@pytest.mark.slow
def test_two_cores_load_twice_at_most_and_run_each_cell_once(project):
    together = states(project)
    forget(project)
    project.snakemake("states", "--cores", "2")
    assert logged(project).count("loaded the model") <= 2
    assert logged(project).count(RUN) == 6
    assert all(np.array_equal(again, together[cell]) for cell, again in states(project).items())


@fault(
    "an extraction is killed while it continues with other prompts of its model",
    sees="the job fails; run the same command again",
    kept="its own states, the other cells that it finished, and the finished shards of the current cell",
)
@pytest.mark.slow
def test_killed_in_the_second_cell(project):
    together = states(project)
    forget(project)
    command = [sys.executable, "-m", "snakemake", "states", "--cores", "1", "--configfile", "tiny.yaml"]
    running = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = wait_for_the_second_cell(project, psutil.Process(running.pid))
    job.kill()
    running.wait(timeout=120)
    assert not states(project)
    project.snakemake("states", "--cores", "1")
    # The first cell was whole: its job puts it together and loads nothing.
    assert logged(project).count("loaded the model") == 1
    assert logged(project).count(RUN) == 5
    # Of the second cell no finished shard is made again.
    assert re.search(r"rows \d+ to \d+ were finished by an earlier job", logged(project))
    assert all(np.array_equal(again, together[cell]) for cell, again in states(project).items())
    assert len(states(project)) == 6


@fault(
    "Snakemake is told to stop (SIGTERM, or its own Ctrl-C) while an extraction continues with other prompts",
    sees="it waits for the job, which ends after its current cell; run the same command again",
    kept="the states of the job, and all cells that it continued with",
)
@pytest.mark.slow
def test_stopped_in_the_second_cell(project):
    together = states(project)
    forget(project)
    shutil.rmtree(project.folder / "logs/states")
    command = [sys.executable, "-m", "snakemake", "states", "--cores", "1", "--configfile", "tiny.yaml"]
    running = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = wait_for_the_second_cell(project, psutil.Process(running.pid))
    job.suspend()
    running.terminate()
    deadline = time.monotonic() + 60
    while list((project.folder / "results/work").glob("planned-*")):
        assert time.monotonic() < deadline, "the job goes on with all others"
        time.sleep(0.02)
    job.resume()
    running.wait(timeout=120)
    assert len(states(project)) == 1
    assert logged(project).count(RUN) == 2
    project.snakemake("states", "--cores", "1")
    assert logged(project).count(RUN) == 6
    assert all(np.array_equal(again, together[cell]) for cell, again in states(project).items())


def wait_for_the_second_cell(project: Project, parent: psutil.Process) -> psutil.Process:
    """The process of the extraction, once it has shards of two cells on disk."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        shards: list[Path] = list((project.folder / "results/work").glob("*/rows-*.safetensors"))
        if len({file.parent for file in shards}) > 1:
            for process in parent.children(recursive=True):
                if "python" in process.name() and any("extract_states.py" in part for part in process.cmdline()):
                    return process
        time.sleep(0.002)
    raise AssertionError("no job went on with another cell")
