# Frozen models.
#
# OUTPUTS
#   <results>/embedded_model/weights       the small LLaVA that the workflow trains
#   <results>/embedded_model/curve.csv     its training curve
#   <results>/models/{model}/{recipe}/model.json    where a model's files lie, and a digest of what it computes


rule train_embedded_model:
    output:
        weights=EMBEDDED,
        curve="<results>/embedded_model/curve.csv",
    log:
        "<logs>/embedded_model.log",
    benchmark:
        "<benchmarks>/embedded_model.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        steps_scale=config["embedded_model"]["steps_scale"],
        seed=config["seed"],
        out=lambda wildcards, output: Path(output.weights).parent,
        code=code_digest("train_embedded_model.py"),
    message:
        "Train the small LLaVA on drawn shapes"
    shell:
        'python "$SCRIPTS"/train_embedded_model.py --out {params.out:q} --curve {output.curve:q} --seed {params.seed} '
        "--steps-scale {params.steps_scale} --threads {threads} > {log:q} 2>&1"


rule register_model:
    input:
        lambda wildcards: EMBEDDED if config["models"][wildcards.model]["source"] == "embedded" else [],
    output:
        "<results>/models/{model}/{recipe}/model.json",
    log:
        "<logs>/models/{model}.{recipe}.log",
    # Downloads happen where the workflow runs, never in a job on a node without a network.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=lambda wildcards: as_json(without(config["models"][wildcards.model], "batch_size", "sharing", "expected")),
        embedded=lambda wildcards, input: ["--embedded", str(Path(input[0]).parent)] if input else [],
        seed=config["seed"],
        code=code_digest("register_model.py"),
    message:
        "Find the files of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/register_model.py --name {wildcards.model} --entry {params.entry:q} {params.embedded:q} '
        "--seed {params.seed} --out {output:q} > {log:q} 2>&1"
