# What layers are like, read off finished states: norms, outlier dimensions, anisotropy, and what their likeness is computed
# from. No model is run.
#
# OUTPUTS
#   <results>/likeness/{model}/{stimuli}/{prompt}.parquet             measures by position and layer
#   <results>/likeness/{model}/{stimuli}/{prompt}.grams.safetensors   products of its items, by position and layer


rule measure_likeness:
    input:
        states=lambda wildcards: states_files(wildcards.model, wildcards.stimuli, wildcards.prompt),
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        # For which pictures an item shows.
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        measures="<results>/likeness/{model}/{stimuli}/{prompt}.parquet",
        grams="<results>/likeness/{model}/{stimuli}/{prompt}.grams.safetensors",
    log:
        "<logs>/likeness/{model}/{stimuli}/{prompt}.log",
    benchmark:
        "<benchmarks>/likeness/{model}/{stimuli}/{prompt}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        cell=states_cell,
        n_items=study.config.likeness.items,
        seed=study.config.seed,
        stimuli=lambda wildcards, input: Path(input.stimuli).parent,
        code=lambda wildcards: code_digest("measure_likeness.py"),
    message:
        "Measure what the layers of {wildcards.model} are like over {wildcards.stimuli} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/measure_likeness.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--items {params.n_items} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--measures {output.measures:q} "
        "--grams {output.grams:q} "
        "> {log:q} 2>&1"
