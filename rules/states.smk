# Hidden states: each model x stimuli x prompt is run once. This is where the GPU hours go.
#
# OUTPUTS
#   <results>/states/{model}/{stimuli}/{prompt}.h5     or, by shard, {prompt}.1-of-N.h5 to {prompt}.N-of-N.h5


rule extract_states:
    input:
        # Ancient: their folders' names change with their content (layerwise.planning.recipes), and the job compares digests.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
        # What an intervention erases or steers along. The job compares what it was fitted from.
        fitted=fitted_file,
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
        # These change no result. They are resources because Snakemake compares params, but not resources.
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
        fitted=fitted_option,
        # The folder in which finished states are found by their content.
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
        "{params.fitted:q} "
        "{params.kept:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
