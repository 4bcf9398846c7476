# Shared by all rules: the study, paths of its cells, and what makes a result stale.
import hashlib
import json
import os
import shutil
import sys
from functools import cache

from layerwise.code_digest import code_digest
from layerwise.datasets.disk import check_writable
from layerwise.jobs.reasons import shorten_reasons
from layerwise.planning.recipes import (
    HOW_IT_RUNS,
    NAMED_OTHERWISE,
    PROCESSOR_CODE,
    adapter_file,
    as_before,
    as_json,
    in_order,
    only,
    without,
)
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
# The report's first page reads them from the config, where a study may leave them out.
config["seed"], config["states"] = study.config.seed, study.config.states.entry()
# Only once: jobs on other machines read this file again.
if workflow.is_main_process:
    check_root(Path(study.results), study_files, study.config.extends)
    for note in study.notes:
        logger.warning(note)


pathvars:
    shown=study.shown,


# Jobs need to know where the scripts are, and the Python that runs Snakemake, even if its environment is not activated.
# (Conda, if used, comes before it in PATH.) A job ends when the process WORKFLOW_PID ends.
os.environ.update(
    WORKFLOW_PID=str(os.getpid()),
    SCRIPTS=f"{workflow.basedir}/scripts",
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
)

# Waiting threads sleep. On a busy machine, threads that spin delay the one that they wait for, and a job of two threads takes
# ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STATES = "<results>/states/{model}/{stimuli}/{prompt}{shard}.h5"
SCORES = "<results>/probes/{model}/{task}/{prompt}.scores.parquet"
PREDICTIONS = "<results>/probes/{model}/{task}/{prompt}.predictions.parquet"
KIND_SCORES = "<results>/probes/{model}/{task}/{prompt}.kind-{kind}.parquet"
SITES = "<results>/probes/{model}/{task}/{prompt}.sites.parquet"
POSITIONS = "<results>/probes/{model}/{task}/{prompt}.positions.parquet"
PROBES = "<results>/probes/{model}/{task}/{prompt}.probes.h5"
CURVE = "<results>/probes/{model}/{task}/{prompt}.curve.parquet"
PICTURE_FEATURES = "<results>/pictures/{model}/{stimuli}.h5"
SHORTCUT_SCORES = "<results>/probes/{model}/{task}/shortcuts.parquet"
SHORTCUT_PREDICTIONS = "<results>/probes/{model}/{task}/shortcuts-predictions.parquet"
TOWER_STATES = "<results>/tower/{model}/{stimuli}.h5"
TOWER_SCORES = "<results>/probes/{model}/{task}/tower.parquet"
TOWER_PREDICTIONS = "<results>/probes/{model}/{task}/tower-predictions.parquet"
POOLED_SCORES = "<results>/probes/{model}/{task}/pooled.parquet"
POOLED_PREDICTIONS = "<results>/probes/{model}/{task}/pooled-predictions.parquet"
POOLED_PLACES = "<results>/probes/{model}/{task}/pooled-places.parquet"
SPECIFICATION_EFFECTS = "<results>/specifications/{model}/{task}.parquet"
SPECIFICATION_UNITS = "<results>/specifications/{model}/{task}.units.parquet"

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
    repository="[^/]+",
    asked="[0-9a-f]{8}",
    at="text|image",
    block="[0-9]+",


model_file, stimuli_file = study.model_file, study.stimuli_file


def not_compared(value):
    """A param that changes no result: Snakemake does not compare params whose function takes `input`.

    Give a value, or a function of the wildcards.
    """
    return lambda wildcards, input: value(wildcards) if callable(value) else value
