"""Whether a study is finished, and whether its results are those of the config and the code as they are now."""

import logging
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from layerwise.errors import InputError
from layerwise.publish.tables import estimates_file, is_probed, planned_tables
from layerwise.results import check_there
from layerwise.study import Study
from layerwise.workflow_folder import WORKFLOW

log = logging.getLogger(__name__)

JOBS = re.compile(r"^([\w-]+) +(\d+)$", re.MULTILINE)
# The last line of the table of jobs.
TOTAL = "total"


def check_finished(study: Study) -> None:
    """Refuse a study that is not finished, or whose results are older than its config or code.

    Raises:
        InputError: naming what is missing or would be made again, and the command that does so.
    """
    grid = study.grid
    tables = [study.gathered_file(name) for name in planned_tables(study)]
    if not tables:
        raise InputError("there is nothing to publish: the study names no `tasks`")
    needed = [study.model_file(model) for model in study.config.models]
    needed += [f"{study.stimuli_folder(stimuli)}/stimuli.json" for stimuli in grid.used_stimuli()]
    needed += [f"{study.task_folder(task)}/task.json" for task in study.config.tasks if is_probed(study, task)]
    for cell in grid.probe_cells():
        needed += [study.predictions_file(cell), *([study.probes_file(cell)] if study.config.probes.keep else [])]
    needed += [estimates_file(study, cell) for cell in grid.number_cells()]
    try:
        check_there(map(Path, [*needed, *tables]), study.command("all"))
        if study.config.probes.keep:
            for cell in grid.probe_cells():
                study.probe(*cell, 0)
    except InputError as error:
        raise InputError(f"the study is not finished: {error}") from error
    check_plan(study)


def _targets(study: Study) -> list[str]:
    return [os.path.relpath(study.gathered_file(name), study.directory) for name in planned_tables(study)]


def check_plan(study: Study) -> None:
    """Ask Snakemake, which knows the config and code that each result was made with."""
    if find_spec("snakemake") is None:
        log.warning("Snakemake is not in this environment, so nothing asks whether the config or the code has changed")
        return
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile"), *_targets(study)]
    command += ["--dry-run", "--quiet", "rules", "--cores", "1"]
    command += ["--configfile", *(str(Path(file).resolve()) for file in study.files)]
    command += ["--config", f"leave_out=[{','.join(study.left_out)}]"] if study.left_out else []
    done = subprocess.run(command, cwd=study.directory, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise InputError(f"Snakemake cannot plan the study: {lines[-1] if lines else done.returncode}")
    jobs = {rule: number for rule, number in JOBS.findall(done.stdout) if rule != TOTAL}
    if jobs:
        raise InputError(
            f"the results are older than the config or the code: {sum(map(int, jobs.values()))} jobs would run "
            f"({', '.join(f'{number} of {rule}' for rule, number in jobs.items())}); run "
            f"`{study.command('all')}` first"
        )
