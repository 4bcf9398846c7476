# What models are shown, and what is asked of their states.
#
# OUTPUTS
#   <results>/stimuli/{stimuli}/{recipe}/items.parquet, provenance.parquet, objects.parquet, duplicates.csv,
#                                                          stimuli.json
#   <results>/stimuli/{stimuli}/{recipe}/prompts.json      what a model will read for the first item, by prompt
#   <results>/tasks/{task}/labels.parquet, task.json
#   <data>/pictures/AB/SHA256.jpg                          pictures that tables hold in their rows, each once


rule make_stimuli:
    input:
        source_files,
        unpacked,
    output:
        table="<results>/stimuli/{stimuli}/{recipe}/items.parquet",
        provenance="<results>/stimuli/{stimuli}/{recipe}/provenance.parquet",
        objects="<results>/stimuli/{stimuli}/{recipe}/objects.parquet",
        duplicates="<results>/stimuli/{stimuli}/{recipe}/duplicates.csv",
        description="<results>/stimuli/{stimuli}/{recipe}/stimuli.json",
    log:
        "<logs>/stimuli/{stimuli}.{recipe}.log",
    benchmark:
        "<benchmarks>/stimuli/{stimuli}.{recipe}.tsv"
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        # A cache of what was found out about pictures; it changes no result.
        seen=f"{study.results}/work/pictures",
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        entry=items_entry,
        folders=dataset_options,
        seed=study.config.seed,
        out=lambda wildcards, output: Path(output.table).parent,
        code=kind_code("make_stimuli.py"),
    message:
        "Make the stimuli {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/make_stimuli.py '
        "--name {wildcards.stimuli} "
        "--entry {params.entry:q} "
        "{params.folders:q} "
        "--seed {params.seed} "
        "--cache {resources.seen:q} "
        "--threads {threads} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule check_prompts:
    input:
        "<results>/stimuli/{stimuli}/{recipe}/stimuli.json",
        "<results>/stimuli/{stimuli}/{recipe}/items.parquet",
    output:
        "<results>/stimuli/{stimuli}/{recipe}/prompts.json",
    log:
        "<logs>/stimuli/{stimuli}.{recipe}.prompts.log",
    # No model depends on this: an edited prompt must not make other cells stale.
    priority: CHECK_FIRST
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        prompts=prompts_entry,
        stimuli=lambda wildcards, input: Path(input[0]).parent,
        code=code_digest("check_prompts.py"),
    message:
        "Check the prompts of {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/check_prompts.py '
        "--stimuli {params.stimuli:q} "
        "--prompts {params.prompts:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule make_task:
    input:
        description=asked_of("stimuli.json"),
        provenance=asked_of("provenance.parquet"),
        objects=asked_of("objects.parquet"),
        duplicates=asked_of("duplicates.csv"),
        texts=asked_texts,
    output:
        labels="<results>/tasks/{task}/labels.parquet",
        description="<results>/tasks/{task}/task.json",
    log:
        "<logs>/tasks/{task}.log",
    priority: CHECK_FIRST
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=10,
    params:
        entry=lambda wildcards: as_json(study.config.tasks[wildcards.task].entry()),
        stimuli=lambda wildcards, input: Path(input.description).parent,
        seed=study.config.seed,
        out=lambda wildcards, output: Path(output.labels).parent,
        code=task_code,
    message:
        "Make the task {wildcards.task}"
    shell:
        'python "$SCRIPTS"/make_task.py '
        "--name {wildcards.task} "
        "--entry {params.entry:q} "
        "--stimuli {params.stimuli:q} "
        "--seed {params.seed} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"
