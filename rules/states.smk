# Hidden states: each model x stimuli x prompt is run once. This is where the GPU hours go.
#
# OUTPUTS
#   <results>/states/{model}/{stimuli}/{prompt}.h5


rule extract_states:
    input:
        # Their content comes in by the digests in the cell; see common.smk.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        STATES,
    log:
        "<logs>/states/{model}/{stimuli}/{prompt}.log",
    benchmark:
        "<benchmarks>/states/{model}/{stimuli}/{prompt}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        # What changes no result stays out of params.
        batch_size=lambda wildcards: config["models"][wildcards.model]["batch_size"],
        python=lambda wildcards: python_of(wildcards.model),
        sharing=lambda wildcards: config["models"][wildcards.model]["sharing"],
        device_map=lambda wildcards: as_json(config["models"][wildcards.model].get("device_map")),
        gpu=gpus,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=states_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{config['pathvars']['results']}/work",
    message:
        "Run {wildcards.model} over {wildcards.stimuli} with the prompt {wildcards.prompt}"
    shell:
        '{resources.python:q} "$SCRIPTS"/extract_states.py --model {input.model:q} --stimuli {params.stimuli:q} '
        "--cell {params.cell:q} --batch-size {resources.batch_size} --sharing {resources.sharing} "
        "--device-map {resources.device_map:q} --threads {threads} --work {params.work:q} --out {output:q} > {log:q} 2>&1"
