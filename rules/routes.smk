# Trained routes: can what lower layers know be routed to the top of a frozen model? (outlook of arXiv 2402.17304)
#
# OUTPUTS
#   <results>/used/routes/{model}/{task}/{prompt}/{route}.safetensors        the route
#   <results>/used/routes/{model}/{task}/{prompt}/{route}.control.parquet    what a probe of the top with as many parameters finds


wildcard_constraints:
    # By name, so that a dot in a file's name does not end one.
    route="|".join(map(re.escape, ROUTE_CELLS)) or "[^/]+",


rule train_route:
    input:
        **PROBE_INPUT,
        head=lambda wildcards: study.head_file(wildcards.model),
    output:
        route=ROUTE,
        control=ROUTE_CONTROL,
    log:
        "<logs>/used/routes/{model}/{task}/{prompt}/{route}.log",
    benchmark:
        "<benchmarks>/used/routes/{model}/{task}/{prompt}/{route}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        batch_size=model_key("batch_size"),
        device_map=device_map,
        cards=cards,
        gpu=route_gpus,
        mem_mb=route_memory_mb,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        cell=states_cell,
        route=route_entry,
        stimuli=lambda wildcards, input: Path(input.shown).parent,
        task=lambda wildcards, input: Path(input.task).parent,
        work=f"{study.results}/work",
        kept=not_compared(KEPT),
    message:
        "Train the route {wildcards.route} of {wildcards.model} for {wildcards.task} with the prompt {wildcards.prompt}"
    shell:
        'python "$SCRIPTS"/train_route.py '
        "--states {input.states:q} "
        "--cell {params.cell:q} "
        "--route {params.route:q} "
        "--model {input.model:q} "
        "--head {input.head:q} "
        "--stimuli {params.stimuli:q} "
        "--task {params.task:q} "
        "--batch-size {resources.batch_size} "
        "--device-map {resources.device_map:q} "
        "--cards {resources.cards} "
        "--threads {threads} "
        "--work {params.work:q} "
        "{params.kept:q} "
        "--control {output.control:q} "
        "--out {output.route:q} "
        "> {log:q} 2>&1"
