# Probes: one job per model x task x prompt loops over the layers.
#
# OUTPUTS
#   <results>/probes/{model}/{task}/{prompt}.scores.parquet        scores with intervals, by layer and label
#   <results>/probes/{model}/{task}/{prompt}.predictions.parquet   held-out predictions
#   <results>/probes/{model}/{task}/{prompt}.curve.parquet         test score by number of training images
#   <results>/probes/{model}/{task}/{prompt}.sites.parquet         scores of attention, MLP and heads, where they are kept
#   <shown>/probes/scores.parquet, curves.parquet, sites.parquet   those of all cells
#
# <shown> is <results>, or a folder of it for a run that leaves models out.
from layerwise.probes.code import probe_code, site_probe_code


rule fit_probes:
    input:
        states=lambda wildcards: states_files(
            wildcards.model, config["tasks"][wildcards.task]["stimuli"], wildcards.prompt
        ),
        # Only read for their digests, which those of the states must equal.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        stimuli=ancient(lambda wildcards: stimuli_file(config["tasks"][wildcards.task]["stimuli"], "stimuli.json")),
        shown=ancient(lambda wildcards: stimuli_file(config["tasks"][wildcards.task]["stimuli"], "items.parquet")),
        labels="<results>/tasks/{task}/labels.parquet",
        task="<results>/tasks/{task}/task.json",
    output:
        scores=SCORES,
        predictions=PREDICTIONS,
        curve=CURVE,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        engine=config["probes"]["engine"],
        C=config["probes"]["C"],
        resamples=config["probes"]["resamples"],
        random_labels=lambda wildcards: controls_of(wildcards.model)["random_labels"],
        description_length=lambda wildcards: (
            "--description-length" if controls_of(wildcards.model)["description_length"] else ""
        ),
        position=config["states"]["positions"][0],
        seed=config["seed"],
        cell=states_cell,
        work=f"{config['pathvars']['results']}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: probe_code(config["probes"]["engine"], config["tasks"][wildcards.task]["metric"]),
    message:
        "Probe {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_probes.py --states {input.states:q} --cell {params.cell:q} '
        "--model {input.model:q} --stimuli {params.stimuli:q} --task {params.task:q} "
        "--position {params.position} --engine {params.engine} --C {params.C} "
        "--resamples {params.resamples} --random-labels {params.random_labels} {params.description_length} "
        "--seed {params.seed} --threads {threads} --memory-mb {resources.mem_mb} --work {params.work:q} "
        "--scores {output.scores:q} --predictions {output.predictions:q} --curve {output.curve:q} > {log:q} 2>&1"


rule gather_scores:
    input:
        [file.format(**cell._asdict()) for cell in grid.probe_cells() for file in (SCORES, CURVE)],
    output:
        scores="<shown>/probes/scores.parquet",
        curves="<shown>/probes/curves.parquet",
    log:
        "<logs>/probes/gather_scores.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in grid.probe_cells()],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores and learning curves of all cells"
    shell:
        'python "$SCRIPTS"/gather_scores.py --root {params.root:q} --cells {params.cells} '
        "--tables scores={output.scores:q} curve={output.curves:q} > {log:q} 2>&1"


rule fit_site_probes:
    input:
        states=lambda wildcards: states_files(
            wildcards.model, config["tasks"][wildcards.task]["stimuli"], wildcards.prompt
        ),
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        stimuli=ancient(lambda wildcards: stimuli_file(config["tasks"][wildcards.task]["stimuli"], "stimuli.json")),
        shown=ancient(lambda wildcards: stimuli_file(config["tasks"][wildcards.task]["stimuli"], "items.parquet")),
        labels="<results>/tasks/{task}/labels.parquet",
        task="<results>/tasks/{task}/task.json",
    output:
        SITES,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.sites.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.sites.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        engine=config["probes"]["engine"],
        C=config["probes"]["C"],
        resamples=config["probes"]["resamples"],
        seed=config["seed"],
        cell=states_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: site_probe_code(config["probes"]["engine"], config["tasks"][wildcards.task]["metric"]),
    message:
        "Probe attention, MLP and heads of {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_site_probes.py --states {input.states:q} --cell {params.cell:q} '
        "--model {input.model:q} --stimuli {params.stimuli:q} --task {params.task:q} "
        "--engine {params.engine} --C {params.C} --resamples {params.resamples} --seed {params.seed} "
        "--threads {threads} --memory-mb {resources.mem_mb} --out {output:q} > {log:q} 2>&1"


rule gather_site_scores:
    input:
        [SITES.format(**cell._asdict()) for cell in grid.site_cells()],
    output:
        "<shown>/probes/sites.parquet",
    log:
        "<logs>/probes/gather_site_scores.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in grid.site_cells()],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores of attention, MLP and heads"
    shell:
        'python "$SCRIPTS"/gather_scores.py --root {params.root:q} --cells {params.cells} --tables sites={output:q} '
        "> {log:q} 2>&1"
