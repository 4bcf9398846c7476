# Inputs and params of the rules of probes.
from layerwise.config.probes import Controls
from layerwise.probes.code import kind_code, position_probe_code, probe_code, site_probe_code
from layerwise.probes.kinds.catalogue import PROBE_KINDS

CELLS = grid.probe_cells()
SITE_CELLS = grid.site_cells()
POSITION_CELLS = grid.position_cells()
KIND_CELLS = grid.kind_cells()


def probed(wildcards):
    """The cell of states that a probe reads."""
    return states_files(wildcards.model, study.config.tasks[wildcards.task].stimuli, wildcards.prompt)


def controls_of(model):
    """Which controls are fitted to a model's states. Those of a changed model are compared with its base model's."""
    if study.config.models[model].intervention is not None:
        return Controls(random_labels=0, description_length=False)
    return study.config.probes.controls


def description_length_option(wildcards):
    """Whether probes are fitted for the description length too, as an option."""
    return "--description-length" if controls_of(wildcards.model).description_length else ""


def draws_option(wildcards):
    """How often probes are fitted again to draws of the training images, as an option. Changed models have no draws."""
    draws = 0 if study.config.models[wildcards.model].intervention is not None else study.config.probes.training_draws
    return f"--training-draws {draws}" if draws else ""


# What a probe reads. Models and stimuli are read for their digests alone, which those of the states must equal.
PROBE_INPUT = {
    "states": probed,
    "model": ancient(lambda wildcards: model_file(wildcards.model)),
    "stimuli": ancient(asked_of("stimuli.json")),
    "shown": ancient(asked_of("items.parquet")),
    "labels": "<results>/tasks/{task}/labels.parquet",
    "task": "<results>/tasks/{task}/task.json",
}

# The probes themselves, if the study keeps them. Gathering asks for them too: where this output alone is missing, as in a study
# of an older version, Snakemake would neither make it nor notice that the scores beside it are stale.
KEPT_PROBES = {"probes": PROBES} if study.config.probes.keep else {}


def probes_option(wildcards, output):
    """Where the probes themselves go, as an option."""
    return ["--probes", output.probes] if study.config.probes.keep else []
