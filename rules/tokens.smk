# Image tokens: the hidden state of every one of some pictures, for probes that choose among them (pooled).
#
# OUTPUTS
#   <results>/tokens/{model}/{stimuli}.h5   every image token of the drawn pictures, by layer


rule keep_tokens:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        TOKENS if study.config.states.keep else temp(TOKENS),
    log:
        "<logs>/tokens/{model}/{stimuli}.log",
    benchmark:
        "<benchmarks>/tokens/{model}/{stimuli}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        batch_size=model_key("batch_size"),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=tokens_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT if study.config.states.keep else []),
    message:
        "Keep the image tokens of {wildcards.model} over pictures of {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/keep_tokens.py '
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--cell {params.cell:q} "
        "--batch-size {resources.batch_size} "
        "--device-map {resources.device_map:q} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "{params.kept:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
