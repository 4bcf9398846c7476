# Hidden states: each model x stimuli x prompt is run once. This is where the GPU hours go.
#
# OUTPUTS
#   <results>/states/{model}/{stimuli}/{prompt}.h5     or, by shard, {prompt}.1-of-N.h5 to {prompt}.N-of-N.h5


rule extract_states:
    input:
        # Their folders' names say what they are made from; the job compares content. See layerwise.recipes.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        STATES if config["states"]["keep"] else temp(STATES),
    log:
        "<logs>/states/{model}/{stimuli}/{prompt}{shard}.log",
    benchmark:
        "<benchmarks>/states/{model}/{stimuli}/{prompt}{shard}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        # What changes no result stays out of params.
        batch_size=lambda wildcards: config["models"][wildcards.model]["batch_size"],
        python=lambda wildcards: python_of(wildcards.model),
        sharing=lambda wildcards: config["models"][wildcards.model]["sharing"],
        device_map=lambda wildcards: as_json(config["models"][wildcards.model].get("device_map")),
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=states_cell,
        shard=lambda wildcards: (wildcards.shard[1:] or "1-of-1").split("-of-"),
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{config['pathvars']['results']}/work",
        kept=lambda wildcards, input: kept_option(wildcards, input) if config["states"]["keep"] else [],
    message:
        "Run {wildcards.model} over {wildcards.stimuli} with the prompt {wildcards.prompt}{wildcards.shard}"
    shell:
        '{resources.python:q} "$SCRIPTS"/extract_states.py --model {input.model:q} --stimuli {params.stimuli:q} '
        "--cell {params.cell:q} --batch-size {resources.batch_size} --sharing {resources.sharing} "
        "--device-map {resources.device_map:q} --shard {params.shard} --cards {resources.cards} --threads {threads} "
        "--work {params.work:q} {params.kept:q} --out {output:q} > {log:q} 2>&1"
