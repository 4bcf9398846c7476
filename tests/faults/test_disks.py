"""A disk under the results that is full, or may only be read."""

import copy
import subprocess
from pathlib import Path

import pytest

from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, Project, copy_project

pytestmark = pytest.mark.slow

STATES = "{results}/states/llava/own/describe.h5"
SCORES = "{results}/probes/llava/warm/describe.scores.parquet"


@pytest.fixture
def project(tmp_path, small_disk, tiny_llava, warm) -> Project:
    """A grid whose results lie on the small disk."""
    project = copy_project(tmp_path / "project", warm)
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 1}}
    config["stimuli"] = {"own": config["stimuli"]["own"]}
    config["tasks"] = {"warm": config["tasks"]["warm"]}
    config["pathvars"] = {"results": str(small_disk)}
    project.configure(config)
    return project


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def leave(disk: Path, kilobytes: int) -> None:
    """Shrink a disk to what lies on it and a little room."""
    used = subprocess.run(["df", "--output=used", "-k", disk], check=True, capture_output=True, text=True).stdout
    remount(disk, f"size={int(used.split()[-1]) + kilobytes}k")


def failure(project: Project, target: str) -> str:
    done = project.snakemake(target, check=False)
    assert done.returncode
    error = done.stdout + done.stderr
    assert "Traceback" not in error, error
    assert "Segmentation fault" not in error
    return error


@fault(
    "the results' disk fills up while an extraction writes shards or the finished file",
    sees="one error that names the file and says that the disk is full",
    kept="finished shards and all finished cells; with more room, the same command continues",
)
# Room for a few shards; for all of them, but not for the file that is made of them.
@pytest.mark.parametrize("kilobytes", [400, 900])
def test_a_full_disk_during_extraction(project, small_disk, kilobytes):
    states = STATES.format(results=small_disk)
    remount(small_disk, "size=10m")
    project.snakemake(next(iter(stimuli_of(project))), next(iter(models_of(project))))
    leave(small_disk, kilobytes)
    assert ": the disk (or your quota on it) is full; nothing that was finished is lost" in failure(project, states)
    assert not Path(states).exists()
    kept = {shard.name: shard.stat().st_mtime_ns for shard in small_disk.glob("work/*/rows-*.safetensors")}
    assert kept
    assert not list(small_disk.rglob(".*.partial*"))
    remount(small_disk, "size=10m")
    project.snakemake(states)
    log = (project.folder / "logs/states/llava/own/describe.log").read_text()
    if kilobytes == 400:
        assert log.count("were finished by an earlier job") == len(kept)
    else:
        # All are there: they are put together, and nothing is run.
        assert "its shards were" in log
        assert "loaded the model" not in log


@fault(
    "the results' disk is full while probes are fitted",
    sees="one error that names the file and says that the disk is full",
    kept="hidden states and all finished cells; with more room, the same command continues",
)
def test_a_full_disk_during_probing(project, small_disk):
    states, scores = Path(STATES.format(results=small_disk)), SCORES.format(results=small_disk)
    remount(small_disk, "size=10m")
    project.snakemake(str(states), f"{small_disk}/tasks/warm/task.json")
    before = states.stat()
    leave(small_disk, 8)
    assert "the disk (or your quota on it) is full; nothing that was finished is lost" in failure(project, scores)
    assert not list(small_disk.rglob("*.parquet*partial*"))
    remount(small_disk, "size=10m")
    project.snakemake(scores)
    assert states.stat().st_mtime_ns == before.st_mtime_ns


@fault(
    "the results' disk is read-only",
    sees="one error that names the folder, before the first job",
    kept="all finished work; once the disk is writable again, the same command continues",
)
def test_a_disk_that_may_only_be_read(project, small_disk):
    states, scores = Path(STATES.format(results=small_disk)), SCORES.format(results=small_disk)
    remount(small_disk, "size=10m")
    project.snakemake(str(states))
    before = states.read_bytes()
    remount(small_disk, "ro")
    try:
        error = failure(project, scores)
        # What is finished may be looked at there.
        assert project.planned(scores) == {"make_task": 1, "fit_probes": 1}
    finally:
        remount(small_disk, "rw")
    assert error.count("Error") == 1
    assert (
        f"\n{small_disk}: the disk may only be read; nothing that was finished is lost: mend that and run the same "
        "command again, or set pathvars.results to another folder\n"
    ) in error
    project.snakemake(scores)
    assert states.read_bytes() == before


def planned_files(project: Project, end: str) -> list[str]:
    summary = project.snakemake("--summary").stdout
    return [line.split("\t")[0] for line in summary.splitlines() if line.split("\t")[0].endswith(end)]


def stimuli_of(project: Project) -> list[str]:
    return planned_files(project, "stimuli.json")


def models_of(project: Project) -> list[str]:
    return planned_files(project, "model.json")
