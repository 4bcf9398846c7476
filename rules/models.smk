# Frozen models.
#
# OUTPUTS
#   <results>/embedded_models/{embedded}/weights       a small LLaVA that the workflow trains
#   <results>/embedded_models/{embedded}/curve.csv     its training curve
#   <results>/converted/{model}/{recipe}   safetensors of a model whose weights came in an older format
#   <results>/processors/{model}/{recipe}  a model's files, with other settings of its image processor
#   <results>/models/{model}/{recipe}/model.json    where a model's files lie, and a digest of what it computes


rule train_embedded_model:
    output:
        weights="<results>/embedded_models/{embedded}/weights/model.safetensors",
        curve="<results>/embedded_models/{embedded}/curve.csv",
    log:
        "<logs>/embedded_models/{embedded}.log",
    benchmark:
        "<benchmarks>/embedded_models/{embedded}.tsv"
    conda:
        "../envs/layerwise.yaml"
    # A single model is ready sooner on two threads; several train side by side.
    threads: 2 if len(study.config.embedded_models) == 1 else 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        steps_scale=training("steps_scale"),
        objective=training("objective"),
        seed=training("seed"),
        out=lambda wildcards, output: Path(output.weights).parent,
        code=code_digest("train_embedded_model.py"),
    message:
        "Train the small LLaVA {wildcards.embedded} on drawn shapes"
    shell:
        'python "$SCRIPTS"/train_embedded_model.py '
        "--out {params.out:q} "
        "--curve {output.curve:q} "
        "--seed {params.seed} "
        "--objective {params.objective} "
        "--steps-scale {params.steps_scale} "
        "--threads {threads} "
        "> {log:q} 2>&1"


rule convert_weights:
    output:
        "<results>/converted/{model}/{recipe}/model.safetensors",
    log:
        "<logs>/converted/{model}.{recipe}.log",
    # It downloads what it converts.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=converted_entry,
        out=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Write the weights of {wildcards.model} as safetensors"
    shell:
        'python "$SCRIPTS"/convert_weights.py '
        "--name {wildcards.model} "
        "--entry {params.entry:q} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule set_processor:
    input:
        made=lambda wildcards: made_weights(wildcards.model),
    output:
        "<results>/processors/{model}/{recipe}/config.json",
    log:
        "<logs>/processors/{model}.{recipe}.log",
    # It may download.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=processor_entry,
        made=lambda wildcards, input: ["--made", str(Path(input.made[0]).parent)] if input.made else [],
        out=lambda wildcards, output: Path(output[0]).parent,
        code=code_digest(PROCESSOR_CODE),
    message:
        "Set the image processor of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/set_processor.py '
        "--name {wildcards.model} "
        "--entry {params.entry:q} "
        "{params.made:q} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule register_model:
    input:
        made=lambda wildcards: made_files(wildcards.model),
        # Extraction needs these too, but waits for model.json alone: remaking them must not make states stale.
        needs=lambda wildcards: needed_files(wildcards.model),
    output:
        "<results>/models/{model}/{recipe}/model.json",
    log:
        "<logs>/models/{model}.{recipe}.log",
    # It may download, and cluster nodes may have no network.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        entry=registered_entry,
        made=lambda wildcards, input: ["--made", str(Path(input.made[0]).parent)] if input.made else [],
        upstream=lambda wildcards: upstream_of(wildcards.model),
        seed=lambda wildcards: seed_of(study.config, wildcards.model),
        code=code_digest("register_model.py"),
    message:
        "Find the files of {wildcards.model}"
    shell:
        'python "$SCRIPTS"/register_model.py '
        "--name {wildcards.model} "
        "--entry {params.entry:q} "
        "{params.made:q} "
        "{params.upstream:q} "
        "--seed {params.seed} "
        "--out {output:q} "
        "> {log:q} 2>&1"
