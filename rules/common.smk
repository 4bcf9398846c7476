# Shared by all rules: the study, paths of its cells, and what makes a result stale.
import hashlib
import json
import os
import shutil
import sys
from functools import cache

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from layerwise.code_digest import code_digest
from layerwise.datasets.disk import check_writable
from layerwise.jobs.reasons import shorten_reasons
from layerwise.recipes import HOW_IT_RUNS, NAMED_OTHERWISE, as_before, as_json, in_order, only, without
from layerwise.jobs.slurm import keep_asking
from layerwise.jobs.kept import drop_unused
from layerwise.jobs.planned import forget_planned, forget_when_stopped, write_planned
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study
from layerwise.study_root import check_root, claim_root

shorten_reasons()
# The config files of this study, without those that every study has.
study_files = [Path(file) for file in workflow.overwrite_configfiles or [f"{workflow.basedir}/config/config.yaml"]]
study = Study.from_config(config, study_files)
grid, left_out, shown = study.grid, study.left_out, study.shown
# For rules that read the checked config as mappings.
config |= study.config.entry()
# Only once: jobs on other machines read this file again.
if workflow.is_main_process:
    check_root(Path(study.results), study_files, study.config.extends)
    for note in study.notes:
        logger.warning(note)


pathvars:
    shown=study.shown,


# Jobs need to know where the scripts are, and the Python that runs Snakemake, even if its environment is not activated.
# (Conda, if used, comes before it in PATH.) Jobs end with the process that they name.
os.environ.update(
    WORKFLOW_PID=str(os.getpid()),
    SCRIPTS=f"{workflow.basedir}/scripts",
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
)

# Waiting threads sleep. Beside other busy processes, threads that spin delay the one that they wait for, and a job of two
# threads takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STATES = "<results>/states/{model}/{stimuli}/{prompt}{shard}.h5"
SCORES = "<results>/probes/{model}/{task}/{prompt}.scores.parquet"
PREDICTIONS = "<results>/probes/{model}/{task}/{prompt}.predictions.parquet"
SITES = "<results>/probes/{model}/{task}/{prompt}.sites.parquet"
CURVE = "<results>/probes/{model}/{task}/{prompt}.curve.parquet"

# Priority of jobs that read what the user gave: mistakes show before a model is trained or run.
CHECK_FIRST = 100


wildcard_constraints:
    world="[^/]+",
    stimuli="[^/]+",
    task="[^/]+",
    model="[^/]+",
    embedded="[^/]+",
    # Not greedy, so that the shard's number goes to the next wildcard.
    prompt="[^/]+?",
    shard=r"(\.[0-9]+-of-[0-9]+)?",
    recipe="[0-9a-f]{8}",
    adapter="[^/]+",
    commit="[0-9a-f]{40}",
    source="[^/]+",
    archive="[^/]+",
    annotation="[^/]+",


model_file, stimuli_file = study.model_file, study.stimuli_file


def not_compared(value):
    """A param that changes no result: Snakemake compares no param whose function takes `input`.

    Give a value, or a function of the wildcards.
    """
    return lambda wildcards, input: value(wildcards) if callable(value) else value


def all_models(wildcards):
    return [model_file(model) for model in config["models"]]


def tasks_about(wildcards):
    """Descriptions of the tasks that a figure shows: those of its question, or all."""
    question = QUESTION_OF[wildcards.figure]
    tasks = grid.tasks_about(question) if question else config["tasks"]
    return expand("<results>/tasks/{task}/task.json", task=tasks)


def caption_digest(caption):
    """What makes the pages of a caption stale: its text."""
    return hashlib.sha256(Path(workflow.basedir, "report", f"{caption}.rst").read_bytes()).hexdigest()[:12]


def caption_params(figure, axis=None, window=None):
    """What captions may name, as JSON."""
    resamples = config["flow" if window else "probes"]["resamples"]
    return as_json({"figure": figure, "axis": axis, "window": window, "resamples": resamples})


def what_to_open():
    """What there is to look at when a run has ended, in one line; nothing after a run that makes no figures."""
    pages = [page for page in ("tables/table2.html", "tables/flow.html") if Path(shown, page).exists()]
    if not pages:
        return ""
    whole = ""
    # The report of a run without some models, or with several configs, has no command as short as that.
    if not left_out and len(workflow.overwrite_configfiles) < 2:
        study = "".join(f" CONFIG={os.path.relpath(file)}" for file in workflow.overwrite_configfiles)
        whole = f", or make one page of all with: make report{study}"
    return f"Open {shown}/{pages[0]} and the pages in {shown}/figures{whole}"
