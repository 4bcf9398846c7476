# Ridge regressions: the probes of tasks about numbers, one job per model x task x prompt.
#
# OUTPUTS
#   <results>/probes/{model}/{task}/{prompt}.regression.parquet   scores with intervals, by layer and label
#   <results>/probes/{model}/{task}/{prompt}.estimates.parquet    the number that is read for each held-out item
#   <shown>/probes/numbers.parquet                                scores of all cells
rule fit_regressions:
    input:
        **PROBE_INPUT,
    output:
        scores=REGRESSION,
        estimates=ESTIMATES,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.regression.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.regression.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        penalties=study.config.probes.penalties,
        resamples=study.config.probes.resamples,
        permuted=lambda wildcards: controls_of(wildcards.model).random_labels,
        position=study.config.states.positions[0],
        seed=study.config.seed,
        cell=states_cell,
        work=f"{study.results}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: code_digest("fit_regressions.py"),
    message:
        "Read {wildcards.task} from {wildcards.model} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_regressions.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--position {params.position} "
        "--penalties {params.penalties} "
        "--resamples {params.resamples} "
        "--permuted {params.permuted} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--scores {output.scores:q} "
        "--estimates {output.estimates:q} "
        "> {log:q} 2>&1"


rule gather_numbers:
    input:
        [REGRESSION.format(**cell._asdict()) for cell in NUMBER_CELLS],
    output:
        "<shown>/probes/numbers.parquet",
    log:
        "<logs>/probes/gather_numbers.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in NUMBER_CELLS],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores of all tasks about numbers"
    shell:
        'python "$SCRIPTS"/gather_scores.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--tables regression={output:q} "
        "> {log:q} 2>&1"
