"""What keeps Snakemake's plugin for Slurm from waiting for good.

The plugin (snakemake-executor-plugin-slurm 2.8) asks Slurm every 20 to 180 seconds how its jobs are. After two kinds of
answer it waits for good:

- None. It drops all its jobs and never asks after them again. Five failed queries in a row are enough, within a second.
  Without accounting one is enough: while the controller is away, the plugin cannot read ``MinJobAge``, so it takes
  ``sacct`` in place of the ``squeue`` that it was told to take, and ``sacct`` fails.
- One that leaves a job out. Without accounting, Slurm forgets a job ``MinJobAge`` seconds after its end.
"""

import shlex
from types import ModuleType
from typing import Any

# As squeue prints them; a job in any other state has not ended.
ENDED = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}


def keep_asking(plugin: ModuleType) -> None:
    """Replace the plugin's status query by one that always answers.

    Where accounting does not answer, the controller is asked. Where neither does, nothing is said of any job, and the
    plugin asks again later. A job that the controller has listed and that two answers in a row leave out is said to be
    ``UNKNOWN``: Snakemake then looks for its outputs, and fails the job if they are not there.
    """
    ask = plugin.query_job_status
    # Jobs that the controller listed and that have not ended, and how many answers in a row have left them out.
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

    plugin.query_job_status = query_job_status
