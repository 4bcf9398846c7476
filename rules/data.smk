# Data sets.
#
# OUTPUTS
#   <results>/worlds/{world}/world.json    a synthetic world in the formats of COCO, SNLI-VE and GQA


rule make_world:
    output:
        "<results>/worlds/{world}/world.json",
    log:
        "<logs>/worlds/{world}.log",
    benchmark:
        "<benchmarks>/worlds/{world}.tsv"
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        train=lookup("worlds/{world}/train_images", within=config),
        val=lookup("worlds/{world}/val_images", within=config),
        flickr=lookup("worlds/{world}/flickr_images", within=config),
        seed=config["seed"],
        out=lambda wildcards, output: Path(output[0]).parent,
        code=code_digest("make_world.py"),
    message:
        "Draw the world {wildcards.world}"
    shell:
        'python "$SCRIPTS"/make_world.py --out {params.out:q} --train-images {params.train} --val-images {params.val} '
        "--flickr-images {params.flickr} --seed {params.seed} > {log:q} 2>&1"
