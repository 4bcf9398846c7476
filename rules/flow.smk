# Information flow: which attention an answer needs, and where in the stack it appears (arXiv 2411.18620).
#
# OUTPUTS
#   <results>/questions/{questions}/{recipe}/questions.parquet, questions.json
#   <results>/questions/{questions}/{recipe}/images.txt, unpacked.json      for images that are downloaded
#   <results>/flow/{model}/{questions}.parquet            the answer's probability with attention blocked
#   <results>/flow/{model}/{questions}.tracing.parquet    the answer's probability by layer
#   <results>/flow/{model}/{questions}.heads.parquet      the same with single heads and groups blocked, if a study asks
#   <results>/flow/{model}/{questions}.answers.parquet, .json    what was answered, what was kept

import re

FLOW = "<results>/flow/{model}/{questions}"
# The output of studies that block attention head by head.
HEADS = {} if study.config.flow.heads is None else {"heads": f"{FLOW}.heads.parquet"}


wildcard_constraints:
    # By name, so that a dot in a file's name does not end one.
    questions="|".join(map(re.escape, study.config.flow.questions)) or "[^/]+",


rule list_question_images:
    input:
        question_sources,
    output:
        "<results>/questions/{questions}/{recipe}/images.txt",
    log:
        "<logs>/questions/{questions}.{recipe}.images.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        entry=question_entry,
        folders=question_options,
        seed=study.config.seed,
        code=question_code,
    message:
        "Sample the questions {wildcards.questions}"
    shell:
        'python "$SCRIPTS"/make_questions.py '
        "--name {wildcards.questions} "
        "--entry {params.entry:q} "
        "{params.folders:q} "
        "--seed {params.seed} "
        "--list {output:q} "
        "> {log:q} 2>&1"


use rule unpack_images as unpack_question_images with:
    input:
        images="<results>/questions/{questions}/{recipe}/images.txt",
        receipts=question_receipts,
    output:
        "<results>/questions/{questions}/{recipe}/unpacked.json",
    log:
        "<logs>/questions/{questions}.{recipe}.unpacked.log",
    params:
        out=question_image_folder,
    message:
        "Unpack the images of {wildcards.questions}"


rule make_questions:
    input:
        question_sources,
        question_images,
    output:
        table="<results>/questions/{questions}/{recipe}/questions.parquet",
        description="<results>/questions/{questions}/{recipe}/questions.json",
    log:
        "<logs>/questions/{questions}.{recipe}.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        entry=question_entry,
        folders=question_options,
        seed=study.config.seed,
        out=lambda wildcards, output: Path(output.table).parent,
        code=question_code,
    message:
        "Choose the questions {wildcards.questions}"
    shell:
        'python "$SCRIPTS"/make_questions.py '
        "--name {wildcards.questions} "
        "--entry {params.entry:q} "
        "{params.folders:q} "
        "--seed {params.seed} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule trace_flow:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: questions_file(wildcards.questions, "questions.parquet")),
        questions=ancient(lambda wildcards: questions_file(wildcards.questions, "questions.json")),
    output:
        **HEADS,
        changes=f"{FLOW}.parquet",
        tracing=f"{FLOW}.tracing.parquet",
        answers=f"{FLOW}.answers.parquet",
        description=f"{FLOW}.json",
    log:
        "<logs>/flow/{model}/{questions}.log",
    benchmark:
        "<benchmarks>/flow/{model}/{questions}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        batch_size=model_key("batch_size"),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        cell=flow_cell,
        questions=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
        heads=lambda wildcards, output: [f"--heads={output.heads}"] if HEADS else [],
    message:
        "Block the attention of {wildcards.model} over {wildcards.questions}"
    shell:
        'python "$SCRIPTS"/trace_flow.py '
        "--model {input.model:q} "
        "--questions {params.questions:q} "
        "--cell {params.cell:q} "
        "--batch-size {resources.batch_size} "
        "--device-map {resources.device_map:q} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "{params.kept:q} "
        "--changes {output.changes:q} "
        "--tracing {output.tracing:q} "
        "--answers {output.answers:q} "
        "--description {output.description:q} "
        "{params.heads:q} "
        "> {log:q} 2>&1"
