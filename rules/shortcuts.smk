# Shortcuts: what simple features of text and picture reach, beside the layers (probes.shortcuts).
#
# OUTPUTS
#   <results>/pictures/{model}/{stimuli}.h5                             what the decoder gets of each picture
#   <results>/probes/{model}/{task}/shortcuts.parquet                   scores with intervals, by features and label
#   <results>/probes/{model}/{task}/shortcuts-predictions.parquet       held-out predictions
#   <shown>/probes/shortcuts.parquet                                    scores of all cells


rule embed_pictures:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        PICTURE_FEATURES,
    log:
        "<logs>/pictures/{model}/{stimuli}.log",
    benchmark:
        "<benchmarks>/pictures/{model}/{stimuli}.tsv"
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
        cell=pictures_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Run the vision tower of {wildcards.model} over the pictures of {wildcards.stimuli}"
    shell:
        '{resources.python:q} "$SCRIPTS"/embed_pictures.py '
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


rule fit_shortcuts:
    input:
        **{
            **PROBE_INPUT,
            "states": lambda wildcards: study.pictures_file(
                PicturesCell(wildcards.model, study.config.tasks[wildcards.task].stimuli)
            ),
        },
    output:
        scores=SHORTCUT_SCORES,
        predictions=SHORTCUT_PREDICTIONS,
    log:
        "<logs>/probes/{model}/{task}/shortcuts.log",
    benchmark:
        "<benchmarks>/probes/{model}/{task}/shortcuts.tsv"
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
        cell=pictures_cell,
        columns=lambda wildcards: grid.shortcut_columns(wildcards.task),
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: shortcut_code(study.config.probes.engine, study.config.tasks[wildcards.task].metric),
    message:
        "Probe words and pictures as {wildcards.model} gets them for {wildcards.task}"
    shell:
        'python "$SCRIPTS"/fit_shortcuts.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--columns {params.columns:q} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--scores {output.scores:q} "
        "--predictions {output.predictions:q} "
        "> {log:q} 2>&1"


rule gather_shortcuts:
    input:
        [SHORTCUT_SCORES.format(**cell._asdict()) for cell in SHORTCUT_CELLS],
    output:
        "<shown>/probes/shortcuts.parquet",
    log:
        "<logs>/probes/gather_shortcuts.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        root=lambda wildcards, input: Path(input[0]).parents[2],
        cells=["/".join(cell) for cell in SHORTCUT_CELLS],
        code=code_digest("gather_shortcuts.py"),
    message:
        "Gather what shortcuts reach"
    shell:
        'python "$SCRIPTS"/gather_shortcuts.py '
        "--root {params.root:q} "
        "--cells {params.cells} "
        "--out {output:q} "
        "> {log:q} 2>&1"
