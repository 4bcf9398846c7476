# The patch lens: where in a picture the output head names what is there, layer by layer (lens).
#
# OUTPUTS
#   <results>/lens/{model}/{stimuli}.maps.h5   how probable the words for objects are at each image token, by layer
#   <results>/lens/{model}/{stimuli}.parquet   how well that finds the objects' boxes, by picture, word and layer


rule read_patches:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        LENS_MAPS,
    log:
        "<logs>/lens/{model}/{stimuli}.log",
    benchmark:
        "<benchmarks>/lens/{model}/{stimuli}.tsv"
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
        cell=lens_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Read the output head of {wildcards.model} at every image token of {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/read_patches.py '
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


rule score_patches:
    input:
        LENS_MAPS,
    output:
        LENS_SCORES,
    log:
        "<logs>/lens/{model}/{stimuli}.scores.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=study.config.seed,
        code=code_digest("score_patches.py"),
    message:
        "Score where {wildcards.model} names the objects of {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/score_patches.py --maps {input:q} --seed {params.seed} --out {output:q} > {log:q} 2>&1'
