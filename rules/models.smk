# Frozen models.
#
# OUTPUTS
#   <results>/embedded_models/{embedded}/weights       a small LLaVA that the workflow trains
#   <results>/embedded_models/{embedded}/curve.csv     its training curve
#   <results>/converted/{model}/{recipe}   safetensors of a model whose weights came in an older format
#   <results>/models/{model}/{recipe}/model.json    where a model's files lie, and a digest of what it computes
from layerwise.descriptions import read_description
from layerwise.embedded_models import seed_of, training_of
from layerwise.models.files import weights_bytes

# Cached, because planning asks for each job.
on_path = cache(shutil.which)


def made_files(model):
    """What the workflow makes of a model's source before it can be registered; empty for most."""
    folder = study.weights_folder(model)
    return [] if folder is None else [f"{folder}/model.safetensors"]


def training(key):
    """A key of how an embedded model is trained."""
    return lambda wildcards: getattr(training_of(study.config, wildcards.embedded), key)


def registered_entry(wildcards):
    """What decides the description of a model, as JSON."""
    entry = as_before("models", in_order(study.config.models[wildcards.model].entry()))
    return as_json(without(entry, *NAMED_OTHERWISE, *HOW_IT_RUNS))


def converted_entry(wildcards):
    """What decides the converted weights of a model, as JSON."""
    entry = in_order(study.config.models[wildcards.model].entry())
    return as_json(only(entry, "source", "revision", "convert", "trust_remote_code"))


def cards(wildcards):
    """GPUs that a job takes where there are some."""
    return study.config.models[wildcards.model].cards or 1


def gpus(wildcards):
    """GPUs of a job; 0 on a machine without, whose jobs need not queue for one."""
    return cards(wildcards) if on_path("nvidia-smi") is not None or not workflow.local_exec else 0


def memory_mb(wildcards, input, attempt):
    """Main memory of a job that runs a model: what its entry says, or by the size of its weights, at least 16 GB.

    Weights are read into memory before a GPU takes them. Until the model has been found, Snakemake sees a missing file,
    and asks again later.
    """
    given = study.config.models[wildcards.model].mem_mb
    weights_mb = weights_bytes(read_description(input.model, "folder")["folder"]) / 1e6
    return round((given or max(16000, 8000 + 1.5 * weights_mb)) * attempt)


rule train_embedded_model:
    output:
        weights="<results>/embedded_models/{embedded}/weights/model.safetensors",
        curve="<results>/embedded_models/{embedded}/curve.csv",
    log:
        "<logs>/embedded_models/{embedded}.log",
    benchmark:
        "<benchmarks>/embedded_models/{embedded}.tsv"
    conda:
        "../envs/layerwise.yaml"
    # A single model is ready sooner on two threads; several train side by side.
    threads: 2 if len(study.config.embedded_models) == 1 else 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        steps_scale=training("steps_scale"),
        objective=training("objective"),
        seed=training("seed"),
        out=lambda wildcards, output: Path(output.weights).parent,
        code=code_digest("train_embedded_model.py"),
    message:
        "Train the small LLaVA {wildcards.embedded} on drawn shapes"
    shell:
        'python "$SCRIPTS"/train_embedded_model.py '
        "--out {params.out:q} "
        "--curve {output.curve:q} "
        "--seed {params.seed} "
        "--objective {params.objective} "
        "--steps-scale {params.steps_scale} "
        "--threads {threads} "
        "> {log:q} 2>&1"


rule convert_weights:
    output:
        "<results>/converted/{model}/{recipe}/model.safetensors",
    log:
        "<logs>/converted/{model}.{recipe}.log",
    # It downloads what it converts.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=converted_entry,
        out=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Write the weights of {wildcards.model} as safetensors"
    shell:
        'python "$SCRIPTS"/convert_weights.py '
        "--name {wildcards.model} "
        "--entry {params.entry:q} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule register_model:
    input:
        made=lambda wildcards: made_files(wildcards.model),
        # Extraction needs these too. It waits for model.json instead, so that making them again leaves states fresh.
        needs=lambda wildcards: needed_files(wildcards.model),
    output:
        "<results>/models/{model}/{recipe}/model.json",
    log:
        "<logs>/models/{model}.{recipe}.log",
    # Downloads happen where the workflow runs, never in a job on a node without a network.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=registered_entry,
        made=lambda wildcards, input: ["--made", str(Path(input.made[0]).parent)] if input.made else [],
        upstream=lambda wildcards: upstream_of(wildcards.model),
        seed=lambda wildcards: seed_of(study.config, wildcards.model),
        code=code_digest("register_model.py"),
    message:
        "Find the files of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/register_model.py '
        "--name {wildcards.model} "
        "--entry {params.entry:q} "
        "{params.made:q} "
        "{params.upstream:q} "
        "--seed {params.seed} "
        "--out {output:q} "
        "> {log:q} 2>&1"
