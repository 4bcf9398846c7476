# Kept probes that read the states of other prompts, tasks and versions of a model: one job per model x task.
#
# OUTPUTS
#   <shown>/carried/{model}/{task}.parquet     scores and losses by layer, of all probes that read the states of this task


rule carry_probes:
    input:
        unpack(carried_files),
    output:
        CARRIED,
    log:
        "<logs>/carried/{model}/{task}.log",
    benchmark:
        "<benchmarks>/carried/{model}/{task}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        states=not_compared(carried_states),
        planned=carried_planned,
        tasks=not_compared(carried_tasks),
        carried=lambda wildcards: as_json(in_short(grid.carried(wildcards.model, wildcards.task))),
        probes=f"{study.results}/probes",
        position=study.config.states.positions[0],
        permutations=study.config.probes.permutations,
        seed=study.config.seed,
        work=f"{study.results}/work",
        code=lambda wildcards: carry_code(study.config.tasks[wildcards.task].metric),
    message:
        "Let other cells' probes read {wildcards.model} in the task {wildcards.task}"
    shell:
        'python "$SCRIPTS"/carry_probes.py '
        "--cell {wildcards.model:q} {wildcards.task:q} "
        "--states {params.states:q} "
        "--planned {params.planned:q} "
        "--model {input.model:q} "
        "--tasks {params.tasks:q} "
        "--carried {params.carried:q} "
        "--probes {params.probes:q} "
        "--position {params.position} "
        "--permutations {params.permutations} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
