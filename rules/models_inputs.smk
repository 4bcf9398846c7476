# Inputs, params and resources of the rules of models.
from layerwise.descriptions import read_description
from layerwise.embedded_models import seed_of, training_of
from layerwise.models.files import weights_bytes

# Cached, because planning asks for each job.
on_path = cache(shutil.which)


def made_files(model):
    """What the workflow makes of a model's source before it can be registered; empty for most."""
    if study.config.models[model].processor is not None:
        return [f"{study.processor_folder(model)}/config.json"]
    return made_weights(model)


def made_weights(model):
    """The weights that the workflow makes for a model; empty for most."""
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


def processor_entry(wildcards):
    """What decides the files of a model with other settings of its image processor, as JSON."""
    entry = as_before("models", in_order(study.config.models[wildcards.model].entry()))
    return as_json(without(entry, *NAMED_OTHERWISE, *HOW_IT_RUNS, "intervention", "dtype", "quantization"))


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
