# Specification curves: the best layer below the top against the topmost block, under many combinations of choices.
#
# OUTPUTS
#   <results>/specifications/{model}/{task}.parquet           effects, a row per specification
#   <results>/specifications/{model}/{task}.units.parquet    what images (and texts) add to them, for tests of the whole curve


rule fit_specifications:
    input:
        **{name: PROBE_INPUT[name] for name in ("model", "stimuli", "shown", "labels", "task")},
        states=specified_states,
    output:
        effects=SPECIFICATION_EFFECTS,
        units=SPECIFICATION_UNITS,
    log:
        "<logs>/specifications/{model}/{task}.log",
    benchmark:
        "<benchmarks>/specifications/{model}/{task}.tsv"
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
        position=study.config.states.positions[0],
        seed=study.config.seed,
        prompts=specified,
        choices=choices_option,
        cells=specified_cells,
        work=f"{study.results}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=lambda wildcards: specification_code(
            study.config.probes.engine,
            study.config.specifications.probes,
            [study.config.tasks[wildcards.task].metric, *study.config.specifications.metrics],
        ),
    message:
        "Compare layers of {wildcards.model} for {wildcards.task} under many specifications"
    shell:
        'python "$SCRIPTS"/fit_specifications.py '
        "--states {input.states:q} "
        "--cell {params.cells:q} "
        "--prompts {params.prompts:q} "
        "--model {input.model:q} "
        "--model-name {wildcards.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--position {params.position} "
        "--choices {params.choices:q} "
        "--engine {params.engine} "
        "--C {params.C} "
        "--resamples {params.resamples} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--effects {output.effects:q} "
        "--units {output.units:q} "
        "> {log:q} 2>&1"
