# Shared by all rules: the checked config, the grid of cells, and what makes a result stale.
import json
import os
import re
import shutil
import sys
from functools import cache

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from layerwise.code_digest import code_digest
from layerwise.config import validate
from layerwise.datasets.disk import check_writable
from layerwise.datasets.snli import PARTS as SNLI_VE_PARTS, SNLI_FILES
from layerwise.descriptions import read_description
from layerwise.embedded_models import embedded_name, seed_of, training_of
from layerwise.grid import Grid
from layerwise.leaving_out import leave_out
from layerwise.models.files import weights_bytes
from layerwise.reasons import shorten_reasons
from layerwise.recipes import (
    HOW_IT_RUNS,
    NAMED_OTHERWISE,
    as_before,
    as_json,
    converted_folder,
    in_order,
    model_folder,
    only,
    stimuli_folder,
    without,
)
from layerwise.slurm import keep_asking
from layerwise.states.kept import drop_unused
from layerwise.states.planned import forget_planned, forget_when_stopped, write_planned
from layerwise.study_root import check_root, claim_root

# Cached, because planning calls it for each job.
on_path = cache(shutil.which)

shorten_reasons()
validate(config, Path(workflow.basedir) / "config/schemas/config.schema.yaml")
# The configs that make this study, without those that every study has. Jobs that run elsewhere need not ask again.
study_files = [Path(file) for file in workflow.overwrite_configfiles or [f"{workflow.basedir}/config/config.yaml"]]
if workflow.is_main_process:
    check_root(Path(config["pathvars"]["results"]), study_files, config["extends"])
# Models that the figures are to be made without: they are no part of this run, and the figures say so.
left_out = leave_out(config)
grid = Grid(config)
if workflow.is_main_process:
    for unused in grid.unused():
        logger.warning(f"The config: {unused}.")


# Where figures and tables go that models are missing from, so that they never take the place of whole ones.
shown = config["pathvars"]["results"]
if left_out:
    shown = f"{shown}/partial/without-{'+'.join(left_out)}"


pathvars:
    shown=shown,


# What jobs need in their environment: where the scripts are, and the Python that runs Snakemake, also where its
# environment is not activated. (Conda, if used, comes in front of it.) Jobs end with the process that they name.
os.environ.update(
    WORKFLOW_PID=str(os.getpid()),
    SCRIPTS=f"{workflow.basedir}/scripts",
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
)

# Threads that wait for each other sleep: beside other busy processes, threads that spin there hold up the one that they
# wait for, and a job of two threads takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STATES = "<results>/states/{model}/{stimuli}/{prompt}{shard}.h5"
SCORES = "<results>/probes/{model}/{task}/{prompt}.scores.parquet"
PREDICTIONS = "<results>/probes/{model}/{task}/{prompt}.predictions.parquet"
SITES = "<results>/probes/{model}/{task}/{prompt}.sites.parquet"
CURVE = "<results>/probes/{model}/{task}/{prompt}.curve.parquet"
EMBEDDED = "<results>/embedded_models/{embedded}/weights/model.safetensors"

# Priority of the jobs that read what the user gave: mistakes show before a model is trained or run.
CHECK_FIRST = 100


wildcard_constraints:
    world="[^/]+",
    stimuli="[^/]+",
    task="[^/]+",
    model="[^/]+",
    embedded="[^/]+",
    # As short as it can be: what says which shard a file is belongs to the next one.
    prompt="[^/]+?",
    shard=r"(\.[0-9]+-of-[0-9]+)?",
    recipe="[0-9a-f]{8}",
    adapter="[^/]+",
    commit="[0-9a-f]{40}",
    source="[^/]+",
    archive="[^/]+",
    annotation="[^/]+",


@cache
def folder_of_stimuli(stimuli):
    return f"<results>/{stimuli_folder(config, stimuli)}"


def stimuli_file(stimuli, file):
    """A file of a stimulus set."""
    return f"{folder_of_stimuli(stimuli)}/{file}"


def kept_option(wildcards, input):
    """Where finished states are found by their content, as an option. It takes `input` so as not to be compared."""
    return ["--kept", f"{config['pathvars']['results']}/kept"]


@cache
def model_file(model):
    """The description of a model."""
    return f"<results>/{model_folder(config, model)}/model.json"


def made_files(model):
    """What the workflow makes of a model's source before it can be registered: nothing for most."""
    entry = config["models"][model]
    if entry["source"] == "embedded":
        return [EMBEDDED.format(embedded=embedded_name(config, model))]
    return [f"<results>/{converted_folder(config, model)}/model.safetensors"] if "convert" in entry else []


def needs_of(model):
    """What a model's adapter needs beyond the main environment; config/adapters.yaml says it."""
    return config["adapters"].get(config["models"][model]["adapter"], {"environment": "layerwise"})


def needed_files(model):
    """What must be there before a model can be described and run."""
    needs, adapter = needs_of(model), config["models"][model]["adapter"]
    environment = ["<environments>/legacy/ready"] if needs["environment"] == "legacy" else []
    code = [f"<results>/upstream/{adapter}/{needs['upstream']['commit']}/cloned.txt"] if "upstream" in needs else []
    return environment + code


def upstream_of(model):
    """Where the authors' code lies, as an option; nothing for a model that needs none."""
    upstream, adapter = needs_of(model).get("upstream"), config["models"][model]["adapter"]
    if not upstream:
        return []
    folder = f"{config['pathvars']['results']}/upstream/{adapter}/{upstream['commit']}/code/{upstream['folder']}"
    return ["--upstream", as_json({"commit": upstream["commit"], "folder": folder})]


def python_of(model):
    """The Python that runs a model."""
    legacy = needs_of(model)["environment"] == "legacy"
    return f"{config['pathvars']['environments']}/legacy/bin/python" if legacy else "python"


def states_cell(wildcards):
    """What decides the hidden states of a cell beside its model and stimuli. Probes refuse states of another cell.

    It must not take `input`: Snakemake compares no param that does.
    """
    stimuli = getattr(wildcards, "stimuli", None) or config["tasks"][wildcards.task]["stimuli"]
    return as_json(grid.planned(wildcards.model, stimuli, wildcards.prompt))


def controls_of(model):
    """Which controls are fitted to a model's states. Those of a changed model are compared with its base model's."""
    if "intervention" in config["models"][model]:
        return {"random_labels": 0, "description_length": False}
    return config["probes"]["controls"]


def dataset_options(wildcards):
    """Command-line options for the folders of a stimulus set's data set; none for a table."""
    if config["stimuli"][wildcards.stimuli]["kind"] == "table":
        return []
    dataset = config["stimuli"][wildcards.stimuli]["dataset"]
    options = [f"--{name}={folder}" for name, folder in grid.data.folders(dataset).items()]
    if corrected := config["datasets"][dataset].get("corrected_labels"):
        options.append(f"--corrected-labels={as_json(corrected)}")
    return options


def source_files(wildcards):
    """The files whose change makes a stimulus set stale, but for its images."""
    entry = config["stimuli"][wildcards.stimuli]
    if entry["kind"] == "table":
        return entry["file"]
    dataset = config["datasets"][entry["dataset"]]
    if "world" in dataset:
        return f"<results>/worlds/{dataset['world']}/world.json"
    return grid.data.annotation_files(entry["dataset"], list(entry["images"]))


def image_receipts(wildcards):
    """The downloads that a stimulus set's images are unpacked from; none for images that are used where they lie."""
    entry = config["stimuli"][wildcards.stimuli]
    return [] if entry["kind"] == "table" else grid.data.image_receipts(entry["dataset"], list(entry["images"]))


def unpacked(wildcards):
    """What says that a stimulus set's images have been unpacked, where they are to be."""
    return stimuli_file(wildcards.stimuli, "unpacked.json") if image_receipts(wildcards) else []


def gpus(wildcards):
    """Cards of a job; none on a machine without, so that its jobs need not queue for one that is not there."""
    there = on_path("nvidia-smi") is not None or not workflow.local_exec
    return cards(wildcards) if there else 0


def cards(wildcards):
    """Cards that a job takes where there are some."""
    return config["models"][wildcards.model].get("cards", 1)


def memory_mb(wildcards, input, attempt):
    """Main memory of a job that runs a model: what its entry says, or by the size of its weights, or 16 GB.

    Weights are read into memory before a card takes them. As long as the model has not been found, Snakemake hears of the
    missing file, and asks again when it has.
    """
    entry = config["models"][wildcards.model]
    weights_mb = weights_bytes(read_description(input.model, "folder")["folder"]) / 1e6
    return round(entry.get("mem_mb", max(16000, 8000 + 1.5 * weights_mb)) * attempt)


@cache
def files_in(folder):
    """What lies in a folder of states when the run is planned."""
    path = folder.replace("<results>", config["pathvars"]["results"])
    return frozenset(os.listdir(path)) if os.path.isdir(path) else frozenset()


def states_files(model, stimuli, prompt):
    """The files of a cell: as many as its model has shards, or those of a finished cell that had another number."""

    def named(shards):
        names = [f".{i}-of-{shards}" for i in range(1, shards + 1)] if shards > 1 else [""]
        return [STATES.format(model=model, stimuli=stimuli, prompt=prompt, shard=name) for name in names]

    wanted = config["models"][model]["shards"]
    folder = os.path.dirname(STATES).format(model=model, stimuli=stimuli)
    for shards in (wanted, *other_shards(files_in(folder), prompt)):
        if all(os.path.basename(file) in files_in(folder) for file in named(shards)):
            return named(shards)
    return named(wanted)


def other_shards(files, prompt):
    """Into how many shards a cell was divided by the files that are there."""
    counts = {re.fullmatch(rf"{re.escape(prompt)}(?:\.1-of-(\d+))?\.h5", file) for file in files} - {None}
    return sorted(int(found[1] or 1) for found in counts)


def planned_extractions():
    """The options of all extractions of this run; of none where each job has a machine to itself.

    There, a job that went on with others would take time that they do not wait for.
    """
    if workflow.executor_plugin.name != "local":
        return
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "extract_states":
            entry = config["models"][job.wildcards.model]
            yield {
                "model": str(job.input.model),
                "stimuli": str(job.params.stimuli),
                "cell": json.loads(job.params.cell),
                "batch_size": entry["batch_size"],
                "sharing": entry["sharing"],
                "device_map": entry.get("device_map"),
                "shard": [int(number) for number in job.params.shard],
                "kept": job.params.kept[1] if job.params.kept else None,
                "out": str(job.output[0]),
            }
