# Probes of image tokens: in their mean, and with a query that chooses among them (pooled).
#
# OUTPUTS
#   <results>/probes/{model}/{task}/pooled.parquet               scores with intervals, by layer, label and pooling
#   <results>/probes/{model}/{task}/pooled-predictions.parquet   held-out predictions
#   <results>/probes/{model}/{task}/pooled-places.parquet        how well the queries find the objects' boxes
#   <shown>/probes/pooled.parquet                                scores of all cells


rule fit_pooled_probes:
    input:
        **{
            **PROBE_INPUT,
            "states": lambda wildcards: study.tokens_file(tokens_of(wildcards)),
        },
    output:
        scores=POOLED_SCORES,
        predictions=POOLED_PREDICTIONS,
        places=POOLED_PLACES,
    log:
        "<logs>/probes/{model}/{task}/pooled.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/pooled.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        engine=study.config.probes.engine,
        C=study.config.probes.C,
        resamples=study.config.probes.resamples,
        seed=study.config.seed,
        cell=pooled_tokens_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: pooled_probe_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe the image tokens of {wildcards.model} for {wildcards.task}"
    shell:
        'python "$SCRIPTS"/fit_pooled_probes.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--scores {output.scores:q} "
        "--predictions {output.predictions:q} "
        "--places {output.places:q} "
        "> {log:q} 2>&1"


rule gather_pooled:
    input:
        [POOLED_SCORES.format(**cell._asdict()) for cell in POOLED_CELLS],
    output:
        "<shown>/probes/pooled.parquet",
    log:
        "<logs>/probes/gather_pooled.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in POOLED_CELLS],
        code=code_digest("gather_pooled.py"),
    message:
        "Gather the scores of probes of image tokens"
    shell:
        'python "$SCRIPTS"/gather_pooled.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--out {output:q} "
        "> {log:q} 2>&1"
