# Inputs and params of the rule of hidden states.
# Cached, because probes ask for the same cells.
states_files = cache(study.states_files)
KEPT = ["--kept", f"{study.results}/kept"]


def model_key(key):
    """A key of a model's entry."""
    return lambda wildcards: getattr(study.config.models[wildcards.model], key)


def device_map(wildcards):
    """How a model is spread over devices, as JSON."""
    return as_json(study.config.models[wildcards.model].device_map)


def states_cell(wildcards):
    """What decides the hidden states of a cell besides its model and stimuli. Probes refuse states of another cell.

    It must not take `input`: Snakemake compares no param that does.
    """
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    return as_json(grid.planned(wildcards.model, stimuli, wildcards.prompt))


def fitted_file(wildcards):
    """The fitted file that the intervention of a model needs; none for most."""
    file = study.fitted_file(wildcards.model)
    return [] if file is None else file


def fitted_option(wildcards, input):
    """The same as an option. Snakemake compares the file itself."""
    return ["--fitted", str(input.fitted)] if input.fitted else []


def planned_extractions():
    """The options of all extractions of this run, so that a job may go on with the next cell of its model.

    Empty where each job has a machine to itself: there, a job that goes on takes time that others do not wait for.
    """
    if workflow.executor_plugin.name != "local":
        return
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "extract_states":
            entry = study.config.models[job.wildcards.model]
            yield {
                "model": str(job.input.model),
                "stimuli": str(job.params.stimuli),
                "cell": json.loads(job.params.cell),
                "batch_size": entry.batch_size,
                "sharing": entry.sharing,
                "device_map": entry.device_map,
                "shard": [int(number) for number in job.params.shard],
                "kept": job.params.kept[1] if job.params.kept else None,
                "fitted": str(job.input.fitted) if job.input.fitted else None,
                "out": str(job.output[0]),
            }
