# Figures and tables. They read scores and descriptions only.
#
# OUTPUTS
#   <shown>/figures/{figure}-by-{axis}.png, .svg, .pdf     Figures 1 to 3 and those of the controls, by layer and depth
#   <shown>/figures/learning-curve.png, .svg, .pdf         test score by number of training images
#   <shown>/figures/sites-by-layer, head-map .png, .svg, .pdf      attention, MLP and heads, where states of them are kept
#   <shown>/figures/image-ablation, bypass .png, .svg, .pdf        models with an intervention, beside those without
#   <shown>/figures/training-curve-{embedded}.png, .svg, .pdf      of each model that the workflow trains
#   <shown>/figures/{picture}.html                         each of these with its caption, for the report
#   <shown>/tables/table1, table2, table3 .csv, .tex, .md, .html

# A page each: the figure with its caption.
FORMATS = ["png", "svg", "pdf", "html"]
CONTROLS = config["probes"]["controls"]
# Which tasks a figure is about: those of a question, or all.
QUESTION_OF = {"entailment": "global", "recognition-by-model": "local", "recognition-by-prompt": "local"}
QUESTION_OF |= {"selectivity": None, "code-length": None}
FIGURES = [figure for figure, question in QUESTION_OF.items() if question and grid.tasks_about(question)]
FIGURES += ["selectivity"] * (CONTROLS["random_labels"] > 0) + ["code-length"] * CONTROLS["description_length"]
# What figures and tables say of models that they are made without.
left_out_option = ["--left-out", *left_out] if left_out else []
# Figures of what a study may have: sites within blocks, and models with an intervention.
SITE_FIGURES = ["sites-by-layer"] * bool(grid.site_cells())
SITE_FIGURES += ["head-map"] * any("heads" in grid.sites(cell.model, cell.prompt) for cell in grid.site_cells())
INTERVENTION_FIGURES = ["image-ablation"] * bool(grid.intervened(["ablate-image", "cut-image"]))
INTERVENTION_FIGURES += ["bypass"] * bool(grid.intervened(["bypass"]))
TABLES = ["table1", "table2"] + ["table3"] * bool(INTERVENTION_FIGURES)
# A study of flows alone has nothing to probe.
PROBES = bool(config["tasks"])

# The report lists figures by name: those of the paper in its order, then what such scores are worth, parts of blocks,
# and interventions. By file name: its name, what the x axis shows, its caption, and what it is called there.
REPORTED = {
    f"{figure}-by-{axis}": (name, {"layer": "by layer", "depth": "by relative depth"}[axis], "layers", figure)
    for figure, name in {
        "entailment": "1 Agreement",
        "recognition-by-model": "2 Recognition by model",
        "recognition-by-prompt": "3 Recognition by prompt",
        "selectivity": "4 Selectivity",
        "code-length": "5 Description length",
    }.items()
    for axis in ["layer", "depth"]
}
REPORTED |= {
    "learning-curve": ("6 Learning curves", "by images", "learning-curve", ""),
    "sites-by-layer": ("7 Attention, MLP, heads", "by layer", "sites", "sites-by-layer"),
    "head-map": ("7 Single heads", "by head", "sites", "head-map"),
    "image-ablation": ("8 Image hidden", "by layer", "interventions", "image-ablation"),
    "bypass": ("8 Blocks bypassed", "by layer", "interventions", "bypass"),
}
REPORTED |= {
    f"training-curve-{name}": (f"9 Training of {name}", "by seconds", "training-curve", "")
    for name in config["embedded_models"]
}


wildcard_constraints:
    figure="|".join(QUESTION_OF),
    site_figure="sites-by-layer|head-map",
    intervention_figure="image-ablation|bypass",
    axis="layer|depth",
    picture="|".join(REPORTED),


rule plot_layers:
    input:
        scores="<shown>/probes/scores.parquet",
        tasks=tasks_about,
        models=all_models,
    output:
        multiext("<shown>/figures/{figure}-by-{axis}", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/{figure}-by-{axis}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        left_out=left_out_option,
        code=code_digest("plot_layers.py"),
    message:
        "Draw {wildcards.figure} by {wildcards.axis}"
    shell:
        'python "$SCRIPTS"/plot_layers.py --scores {input.scores:q} --tasks {input.tasks:q} --models {input.models:q} '
        "--figure {wildcards.figure} --axis {wildcards.axis} {params.left_out} --out {output:q} > {log:q} 2>&1"


rule plot_learning:
    input:
        curves="<shown>/probes/curves.parquet",
        scores="<shown>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        multiext("<shown>/figures/learning-curve", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/learning-curve.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        left_out=left_out_option,
        code=code_digest("plot_learning.py"),
    message:
        "Draw the learning curves"
    shell:
        'python "$SCRIPTS"/plot_learning.py --curves {input.curves:q} --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} {params.left_out} --out {output:q} > {log:q} 2>&1"


rule plot_sites:
    input:
        sites="<shown>/probes/sites.parquet",
        scores="<shown>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        multiext("<shown>/figures/{site_figure}", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/{site_figure}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        left_out=left_out_option,
        code=code_digest("plot_sites.py"),
    message:
        "Draw {wildcards.site_figure}"
    shell:
        'python "$SCRIPTS"/plot_sites.py --sites {input.sites:q} --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} --figure {wildcards.site_figure} {params.left_out} --out {output:q} > {log:q} 2>&1"


rule plot_interventions:
    input:
        scores="<shown>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
        prompts=[stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()],
    output:
        multiext("<shown>/figures/{intervention_figure}", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/{intervention_figure}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        left_out=left_out_option,
        code=code_digest("plot_interventions.py"),
    message:
        "Draw {wildcards.intervention_figure}"
    shell:
        'python "$SCRIPTS"/plot_interventions.py --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} --prompts {input.prompts:q} --figure {wildcards.intervention_figure} "
        "{params.left_out} --out {output:q} > {log:q} 2>&1"


rule plot_training_curve:
    input:
        "<results>/embedded_models/{embedded}/curve.csv",
    output:
        multiext("<shown>/figures/training-curve-{embedded}", ".png", ".svg", ".pdf"),
    log:
        "<logs>/figures/training-curve-{embedded}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        code=code_digest("plot_training_curve.py"),
    message:
        "Draw the training curve of {wildcards.embedded}"
    shell:
        'python "$SCRIPTS"/plot_training_curve.py --curve {input:q} --out {output:q} > {log:q} 2>&1'


rule show_figure:
    input:
        "<shown>/figures/{picture}.png",
    output:
        report(
            "<shown>/figures/{picture}.html",
            category="Figures",
            labels=lambda wildcards: dict(zip(["figure", "x axis"], REPORTED[wildcards.picture])),
        ),
    log:
        "<logs>/figures/{picture}.page.log",
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        title=lambda wildcards: REPORTED[wildcards.picture][0],
        caption=lambda wildcards: REPORTED[wildcards.picture][2],
        text=lambda wildcards: caption_digest(REPORTED[wildcards.picture][2]),
        named=lambda wildcards: caption_params(
            REPORTED[wildcards.picture][3], axis=wildcards.picture.rpartition("-by-")[2]
        ),
        code=code_digest("show_figure.py"),
    message:
        "Put {wildcards.picture} and its caption on a page"
    shell:
        'python "$SCRIPTS"/show_figure.py --picture {input:q} --title {params.title:q} '
        '--caption "$SCRIPTS"/../report/{params.caption:q}.rst --params {params.named:q} --out {output:q} > {log:q} 2>&1'


rule make_tables:
    input:
        scores="<shown>/probes/scores.parquet",
        predictions=[PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()],
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
        prompts=[stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()],
    output:
        multiext("<shown>/tables/table1", ".csv", ".tex", ".md"),
        multiext("<shown>/tables/table2", ".csv", ".tex", ".md"),
        table1=report(
            "<shown>/tables/table1.html",
            caption="../report/table1.rst",
            category="Tables",
            labels={"table": "1 What was probed"},
        ),
        table2=report(
            "<shown>/tables/table2.html",
            caption="../report/table2.rst",
            category="Tables",
            labels={"table": "2 Best layer and topmost block"},
        ),
    log:
        "<logs>/tables.log",
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        resamples=config["probes"]["resamples"],
        permutations=config["probes"]["permutations"],
        seed=config["seed"],
        position=config["states"]["positions"][0],
        predictions=lambda wildcards, input: Path(input.predictions[0]).parents[2],
        out=lambda wildcards, output: Path(output.table1).parent,
        left_out=left_out_option,
        code=code_digest("make_tables.py"),
    message:
        "Write Tables 1 and 2"
    shell:
        'python "$SCRIPTS"/make_tables.py --scores {input.scores:q} --predictions-root {params.predictions:q} '
        "--tasks {input.tasks:q} --models {input.models:q} --prompts {input.prompts:q} --resamples {params.resamples} "
        "--permutations {params.permutations} --seed {params.seed} --position {params.position} {params.left_out} "
        "--out-dir {params.out:q} > {log:q} 2>&1"


rule make_effects_table:
    input:
        scores="<shown>/probes/scores.parquet",
        predictions=[PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()],
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        multiext("<shown>/tables/table3", ".csv", ".tex", ".md"),
        html=report(
            "<shown>/tables/table3.html",
            caption="../report/table3.rst",
            category="Tables",
            labels={"table": "3 Interventions"},
        ),
    log:
        "<logs>/table3.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        resamples=config["probes"]["resamples"],
        permutations=config["probes"]["permutations"],
        seed=config["seed"],
        predictions=lambda wildcards, input: Path(input.predictions[0]).parents[2],
        out=lambda wildcards, output: Path(output.html).parent,
        left_out=left_out_option,
        code=code_digest("make_effects_table.py"),
    message:
        "Write Table 3"
    shell:
        'python "$SCRIPTS"/make_effects_table.py --scores {input.scores:q} --predictions-root {params.predictions:q} '
        "--tasks {input.tasks:q} --models {input.models:q} --resamples {params.resamples} "
        "--permutations {params.permutations} --seed {params.seed} {params.left_out} --out-dir {params.out:q} > {log:q} 2>&1"


rule figures:
    input:
        expand("<shown>/figures/{figure}.{format}", figure=SITE_FIGURES + INTERVENTION_FIGURES * PROBES, format=FORMATS),
        expand(
            "<shown>/figures/{figure}-by-{axis}.{format}",
            figure=FIGURES * PROBES,
            axis=["layer", "depth"],
            format=FORMATS,
        ),
        expand("<shown>/figures/learning-curve.{format}", format=FORMATS * (PROBES and CONTROLS["description_length"])),
        expand("<shown>/figures/training-curve-{name}.{format}", name=config["embedded_models"], format=FORMATS),
    localrule: True


rule tables:
    input:
        expand(
            "<shown>/tables/{table}.{format}",
            table=TABLES * PROBES,
            format=["csv", "tex", "md", "html"],
        ),
    localrule: True
