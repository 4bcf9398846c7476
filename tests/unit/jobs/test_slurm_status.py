"""What Snakemake's plugin for Slurm hears of its jobs. Slurm's commands are scripts that print what Slurm 22.05 did."""

import asyncio
import logging
import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin

from layerwise.jobs.slurm import keep_asking
from tests.faults.reliability import fault

AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
NO_ACCOUNTING = "echo 'Slurm accounting storage is disabled' >&2; exit 1"


@pytest.fixture
def told(tmp_path, monkeypatch) -> Callable[..., dict[str, str]]:
    """What the mended query says when Slurm's commands do what a test says."""
    mended = SimpleNamespace(
        query_job_status=plugin.query_job_status, query_job_status_squeue=plugin.query_job_status_squeue
    )
    keep_asking(mended)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def ask(by: str, squeue: str, sacct: str = NO_ACCOUNTING) -> dict[str, str]:
        for name, script in (("squeue", squeue), ("sacct", sacct)):
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        query = getattr(plugin, f"query_job_status_{by}")("a-run")
        states, seconds = asyncio.run(mended.query_job_status(query, logging.getLogger()))
        assert seconds >= 0
        return states

    return ask


@pytest.mark.parametrize("by", ["squeue", "sacct"])
def test_no_answer_is_no_news_of_any_job(told, by, caplog):
    assert told(by, squeue="printf '1|RUNNING\n2|RUNNING\n'") == {"1": "RUNNING", "2": "RUNNING"}
    for _ in range(3):
        assert told(by, squeue=AWAY) == {}
    assert caplog.text.count("Slurm does not answer") == 3
    assert told(by, squeue="printf '1|COMPLETED\n2|RUNNING\n'") == {"1": "COMPLETED", "2": "RUNNING"}


def test_accounting_is_believed_where_it_answers(told):
    assert told("sacct", squeue=AWAY, sacct="echo '1|FAILED'") == {"1": "FAILED"}
    # It hears of a new job only after a while.
    for _ in range(3):
        assert told("sacct", squeue=AWAY, sacct="true") == {}


@fault(
    "Slurm without accounting forgets a job before Snakemake has asked how it ended",
    sees="a warning that names the job; if its outputs are missing, the job counts as failed",
    kept="the job's outputs, if they exist",
)
def test_a_job_that_slurm_has_forgotten_is_judged_by_its_outputs(told, caplog):
    assert told("squeue", squeue="printf '1|RUNNING\n2|RUNNING\n3|COMPLETED\n'")["1"] == "RUNNING"
    assert told("squeue", squeue="echo '2|RUNNING'") == {"2": "RUNNING"}
    assert told("squeue", squeue=AWAY) == {}
    assert told("squeue", squeue="echo '2|RUNNING'") == {"1": "UNKNOWN", "2": "RUNNING"}
    assert "Slurm no longer knows 1: " in caplog.text
    assert told("squeue", squeue="echo '2|RUNNING'") == {"2": "RUNNING"}
    # Left out twice, but not in a row.
    assert told("squeue", squeue="true") == {}
    assert told("squeue", squeue="echo '2|RUNNING'") == {"2": "RUNNING"}
    assert told("squeue", squeue="true") == {}
