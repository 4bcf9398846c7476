# Data sets: drawn, or downloaded.
#
# OUTPUTS
#   <results>/worlds/{world}/world.json               a synthetic world: COCO, SNLI-VE, GQA, sequences
#   <data>/{source}/archives/{archive}.json           the receipt of a download, which lies beside it
#   <data>/{source}/annotations/{annotation}          annotation files, taken out of their archive
#   <data>/{source}/snli_ve/snli_ve_{part}.jsonl      SNLI-VE, built from SNLI
#   <data>/hub/{repository}/{commit}/{asked}.json     the receipt of a download from the Hugging Face hub, into its cache
#   <results>/stimuli/{stimuli}/{recipe}/images.txt   the images that the sampled items show
#   <results>/stimuli/{stimuli}/{recipe}/unpacked.json    once they have been taken out of their archives


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
        train=lambda wildcards: study.config.worlds[wildcards.world].train_images,
        val=lambda wildcards: study.config.worlds[wildcards.world].val_images,
        flickr=lambda wildcards: flickr_images_and_sequences(study.config.worlds[wildcards.world]),
        seed=study.config.seed,
        out=lambda wildcards, output: Path(output[0]).parent,
        code=code_digest("make_world.py"),
    message:
        "Draw the world {wildcards.world}"
    shell:
        'python "$SCRIPTS"/make_world.py '
        "--out {params.out:q} "
        "--train-images {params.train} "
        "--val-images {params.val} "
        "--flickr-images {params.flickr} "
        "--seed {params.seed} "
        "> {log:q} 2>&1"


# The rules of downloads have no param `code`, and their output is a receipt. Snakemake deletes the output of a job that
# failed or runs again, and an edited program must not fetch nineteen gigabytes again: downloaded and unpacked bytes are
# checked against the sums in the config or the archive.
rule download_archive:
    output:
        "<data>/{source}/archives/{archive}.json",
    log:
        "<logs>/downloads/{source}.{archive}.log",
    priority: CHECK_FIRST
    # Cluster nodes may have no network.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    resources:
        # No param: another mirror of the same bytes makes nothing stale.
        address=lambda wildcards: study.data.address(wildcards.source, wildcards.archive),
    params:
        expected=lambda wildcards: as_json(study.data.expected(wildcards.source, wildcards.archive)),
    message:
        "Download {wildcards.archive} of {wildcards.source}"
    shell:
        'python "$SCRIPTS"/download_archive.py '
        "--source {wildcards.source:q} "
        "--address {resources.address:q} "
        "--expected {params.expected:q} "
        "--receipt {output:q} "
        "> {log:q} 2>&1"


rule download_hub_files:
    output:
        "<data>/hub/{repository}/{commit}/{asked}.json",
    log:
        "<logs>/downloads/hub.{repository}.{commit}.{asked}.log",
    priority: CHECK_FIRST
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    resources:
        # No param: another name of the same data set makes nothing stale.
        dataset=lambda wildcards: own_download(wildcards).dataset,
    params:
        asked=lambda wildcards: as_json(own_download(wildcards).asked),
        told=not_compared(told_of_hub),
    message:
        "Download {resources.dataset} from the Hugging Face hub: {params.told}"
    shell:
        'python "$SCRIPTS"/download_hub_files.py '
        "--name {resources.dataset:q} "
        "--asked {params.asked:q} "
        "--receipt {output:q} "
        "> {log:q} 2>&1"


rule unpack_annotations:
    input:
        lambda wildcards: study.data.annotation_receipts(wildcards.source, wildcards.annotation),
    output:
        "<data>/{source}/annotations/{annotation}",
    log:
        "<logs>/downloads/{source}.{annotation}.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        out=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Unpack {wildcards.annotation} of {wildcards.source}"
    shell:
        'python "$SCRIPTS"/unpack.py '
        "--receipts {input:q} "
        "--members {wildcards.annotation:q} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule build_snli_ve:
    input:
        snli=expand("<data>/{{source}}/annotations/{file}", file=SNLI_FILES),
        lists=lambda wildcards: split_lists(study.data, wildcards.source),
    output:
        expand("<data>/{{source}}/snli_ve/snli_ve_{part}.jsonl", part=SNLI_VE_PARTS),
    log:
        "<logs>/downloads/{source}.snli_ve.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        snli=lambda wildcards, input: Path(input.snli[0]).parent,
        out=lambda wildcards, output: Path(output[0]).parent,
        code=code_digest("build_snli_ve.py"),
    message:
        "Build SNLI-VE from {wildcards.source}"
    shell:
        'python "$SCRIPTS"/build_snli_ve.py '
        "--snli {params.snli:q} "
        "--lists {input.lists:q} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule list_images:
    input:
        source_files,
    output:
        "<results>/stimuli/{stimuli}/{recipe}/images.txt",
    log:
        "<logs>/stimuli/{stimuli}.{recipe}.images.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        entry=items_entry,
        folders=dataset_options,
        seed=study.config.seed,
        code=kind_code("list_images.py"),
    message:
        "Sample the stimuli {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/list_images.py '
        "--entry {params.entry:q} "
        "{params.folders:q} "
        "--seed {params.seed} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule unpack_images:
    input:
        images="<results>/stimuli/{stimuli}/{recipe}/images.txt",
        receipts=image_receipts,
    output:
        "<results>/stimuli/{stimuli}/{recipe}/unpacked.json",
    log:
        "<logs>/stimuli/{stimuli}.{recipe}.unpacked.log",
    priority: CHECK_FIRST
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        out=image_folder,
    message:
        "Unpack the images of {wildcards.stimuli}"
    shell:
        'python "$SCRIPTS"/unpack.py '
        "--receipts {input.receipts:q} "
        "--list {input.images:q} "
        "--out {params.out:q} "
        "--receipt {output:q} "
        "> {log:q} 2>&1"
