# Answers: how probable the words with which a model would answer are in every layer, for which no model is run; and, for
# prompts with `generate`, what it writes.
#
# OUTPUTS
#   <results>/models/{model}/{recipe}/head.safetensors    the model's final norm, and where its output head lies
#   <results>/answers/{model}/{stimuli}/{prompt}.parquet  the probability of its answers, by layer and item
#   <results>/written/{model}/{stimuli}/{prompt}.parquet    what it writes, by item
#   <results>/generated/{model}/{stimuli}/{prompt}.parquet  the same, with the class that it says


rule read_head:
    input:
        # Ancient: its folder's name changes with its content.
        ancient("<results>/models/{model}/{recipe}/model.json"),
    output:
        "<results>/models/{model}/{recipe}/head.safetensors",
    log:
        "<logs>/answers/{model}.{recipe}.head.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=lambda wildcards: code_digest("read_head.py", adapter_file(study.config, wildcards.model)),
    message:
        "Find the output head of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/read_head.py --model {input:q} --out {output:q} > {log:q} 2>&1'


rule read_answers:
    input:
        states=lambda wildcards: states_files(wildcards.model, wildcards.stimuli, wildcards.prompt),
        head=lambda wildcards: study.head_file(wildcards.model),
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        # For the prompt as some items have it.
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        "<results>/answers/{model}/{stimuli}/{prompt}.parquet",
    log:
        "<logs>/answers/{model}/{stimuli}/{prompt}.log",
    benchmark:
        "<benchmarks>/answers/{model}/{stimuli}/{prompt}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=states_cell,
        prompt=answers_entry,
        stimuli=lambda wildcards, input: Path(input.stimuli).parent,
        code=lambda wildcards: code_digest("read_answers.py"),
    message:
        "Read what {wildcards.model} would answer to {wildcards.prompt} over {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/read_answers.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--head {input.head:q} "
        "--prompt {params.prompt:q} "
        "--threads {threads} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule generate_answers:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
        stimuli=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "stimuli.json")),
    output:
        "<results>/written/{model}/{stimuli}/{prompt}.parquet",
    log:
        "<logs>/written/{model}/{stimuli}/{prompt}.log",
    benchmark:
        "<benchmarks>/written/{model}/{stimuli}/{prompt}.tsv"
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
        cell=written_cell,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Let {wildcards.model} answer {wildcards.prompt} over {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/generate_answers.py '
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


rule match_answers:
    input:
        written="<results>/written/{model}/{stimuli}/{prompt}.parquet",
        table=ancient(lambda wildcards: stimuli_file(wildcards.stimuli, "items.parquet")),
    output:
        "<results>/generated/{model}/{stimuli}/{prompt}.parquet",
    log:
        "<logs>/generated/{model}/{stimuli}/{prompt}.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        answers=answers_looked_for,
        stimuli=lambda wildcards, input: Path(input.table).parent,
        code=lambda wildcards: code_digest("match_answers.py"),
    message:
        "Find the answers in what {wildcards.model} wrote to {wildcards.prompt} over {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/match_answers.py '
        "--written {input.written:q} "
        "--stimuli {params.stimuli:q} "
        "--answers {params.answers:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
