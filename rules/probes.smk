# Probes: one job per model x task x prompt loops over the layers.
#
# OUTPUTS
#   <results>/probes/{model}/{task}/{prompt}.scores.parquet        scores with intervals, by layer and label
#   <results>/probes/{model}/{task}/{prompt}.predictions.parquet   held-out predictions
#   <results>/probes/{model}/{task}/{prompt}.curve.parquet         test score by number of training images
#   <results>/probes/{model}/{task}/{prompt}.probes.h5             the probes themselves, unless probes.keep is false
#   <results>/probes/{model}/{task}/{prompt}.sites.parquet         scores of attention, MLP and heads, where they are kept
#   <results>/probes/{model}/{task}/{prompt}.positions.parquet     scores of each picture's tokens, of items with several
#   <results>/probes/{model}/{task}/{prompt}.kind-{kind}.parquet   scores of a further kind of probe
#   <shown>/probes/scores.parquet, curves.parquet, sites.parquet, positions.parquet, kinds.parquet     those of all cells
#
# <shown> is <results>, or a folder in it for a run that leaves models out.


wildcard_constraints:
    kind="|".join(PROBE_KINDS),


rule fit_probes:
    input:
        **PROBE_INPUT,
    output:
        **KEPT_PROBES,
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
        engine=study.config.probes.engine,
        C=study.config.probes.C,
        resamples=study.config.probes.resamples,
        random_labels=lambda wildcards: controls_of(wildcards.model).random_labels,
        description_length=description_length_option,
        probes=probes_option,
        training_draws=draws_option,
        position=study.config.states.positions[0],
        seed=study.config.seed,
        cell=states_cell,
        work=f"{study.results}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: probe_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_probes.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--position {params.position} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--random-labels {params.random_labels} "
        "{params.description_length} "
        "{params.training_draws} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--scores {output.scores:q} "
        "--predictions {output.predictions:q} "
        "--curve {output.curve:q} "
        "{params.probes:q} "
        "> {log:q} 2>&1"


rule gather_scores:
    input:
        [file.format(**cell._asdict()) for cell in CELLS for file in (SCORES, CURVE, *KEPT_PROBES.values())],
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
        cells=["/".join(cell) for cell in CELLS],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores and learning curves of all cells"
    shell:
        'python "$SCRIPTS"/gather_scores.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--tables scores={output.scores:q} curve={output.curves:q} "
        "> {log:q} 2>&1"


# One job for each kind, so that a further kind makes nothing stale.
rule fit_probe_kind:
    input:
        **PROBE_INPUT,
    output:
        KIND_SCORES,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.kind-{kind}.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.kind-{kind}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        C=study.config.probes.C,
        resamples=study.config.probes.resamples,
        random_labels=lambda wildcards: controls_of(wildcards.model).random_labels,
        description_length=description_length_option,
        position=study.config.states.positions[0],
        seed=study.config.seed,
        cell=states_cell,
        work=f"{study.results}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: kind_code(wildcards.kind, study.config.tasks[wildcards.task].metric),
    message:
        "Probe {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}, by {wildcards.kind}"
    shell:
        'python "$SCRIPTS"/fit_probe_kind.py '
        "--kind {wildcards.kind} "
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--position {params.position} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--random-labels {params.random_labels} "
        "{params.description_length} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule gather_kinds:
    input:
        [KIND_SCORES.format(**cell._asdict()) for cell in KIND_CELLS],
    output:
        "<shown>/probes/kinds.parquet",
    log:
        "<logs>/probes/gather_kinds.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in KIND_CELLS],
        code=code_digest("gather_kinds.py"),
    message:
        "Gather the scores of further kinds of probes"
    shell:
        'python "$SCRIPTS"/gather_kinds.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule fit_site_probes:
    input:
        **PROBE_INPUT,
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
        engine=study.config.probes.engine,
        C=study.config.probes.C,
        resamples=study.config.probes.resamples,
        seed=study.config.seed,
        cell=states_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: site_probe_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe attention, MLP and heads of {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_site_probes.py '
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
        "--out {output:q} "
        "> {log:q} 2>&1"


rule gather_site_scores:
    input:
        [SITES.format(**cell._asdict()) for cell in SITE_CELLS],
    output:
        "<shown>/probes/sites.parquet",
    log:
        "<logs>/probes/gather_site_scores.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in SITE_CELLS],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores of attention, MLP and heads"
    shell:
        'python "$SCRIPTS"/gather_scores.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--tables sites={output:q} "
        "> {log:q} 2>&1"


rule fit_position_probes:
    input:
        **PROBE_INPUT,
    output:
        POSITIONS,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.positions.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.positions.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        engine=study.config.probes.engine,
        C=study.config.probes.C,
        resamples=study.config.probes.resamples,
        seed=study.config.seed,
        cell=states_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: position_probe_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe each picture of {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_position_probes.py '
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
        "--out {output:q} "
        "> {log:q} 2>&1"


rule gather_position_scores:
    input:
        [POSITIONS.format(**cell._asdict()) for cell in POSITION_CELLS],
    output:
        "<shown>/probes/positions.parquet",
    log:
        "<logs>/probes/gather_position_scores.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in POSITION_CELLS],
        code=code_digest("gather_scores.py"),
    message:
        "Gather the scores of each picture"
    shell:
        'python "$SCRIPTS"/gather_scores.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--tables positions={output:q} "
        "> {log:q} 2>&1"
