# The page one plays with: one file that opens in any browser, without a server or a network.
#
# OUTPUTS
#   <shown>/explore/index.html
#
# scripts/layerwise/explore/catalogue.py lists its parts and charts; the module of each says when a study has it.


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
