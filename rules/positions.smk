# Further positions in the text that tasks name: their states, in files of their own, and their probes.
#
# OUTPUTS
#   <results>/states/{model}/{stimuli}/{prompt}.at-{position}.h5      states that the cell's main file lacks
#   <results>/probes/{model}/{task}/{prompt}.at-{position}.parquet    scores at one position
#   <shown>/probes/task-positions.parquet                             those of all cells and positions
#
# <shown> is <results>, or a folder in it for a run that leaves models out.


wildcard_constraints:
    position="[A-Za-z0-9-]+",


# The name of a prompt may hold dots.
ruleorder: extract_position > extract_states


rule extract_position:
    input:
        # Ancient: as for the main file (rules/states.smk).
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
        # The main job reads for all positions that the run still lacks. Behind it, this one only puts its parts together.
        main=ancient(lambda wildcards: states_files(wildcards.model, wildcards.stimuli, wildcards.prompt)),
    output:
        POSITION_STATES if study.config.states.keep else temp(POSITION_STATES),
    log:
        "<logs>/states/{model}/{stimuli}/{prompt}.at-{position}{shard}.log",
    benchmark:
        "<benchmarks>/states/{model}/{stimuli}/{prompt}.at-{position}{shard}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        # These change no result; see rules/states.smk.
        batch_size=model_key("batch_size"),
        sharing=model_key("sharing"),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=position_cell,
        shard=lambda wildcards: (wildcards.shard[1:] or "1-of-1").split("-of-"),
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT if study.config.states.keep else []),
    message:
        "Read {wildcards.model} over {wildcards.stimuli} with the prompt {wildcards.prompt}{wildcards.shard} at "
        "{wildcards.position}"
    shell:
        'python "$SCRIPTS"/extract_position.py '
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
        "{params.kept:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule fit_task_position:
    input:
        **PROBE_INPUT | {"states": position_states},
    output:
        TASK_POSITION,
    log:
        "<logs>/probes/{model}/{task}/{prompt}.at-{position}.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/{prompt}.at-{position}.tsv"
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
        seed=study.config.seed,
        cell=position_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: task_position_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt} at {wildcards.position}"
    shell:
        'python "$SCRIPTS"/fit_task_position.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--position {wildcards.position} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule gather_task_positions:
    input:
        [TASK_POSITION.format(**cell._asdict()) for cell in TASK_POSITION_CELLS],
    output:
        "<shown>/probes/task-positions.parquet",
    log:
        "<logs>/probes/gather_task_positions.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in TASK_POSITION_CELLS],
        code=code_digest("gather_positions.py"),
    message:
        "Gather the scores at further positions"
    shell:
        'python "$SCRIPTS"/gather_positions.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--out {output:q} "
        "> {log:q} 2>&1"
