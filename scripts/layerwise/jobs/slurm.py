"""Keep Snakemake's Slurm plugin from waiting forever.

The plugin (snakemake-executor-plugin-slurm 2.8) asks Slurm for its jobs' states every 20 to 180 seconds. Two kinds
of answer make it wait forever:

- No answer. It drops all its jobs and never asks about them again. Five failed queries in a row are enough, within a
  second. Without accounting one is enough: while the controller is away, the plugin cannot read ``MinJobAge``, so it
  uses ``sacct`` instead of the ``squeue`` that it was told to use, and ``sacct`` fails.
- An answer without a job. Without accounting, Slurm forgets a job ``MinJobAge`` seconds after its end.
"""

import shlex
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

# (command, logger) -> states by job id, or None; seconds that the query took.
Query = Callable[[str, Any], Awaitable[tuple[dict[str, str] | None, float]]]

# As squeue prints them. A job in any other state has not ended.
ENDED = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}


def keep_asking(plugin: ModuleType) -> None:
    """Replace the plugin's status query with one that always answers.

    If accounting does not answer, the controller is asked. If neither answers, the plugin gets no states and asks again
    later. A job that the controller once listed and that two answers in a row leave out counts as ``UNKNOWN``:
    Snakemake then looks for its outputs, and fails the job if they are missing.
    """
    ask: Query = plugin.query_job_status
    # Jobs that the controller listed and that have not ended: how many answers in a row have left each out.
    absent: dict[str, int] = {}

    async def query_job_status(command: str, logger: Any) -> tuple[dict[str, str], float]:
        states, seconds = await ask(command, logger)
        if states is None and not command.startswith("squeue"):
            run = shlex.split(command)[-1]
            command = plugin.query_job_status_squeue(run)
            states, seconds = await ask(command, logger)
        if states is None:
            logger.warning("Slurm does not answer. Its jobs are kept, and it will be asked again.")
            return {}, 0.0
        if command.startswith("squeue"):
            absent.update({job: 0 if job in states else times + 1 for job, times in absent.items()})
            absent.update(dict.fromkeys(states, 0))
            forgotten = [job for job, times in absent.items() if times == 2]
            for job in forgotten + [job for job, state in states.items() if state in ENDED]:
                del absent[job]
            if forgotten:
                logger.warning(
                    f"Slurm no longer knows {', '.join(forgotten)}: their outputs show whether they ended well. "
                    "Ask for a MinJobAge of 300 or more."
                )
            states |= dict.fromkeys(forgotten, "UNKNOWN")
        return states, seconds

    # setattr, because mypy knows no attributes of a ModuleType.
    setattr(plugin, "query_job_status", query_job_status)  # noqa: B010
