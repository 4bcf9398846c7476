# Does the model use what a probe finds? The class of a task is erased from the last token's state, or the state is steered
# along it, and the answers are compared with those of the free run.
#
# OUTPUTS
#   <results>/used/{model}/{task}/{prompt}.concept.safetensors    what is erased and steered in each block, and random controls
#   <results>/used/{model}/{task}/{prompt}.{at}-{block}.streamed.safetensors    the same of all text or image tokens behind one
#                                                                   block, for models with such an intervention
#   <results>/used/{model}/{task}/{prompt}.parquet                the answers of the free run and under every change
#   <results>/used/{model}/{task}/{prompt}.above.parquet          what kept probes find above the block that is changed


rule fit_concept:
    input:
        **PROBE_INPUT,
        probes=PROBES,
    output:
        CONCEPT,
    log:
        "<logs>/used/{model}/{task}/{prompt}.concept.log",
    benchmark:
        "<benchmarks>/used/{model}/{task}/{prompt}.concept.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        cell=states_cell,
        position=POSITION,
        draws=grid.concept_draws(),
        seed=study.config.seed,
        work=f"{study.results}/work",
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        code=CONCEPT_CODE,
    message:
        "Find what to erase of {wildcards.task} in {wildcards.model} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/fit_concept.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--stimuli {params.stimuli:q} "
        "--model {input.model:q} "
        "--task {params.task:q} "
        "--probes {input.probes:q} "
        "--position {params.position} "
        "--draws {params.draws} "
        "--seed {params.seed} "
        "--threads {threads} "
        "--memory-mb {resources.mem_mb} "
        "--work {params.work:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule stream_concept:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        shown=ancient(asked_of("items.parquet")),
        stimuli=ancient(asked_of("stimuli.json")),
        labels="<results>/tasks/{task}/labels.parquet",
        task="<results>/tasks/{task}/task.json",
    output:
        STREAMED,
    log:
        "<logs>/used/{model}/{task}/{prompt}.{at}-{block}.streamed.log",
    benchmark:
        "<benchmarks>/used/{model}/{task}/{prompt}.{at}-{block}.streamed.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        batch_size=model_key("batch_size"),
        sharing=model_key("sharing"),
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=streamed_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        work=f"{study.results}/work",
        code=lambda wildcards: code_digest("stream_concept.py", adapter_file(study.config, wildcards.model)),
    message:
        "Find what to erase of {wildcards.task} at the {wildcards.at} tokens behind block {wildcards.block} of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/stream_concept.py '
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--cell {params.cell:q} "
        "--at {wildcards.at:q} "
        "--block {wildcards.block:q} "
        "--batch-size {resources.batch_size} "
        "--sharing {resources.sharing} "
        "--device-map {resources.device_map:q} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule sweep_used:
    input:
        # Ancient: see extract_states.
        model=ancient(lambda wildcards: model_file(wildcards.model)),
        shown=ancient(asked_of("items.parquet")),
        stimuli=ancient(asked_of("stimuli.json")),
        labels="<results>/tasks/{task}/labels.parquet",
        task="<results>/tasks/{task}/task.json",
        concept=CONCEPT,
        others=lambda wildcards: list(other_concepts(wildcards).values()),
        probes=PROBES,
    output:
        answers=USED,
        above=USED_ABOVE,
    log:
        "<logs>/used/{model}/{task}/{prompt}.log",
    benchmark:
        "<benchmarks>/used/{model}/{task}/{prompt}.tsv"
    wildcard_constraints:
        # By name, so that a dot in a file's name does not end one.
        prompt="|".join(sorted({re.escape(cell.prompt) for cell in USED_CELLS})) or "[^/]+",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        device_map=device_map,
        cards=cards,
        gpu=gpus,
        mem_mb=memory_mb,
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        cell=sweep_cell,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        # Snakemake compares the files themselves.
        others=not_compared(lambda wildcards: as_json(other_concepts(wildcards))),
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Erase and steer {wildcards.task} in {wildcards.model} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/sweep_used.py '
        "--model {input.model:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--cell {params.cell:q} "
        "--concept {input.concept:q} "
        "--others {params.others:q} "
        "--probes {input.probes:q} "
        "--device-map {resources.device_map:q} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "{params.kept:q} "
        "--out {output.answers:q} "
        "--above {output.above:q} "
        "> {log:q} 2>&1"
