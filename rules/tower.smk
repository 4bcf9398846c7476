# The vision tower: each of its blocks and the projector as layers before the decoder (tower).
#
# OUTPUTS
#   <results>/tower/{model}/{stimuli}.h5                            what each vision block makes of each picture
#   <results>/probes/{model}/{task}/tower.parquet                   scores with intervals, by layer and label
#   <results>/probes/{model}/{task}/tower-predictions.parquet       held-out predictions
#   <shown>/probes/tower.parquet                                    scores of all cells


rule read_tower:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        TOWER_STATES,
    log:
        "<logs>/tower/{model}/{stimuli}.log",
    benchmark:
        "<benchmarks>/tower/{model}/{stimuli}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        batch_size=model_key("batch_size"),
        python=lambda wildcards: python_of(wildcards.model),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=tower_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Read each block of the vision tower of {wildcards.model} over the pictures of {wildcards.stimuli}"
    shell:
        '{resources.python:q} "$SCRIPTS"/read_tower.py '
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


rule fit_tower_probes:
    input:
        **{
            **PROBE_INPUT,
            "states": lambda wildcards: study.tower_file(
                TowerCell(wildcards.model, study.config.tasks[wildcards.task].stimuli)
            ),
            "decoder": pooled_states,
        },
    output:
        scores=TOWER_SCORES,
        predictions=TOWER_PREDICTIONS,
    log:
        "<logs>/probes/{model}/{task}/tower.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/tower.tsv"
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
        cell=tower_cell,
        decoder_cell=pooled_cell,
        decoder=pooled_option,
        random_labels=lambda wildcards: controls_of(wildcards.model).random_labels,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: tower_probe_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe the vision tower of {wildcards.model} for {wildcards.task}"
    shell:
        'python "$SCRIPTS"/fit_tower_probes.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "{params.decoder:q} "
        "--random-labels {params.random_labels} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--scores {output.scores:q} "
        "--predictions {output.predictions:q} "
        "> {log:q} 2>&1"


rule gather_tower_scores:
    input:
        [TOWER_SCORES.format(**cell._asdict()) for cell in TOWER_CELLS],
    output:
        "<shown>/probes/tower.parquet",
    log:
        "<logs>/probes/gather_tower_scores.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in TOWER_CELLS],
        code=code_digest("gather_tower_scores.py"),
    message:
        "Gather the scores in vision towers"
    shell:
        'python "$SCRIPTS"/gather_tower_scores.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--out {output:q} "
        "> {log:q} 2>&1"
