"""Part of the tiny grid through a real Slurm of one node, as profiles/slurm runs it, with jobs that are killed."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.faults.reliability import fault
from tests.slurm.cluster import Cluster, what_is_missing
from tests.workflow.conftest import TINY, Project, copy_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing())),
]

# The profile as it is, but for what belongs to this cluster: no accounts, no accounting, and nothing to wait long for.
OPTIONS = ["--workflow-profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue"]
OPTIONS += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
OPTIONS += ["--set-resources", "extract_states:runtime=3*attempt"]
# Other tests run beside it, and CI may be three times as slow as a desktop.
MINUTES = 40
# A status query of the plugin begins with `scontrol show config`. It waits while a file names the process that asks.
SCONTROL = """\
#!/bin/sh
while [ "$*" = "show config" ] && [ "$(cat '{held}')" = "$PPID" ]; do
    touch '{asked}'
    sleep 0.1
done
exec {scontrol} "$@"
"""
# Tables and a figure, which all probes come before.
TARGETS = ["tables", "results/figures/entailment-by-layer.png"]
FALLING_BACK, UNANSWERED = "Falling back to 'sacct' for status queries", "Slurm does not answer"


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_llava) -> "Run":
    """Part of the tiny grid through Slurm, while one job hangs, one is cancelled, and the controller is restarted."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    config = copy.deepcopy(TINY)
    # Nothing is trained: a node of two processors would wait for it.
    del config["embedded_models"]
    config["models"] = {
        "llava": {"source": str(tiny_llava), "batch_size": 32, "shards": 2},
        "twin": {"source": str(tiny_llava), "weights": "random", "batch_size": 32, "mem_mb": 5000},
    }
    # Its one card runs one extraction at a time.
    for name in ("hypotheses", "objects"):
        del config["stimuli"][name]
    for name in ("snli-ve", "objects"):
        del config["tasks"][name]
    config["stimuli"]["captions"]["prompts"] = ["agree"]
    project.configure(config)
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        run = Run(project, cluster)
        run.to_the_end()
        yield run


class Run:
    """Snakemake beside a cluster, and what was done to its jobs."""

    def __init__(self, project: Project, cluster: Cluster):
        self.project, self.cluster = project, cluster
        self.hung = self.cancelled = self.survivor = None
        self.output = project.folder / "snakemake.log"
        self.held, self.asked = project.folder / "held", project.folder / "asked"

    def to_the_end(self) -> None:
        command = [sys.executable, "-m", "snakemake", *TARGETS, *OPTIONS, "--configfile", "tiny.yaml"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
        scontrol = self.project.folder / "bin/scontrol"
        scontrol.parent.mkdir()
        scontrol.write_text(SCONTROL.format(held=self.held, asked=self.asked, scontrol=shutil.which("scontrol")))
        scontrol.chmod(0o755)
        self.held.touch()
        environment["PATH"] = f"{scontrol.parent}:{environment['PATH']}"
        with open(self.output, "w") as output:
            snakemake = subprocess.Popen(
                command, cwd=self.project.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self.hung = self.job_of("extract_states.py", snakemake)
            # It neither ends nor fails: only its time limit can end it, which is made a minute, not to wait for long.
            for process in self.processes(self.hung):
                process.send_signal(signal.SIGSTOP)
            self.cluster.tell("scontrol", "update", f"JobId={self.hung}", "TimeLimit=1")
            self.cancelled = self.job_of("fit_probes.py", snakemake)
            self.cluster.tell("scancel", self.cancelled)
            self.survivor = self.job_of("fit_probes.py", snakemake)
            self.restart_the_controller(snakemake)
            self.code = snakemake.wait(MINUTES * 60)
        finally:
            if snakemake.poll() is None:
                self.cluster.cancel_all()
                snakemake.kill()
                snakemake.wait()
        self.jobs = self.cluster.jobs()

    def restart_the_controller(self, snakemake: subprocess.Popen) -> None:
        """Take the controller away at the first word of a status query, until that query has found no answer.

        Every job runs its program by then: one that is about to start it by srun would fail without a controller.
        """
        self.held.write_text(str(snakemake.pid))
        self.wait_until(self.asked.exists, snakemake, "Snakemake does not ask how its jobs are")
        self.cluster.let_jobs_start(False)
        self.wait_until(self.all_have_begun, snakemake, "some job never runs its program")
        self.cluster.stop_controller()
        self.held.write_text("")
        self.wait_until(
            lambda: UNANSWERED in self.output.read_text(), snakemake, "Snakemake does not say that nobody answers"
        )
        self.cluster.start_controller()
        self.cluster.let_jobs_start(True)

    def all_have_begun(self) -> bool:
        return all(
            any(_runs(process, lambda path: path.parent.name == "scripts") for process in self.processes(job))
            for job in self.cluster.jobs("RUNNING")
        )

    def wait_until(self, met: Callable[[], bool], snakemake: subprocess.Popen, complaint: str) -> None:
        deadline = time.monotonic() + MINUTES * 60
        while not met():
            if time.monotonic() > deadline or snakemake.poll() is not None:
                raise AssertionError(f"{complaint}:\n{self.output.read_text()[-5000:]}")
            time.sleep(0.2)

    def job_of(self, script: str, snakemake: subprocess.Popen) -> str:
        """The id of a job that runs a script now."""
        found = []
        self.wait_until(lambda: found.extend(self.jobs_that_run(script)) or found, snakemake, f"no job ran {script}")
        return found[0]

    def jobs_that_run(self, script: str) -> list[str]:
        return [
            job
            for job in self.cluster.jobs("RUNNING")
            if job not in (self.hung, self.cancelled)
            and any(_runs(process, lambda path: path.name == script) for process in self.processes(job))
        ]

    def processes(self, job: str) -> list[psutil.Process]:
        """A job's processes, which all have its number in their environment."""
        found = []
        for process in psutil.process_iter():
            # Some end meanwhile.
            with suppress(psutil.Error):
                if process.environ().get("SLURM_JOB_ID") == job:
                    found.append(process)
        return found

    def named(self, rule: str) -> list[dict[str, str]]:
        """The jobs of a rule, in the order in which they were sent."""
        logs = {
            word: line
            for line in self.output.read_text().splitlines()
            if "has been submitted with SLURM jobid" in line
            for word in [line.split("jobid ")[1].split()[0]]
        }
        return [job for name, job in self.jobs.items() if f"rule_{rule}/" in logs.get(name, "")]

    def table(self) -> str:
        """Every job, as Slurm tells of it."""
        told = ["JobState", "TresPerJob", "MinMemoryNode", "TimeLimit", "RunTime", "Restarts"]
        rows = []
        for name, job in self.jobs.items():
            rule = next((rule for rule in RULES if job in self.named(rule)), "")
            rows.append([name, rule, *(job.get(key, "-") for key in told)])
        columns = ["job", "rule", "state", "cards", "memory", "limit", "ran", "restarts"]
        return pd.DataFrame(rows, columns=columns).to_string(index=False)


RULES = ["make_world", "train_embedded_model", "make_stimuli", "extract_states", "fit_probes", "compare"]
RULES += ["plot_figure"]


def _runs(process: psutil.Process, wanted: Callable[[Path], bool]) -> bool:
    """Whether a part of the process's command line is the path of a wanted program."""
    try:
        return any(wanted(Path(part)) for part in process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_the_run_ends_and_nothing_is_left_to_do(run):
    print(run.table())
    assert run.code == 0, run.output.read_text()[-5000:]
    results = run.project.folder / "results"
    assert all((results.parent / TARGETS[1]).with_suffix(suffix).stat().st_size > 1000 for suffix in (".png", ".svg"))
    assert set(pd.read_parquet(results / "probes/scores.parquet")["model"]) == {"llava", "twin"}
    assert len(list((results / "states/llava").rglob("*-of-2.h5"))) == 2 * len(
        list((results / "states/twin").rglob("*.h5"))
    )
    assert run.project.planned(*TARGETS) == {}


def test_extractions_are_granted_a_card_and_probes_none(run):
    assert len(run.named("extract_states")) == 7
    assert all(job["TresPerJob"] == "gres:gpu:1" for job in run.named("extract_states"))
    # What the twin's entry says, and the least that is asked for where none does; once more for the one that hung.
    memory = sorted(round(_megabytes(job), -3) for job in run.named("extract_states"))
    assert memory.count(5000) >= 1
    assert memory.count(16000) >= 3
    assert len(run.named("fit_probes")) == 5
    assert not any("TresPerJob" in job for job in run.named("fit_probes"))
    logs = [file.read_text() for file in (run.project.folder / "logs/states").rglob("*.log")]
    assert all("CUDA_VISIBLE_DEVICES gives the cards: 0" in log for log in logs)


def test_a_job_that_hangs_is_ended_by_its_limit_and_retried_with_more(run):
    hung = run.jobs[run.hung]
    assert hung["JobState"] == "TIMEOUT"
    again = [job for job in run.named("extract_states") if job["Comment"] == hung["Comment"] and job is not hung]
    assert [job["JobState"] for job in again] == ["COMPLETED"]
    # Twice the three minutes of a first attempt.
    assert again[0]["TimeLimit"] == "00:06:00"
    assert _megabytes(again[0]) == pytest.approx(2 * _megabytes(hung), rel=0.01)


def test_a_cancelled_job_is_retried_with_more(run):
    cancelled = run.jobs[run.cancelled]
    assert cancelled["JobState"] == "CANCELLED"
    again = [job for job in run.named("fit_probes") if job["Comment"] == cancelled["Comment"] and job is not cancelled]
    assert [job["JobState"] for job in again] == ["COMPLETED"]
    assert _megabytes(cancelled) == pytest.approx(8000, rel=0.01)
    assert _megabytes(again[0]) == pytest.approx(16000, rel=0.01)
    assert again[0]["TimeLimit"] == "04:00:00"


@fault(
    "Slurm's controller does not answer when Snakemake asks for the status of its jobs",
    sees="a warning that Slurm does not answer",
    kept="all jobs, which continue; Snakemake asks again until Slurm answers",
)
def test_jobs_are_kept_when_nobody_answers_a_status_query(run):
    """Without accounting, and though asked to use squeue, the plugin asks sacct while the controller is away."""
    output = run.output.read_text()
    assert output.index(FALLING_BACK) < output.index(UNANSWERED)
    # The last jobs were followed to their end, as the first test checks; none was sent again on that account.
    assert [job["JobState"] for job in run.jobs.values()].count("COMPLETED") == len(run.jobs) - 2


def test_a_job_survives_the_controller_that_started_it(run):
    assert run.jobs[run.survivor]["JobState"] == "COMPLETED"
    assert run.jobs[run.survivor]["Restarts"] == "0"


def _megabytes(job: dict[str, str]) -> float:
    # Slurm rounds what it tells.
    size = job["MinMemoryNode"]
    return float(size[:-1]) * {"M": 1, "G": 1024}[size[-1]]
