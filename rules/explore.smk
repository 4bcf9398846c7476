# The page one plays with: one file that opens in any browser, without a server or a network.
#
# OUTPUTS
#   <shown>/explore/index.html
#   <shown>/explore/items.json, items.parquet, texts.parquet, margins.parquet, thumbnails.parquet    test items on the page
#
# scripts/layerwise/explore/catalogue.py lists its parts and charts; the module of each says when a study has it.


rule sample_items:
    input:
        **sampled_files(),
    output:
        SAMPLED,
    log:
        "<logs>/explore/items.log",
    benchmark:
        "<benchmarks>/explore/items.tsv"
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        inputs=as_options,
        cells=as_patterns(SAMPLED_CELLS),
        says=as_patterns([cell for cell in SAID_CELLS if cell in SAMPLED_CELLS]),
        writes=as_patterns([cell for cell in WRITTEN_CELLS if cell in SAMPLED_CELLS]),
        shown_as=lambda wildcards: as_json(FIRST_DRAWS),
        prompts=prompts_of_tasks,
        wanted=study.config.explore.items,
        seed=study.config.seed,
        pictures=study.config.explore.pictures,
        linked=[name for name in grid.used_stimuli() if not study.allows_copies(name)],
        side=study.config.explore.side,
        megabytes=study.config.explore.megabytes,
        out=lambda wildcards, output: Path(output[0]).parent,
        code=code_digest("sample_items.py"),
    message:
        "Sample test items for the page"
    shell:
        'python "$SCRIPTS"/sample_items.py '
        "--inputs {params.inputs:q} "
        "--cells {params.cells:q} "
        "--says {params.says:q} "
        "--writes {params.writes:q} "
        "--shown-as {params.shown_as:q} "
        "--prompts {params.prompts:q} "
        "--items {params.wanted} "
        "--seed {params.seed} "
        "--pictures {params.pictures} "
        "--linked {params.linked:q} "
        "--side {params.side} "
        "--megabytes {params.megabytes} "
        "--out {params.out:q} "
        "> {log:q} 2>&1"


rule make_page:
    input:
        **page_files(),
    output:
        report(PAGE, category="Explore", labels={"figure": "Page to play with"}),
    log:
        "<logs>/explore/page.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        parts=PAGE_PARTS,
        views=PAGE_VIEWS,
        inputs=as_options,
        title="Where in the model does the image's meaning live?",
        facts=page_facts(),
        left_out=left_out_option,
        assets=not_compared(str(PAGE_ASSETS)),
        text=assets_digest(),
        code=page_code(),
    message:
        "Make the page one plays with"
    shell:
        'python "$SCRIPTS"/make_page.py '
        "--parts {params.parts:q} "
        "--views {params.views:q} "
        "--inputs {params.inputs:q} "
        "--title {params.title:q} "
        "--facts {params.facts:q} "
        "{params.left_out} "
        "--assets {params.assets:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule explore:
    input:
        PAGE if PAGE_PARTS else [],
    localrule: True
