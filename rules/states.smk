# Hidden states: each model x stimuli x prompt is run once. This is where the GPU hours go.
#
# OUTPUTS
#   <results>/states/{model}/{stimuli}/{prompt}.h5     or, by shard, {prompt}.1-of-N.h5 to {prompt}.N-of-N.h5

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
    """What decides the hidden states of a cell beside its model and stimuli. Probes refuse states of another cell.

    It must not take `input`: Snakemake compares no param that does.
    """
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    return as_json(grid.planned(wildcards.model, stimuli, wildcards.prompt))


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
                "out": str(job.output[0]),
            }


rule extract_states:
    input:
        # Their folders' names say what they are made from; the job compares content. See layerwise.recipes.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        STATES if study.config.states.keep else temp(STATES),
    log:
        "<logs>/states/{model}/{stimuli}/{prompt}{shard}.log",
    benchmark:
        "<benchmarks>/states/{model}/{stimuli}/{prompt}{shard}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        # What changes no result is no param, so that Snakemake does not compare it.
        batch_size=model_key("batch_size"),
        python=lambda wildcards: python_of(wildcards.model),
        sharing=model_key("sharing"),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=states_cell,
        shard=lambda wildcards: (wildcards.shard[1:] or "1-of-1").split("-of-"),
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        # Where finished states are found by their content.
        kept=not_compared(KEPT if study.config.states.keep else []),
    message:
        "Run {wildcards.model} over {wildcards.stimuli} with the prompt {wildcards.prompt}{wildcards.shard}"
    shell:
        '{resources.python:q} "$SCRIPTS"/extract_states.py '
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--cell {params.cell:q} "
        "--batch-size {resources.batch_size} "
        "--sharing {resources.sharing} "
        "--device-map {resources.device_map:q} "
        "--shard {params.shard} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "{params.kept:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
