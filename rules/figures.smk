# Figures and tables: they show the comparisons and compute nothing.
#
# OUTPUTS
#   <shown>/figures/{picture}.png, .svg, .pdf, .html       of the whole study; the page has the figure's caption
#   <results>/figures/flow/{model}/{questions}/{flow_figure}.png, .svg, .pdf, .html     of information flow in one model
#   <shown>/tables/{table}.csv, .tex, .md, .html
#
# scripts/layerwise/figures/catalogue.py lists figures and tables; the module of each says when a study has it.


wildcard_constraints:
    picture="|".join(map(re.escape, PICTURES)) or "[^/]+",
    flow_figure="|".join(FLOW_FIGURES) or "[^/]+",


rule plot_figure:
    input:
        unpack(picture_files),
    output:
        multiext("<shown>/figures/{picture}", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/{picture}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        inputs=as_options,
        figure=lambda wildcards: PICTURES[wildcards.picture].figure,
        variant=lambda wildcards: PICTURES[wildcards.picture].variant,
        left_out=left_out_option,
        code=lambda wildcards: code_digest("plot_figure.py", FIGURES.file(PICTURES[wildcards.picture].figure)),
    message:
        "Draw {wildcards.picture}"
    shell:
        'python "$SCRIPTS"/plot_figure.py '
        "--figure {params.figure} "
        "--variant={params.variant:q} "
        "--inputs {params.inputs:q} "
        "{params.left_out} "
        "--out {output:q} "
        "> {log:q} 2>&1"


use rule plot_figure as plot_flow_figure with:
    input:
        unpack(
            lambda wildcards: {name: files_of_flow(name, wildcards) for name in FIGURES[wildcards.flow_figure].reads}
        ),
    output:
        multiext(FLOW_FIGURE, ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/flow/{model}/{questions}/{flow_figure}.log",
    params:
        inputs=as_options,
        figure="{flow_figure}",
        variant="",
        left_out=[],
        code=lambda wildcards: code_digest("plot_figure.py", FIGURES.file(wildcards.flow_figure)),
    message:
        "Draw {wildcards.flow_figure} of {wildcards.model} over {wildcards.questions}"


rule show_figure:
    input:
        "<shown>/figures/{picture}.png",
    output:
        report(
            "<shown>/figures/{picture}.html",
            category="Figures",
            labels=lambda wildcards: {
                "figure": PICTURES[wildcards.picture].title,
                "x axis": PICTURES[wildcards.picture].axis,
            },
        ),
    log:
        "<logs>/figures/{picture}.page.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        title=lambda wildcards: PICTURES[wildcards.picture].title,
        caption=lambda wildcards: f"{PICTURES[wildcards.picture].figure}.rst",
        text=lambda wildcards: caption_digest(CAPTIONS, PICTURES[wildcards.picture].figure),
        named=lambda wildcards: caption_params(
            PICTURES[wildcards.picture].variant, figure=PICTURES[wildcards.picture].figure
        ),
        code=code_digest("show_figure.py"),
    message:
        "Put {wildcards.picture} and its caption on a page"
    shell:
        'python "$SCRIPTS"/show_figure.py '
        "--picture {input:q} "
        "--title {params.title:q} "
        '--caption "$SCRIPTS"/../report/{params.caption:q} '
        "--params {params.named:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


use rule show_figure as show_flow_figure with:
    input:
        f"{FLOW_FIGURE}.png",
    output:
        report(
            f"{FLOW_FIGURE}.html",
            category="Information flow",
            labels={"figure": "{flow_figure}", "model": "{model}", "questions": "{questions}"},
        ),
    log:
        "<logs>/figures/flow/{model}/{questions}/{flow_figure}.page.log",
    params:
        title="{flow_figure}, {model}, {questions}",
        caption="{flow_figure}.rst",
        text=lambda wildcards: caption_digest(CAPTIONS, wildcards.flow_figure),
        named=lambda wildcards: caption_params(window=grid.window(wildcards.model)),
        code=code_digest("show_figure.py"),
    message:
        "Put {wildcards.flow_figure} of {wildcards.model} over {wildcards.questions} and its caption on a page"


# A rule for each table, because Snakemake takes the caption of a table for its report from the rule.
for table in tables(contents):

    rule:
        name:
            f"make_{table}"
        input:
            unpack(table_files(table)),
        output:
            multiext(f"<shown>/tables/{table}", ".csv", ".tex", ".md"),
            html=report(
                f"<shown>/tables/{table}.html",
                caption=f"../report/{table}.rst",
                category=TABLES[table].category,
                labels=TABLES[table].labels,
            ),
        log:
            f"<logs>/tables/{table}.log",
        localrule: True
        conda:
            "../envs/layerwise.yaml"
        params:
            inputs=as_options,
            table=table,
            position=study.config.states.positions[0],
            # For the caption.
            resamples=resamples(TABLES[table].per_flow),
            training_draws=study.config.probes.training_draws,
            left_out=left_out_option,
            out=lambda wildcards, output: Path(output.html).parent,
            code=code_digest("make_table.py", TABLES.file(table)),
        message:
            "Write {params.table}"
        shell:
            'python "$SCRIPTS"/make_table.py '
            "--table {params.table} "
            "--inputs {params.inputs:q} "
            "--position {params.position} "
            "{params.left_out} "
            "--out-dir {params.out:q} "
            "> {log:q} 2>&1"


rule figures:
    input:
        expand("<shown>/figures/{picture}.{format}", picture=PICTURES, format=FORMATS),
    localrule: True


rule tables:
    input:
        [
            f"<shown>/tables/{table}.{format}"
            for table in tables(contents)
            for format in ["csv", "tex", "md", "html"]
            if not TABLES[table].per_flow
        ],
    localrule: True


rule flow:
    input:
        flow_figure_files(FORMATS),
        [
            f"<shown>/tables/{table}.{format}"
            for table in tables(contents)
            for format in ["csv", "tex", "md", "html"]
            if TABLES[table].per_flow
        ],
    localrule: True
