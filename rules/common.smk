# Shared by all rules: the checked config, the grid of cells, and what makes a result stale.
import json
import os
import shutil
import sys

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from layerwise.code_digest import code_digest
from layerwise.config import validate
from layerwise.grid import Grid
from layerwise.recipes import as_json, model_folder, stimuli_folder, without

validate(config, Path(workflow.basedir) / "config/schemas/config.schema.yaml")
grid = Grid(config)

# What jobs need in their environment: where the scripts are, and the Python that runs Snakemake, also where its
# environment is not activated. (Conda, if used, comes in front of it.)
os.environ.update(
    SCRIPTS=f"{workflow.basedir}/scripts",
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
)

STATES = "<results>/states/{model}/{stimuli}/{prompt}.h5"
SCORES = "<results>/probes/{model}/{task}/{prompt}.scores.parquet"
PREDICTIONS = "<results>/probes/{model}/{task}/{prompt}.predictions.parquet"
CURVE = "<results>/probes/{model}/{task}/{prompt}.curve.parquet"
EMBEDDED = "<results>/embedded_model/weights/model.safetensors"

# Priority of the jobs that read what the user gave: mistakes show before a model is trained or run.
CHECK_FIRST = 100


wildcard_constraints:
    world="[^/]+",
    stimuli="[^/]+",
    task="[^/]+",
    model="[^/]+",
    prompt="[^/]+",
    recipe="[0-9a-f]{8}",


def stimuli_file(stimuli, file):
    """A file of a stimulus set."""
    return f"<results>/{stimuli_folder(config, stimuli)}/{file}"


def model_file(model):
    """The description of a model."""
    return f"<results>/{model_folder(config, model)}/model.json"


def digest_in(file):
    """The content digest in a description that an earlier job wrote; nothing as long as there is none."""
    path = Path(file.replace("<results>", config["pathvars"]["results"]))
    return json.loads(path.read_text())["digest"] if path.exists() else None


def states_cell(wildcards):
    """All that decides the hidden states of a cell. Probes ask for it too, and refuse states of another cell.

    It must not take `input`: Snakemake compares no param that does.
    """
    stimuli = getattr(wildcards, "stimuli", None) or config["tasks"][wildcards.task]["stimuli"]
    adapter = config["models"][wildcards.model]["adapter"]
    return as_json(
        {
            "model": wildcards.model,
            "model_digest": digest_in(model_file(wildcards.model)),
            "stimuli": stimuli,
            "stimuli_digest": digest_in(stimuli_file(stimuli, "stimuli.json")),
            "prompt": wildcards.prompt,
            "prompt_entry": grid.prompt(stimuli, wildcards.prompt),
            "positions": config["states"]["positions"],
            "dtype": config["states"]["dtype"],
            "code": code_digest("extract_states.py", f"layerwise/models/adapters/{adapter}.py"),
        }
    )


def dataset_folders(stimuli):
    """Folders of annotations and images of a stimulus set's data set; nothing for a table."""
    if config["stimuli"][stimuli]["kind"] == "table":
        return {}
    dataset = config["datasets"][config["stimuli"][stimuli]["dataset"]]
    if "world" not in dataset:
        return {"annotations": dataset["annotations"], "images": dataset["images"]}
    root = f"{config['pathvars']['results']}/worlds/{dataset['world']}"
    if dataset["format"] == "snli-ve":
        return {"annotations": f"{root}/snli_ve", "images": f"{root}/snli_ve/flickr30k_images"}
    return {"annotations": f"{root}/coco/annotations", "images": f"{root}/coco"}


def source_files(wildcards):
    """The files whose change makes a stimulus set stale."""
    entry = config["stimuli"][wildcards.stimuli]
    if entry["kind"] == "table":
        return entry["file"]
    dataset = config["datasets"][entry["dataset"]]
    if "world" in dataset:
        return f"<results>/worlds/{dataset['world']}/world.json"
    return grid.annotation_files(wildcards.stimuli)


def gpus(wildcards):
    """One card per job; none on a machine without cards, so that its jobs need not queue for one that is not there."""
    return int(shutil.which("nvidia-smi") is not None or not workflow.local_exec)


def all_models(wildcards):
    return [model_file(model) for model in config["models"]]


def tasks_about(wildcards):
    """Descriptions of the tasks that a figure shows: those of its question, or all."""
    question = QUESTION_OF[wildcards.figure]
    tasks = grid.tasks_about(question) if question else config["tasks"]
    return expand("<results>/tasks/{task}/task.json", task=tasks)
