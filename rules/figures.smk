# Figures and tables. They read scores and descriptions only.
#
# OUTPUTS
#   <results>/figures/{figure}-by-{axis}.png, .svg, .pdf     Figures 1 to 3 and those of the controls, by layer and depth
#   <results>/figures/learning-curve.png, .svg, .pdf         test score by number of training images
#   <results>/figures/sites-by-layer, head-map .png, .svg, .pdf      attention, MLP and heads, where states of them are kept
#   <results>/figures/image-ablation, bypass .png, .svg, .pdf        models with an intervention, beside those without
#   <results>/figures/training-curve.png, .svg, .pdf         when the workflow trains its own model
#   <results>/tables/table1, table2, table3 .csv, .tex, .md, .html

FORMATS = ["png", "svg", "pdf"]
CONTROLS = config["probes"]["controls"]
# Which tasks a figure is about: those of a question, or all.
QUESTION_OF = {"entailment": "global", "recognition-by-model": "local", "recognition-by-prompt": "local"}
QUESTION_OF |= {"selectivity": None, "code-length": None}
FIGURES = [figure for figure, question in QUESTION_OF.items() if question and grid.tasks_about(question)]
FIGURES += ["selectivity"] * (CONTROLS["random_labels"] > 0) + ["code-length"] * CONTROLS["description_length"]
# Figures of what a study may have: sites within blocks, and models with an intervention.
SITE_FIGURES = ["sites-by-layer"] * bool(grid.site_cells())
SITE_FIGURES += ["head-map"] * any("heads" in grid.sites(cell.model, cell.prompt) for cell in grid.site_cells())
INTERVENTION_FIGURES = ["image-ablation"] * bool(grid.intervened(["ablate-image", "cut-image"]))
INTERVENTION_FIGURES += ["bypass"] * bool(grid.intervened(["bypass"]))
TABLES = ["table1", "table2"] + ["table3"] * bool(INTERVENTION_FIGURES)
# A study of flows alone has nothing to probe.
PROBES = bool(config["tasks"])


wildcard_constraints:
    figure="|".join(QUESTION_OF),
    site_figure="sites-by-layer|head-map",
    intervention_figure="image-ablation|bypass",
    axis="layer|depth",


rule plot_layers:
    input:
        scores="<results>/probes/scores.parquet",
        tasks=tasks_about,
        models=all_models,
    output:
        report(
            "<results>/figures/{figure}-by-{axis}.png",
            caption="../report/layers.rst",
            category="Figures",
            labels={"figure": "{figure}", "x axis": "{axis}"},
        ),
        multiext("<results>/figures/{figure}-by-{axis}", ".svg", ".pdf"),
    log:
        "<logs>/figures/{figure}-by-{axis}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        # For the caption.
        resamples=config["probes"]["resamples"],
        code=code_digest("plot_layers.py"),
    message:
        "Draw {wildcards.figure} by {wildcards.axis}"
    shell:
        'python "$SCRIPTS"/plot_layers.py --scores {input.scores:q} --tasks {input.tasks:q} --models {input.models:q} '
        "--figure {wildcards.figure} --axis {wildcards.axis} --out {output:q} > {log:q} 2>&1"


rule plot_learning:
    input:
        curves="<results>/probes/curves.parquet",
        scores="<results>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        report(
            "<results>/figures/learning-curve.png",
            caption="../report/learning-curve.rst",
            category="Figures",
            labels={"figure": "learning-curve", "x axis": "training images"},
        ),
        multiext("<results>/figures/learning-curve", ".svg", ".pdf"),
    log:
        "<logs>/figures/learning-curve.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        code=code_digest("plot_learning.py"),
    message:
        "Draw the learning curves"
    shell:
        'python "$SCRIPTS"/plot_learning.py --curves {input.curves:q} --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} --out {output:q} > {log:q} 2>&1"


rule plot_sites:
    input:
        sites="<results>/probes/sites.parquet",
        scores="<results>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        report(
            "<results>/figures/{site_figure}.png",
            caption="../report/sites.rst",
            category="Figures",
            labels={"figure": "{site_figure}", "x axis": "layer or head"},
        ),
        multiext("<results>/figures/{site_figure}", ".svg", ".pdf"),
    log:
        "<logs>/figures/{site_figure}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        # For the caption.
        resamples=config["probes"]["resamples"],
        code=code_digest("plot_sites.py"),
    message:
        "Draw {wildcards.site_figure}"
    shell:
        'python "$SCRIPTS"/plot_sites.py --sites {input.sites:q} --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} --figure {wildcards.site_figure} --out {output:q} > {log:q} 2>&1"


rule plot_interventions:
    input:
        scores="<results>/probes/scores.parquet",
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
        prompts=[stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()],
    output:
        report(
            "<results>/figures/{intervention_figure}.png",
            caption="../report/interventions.rst",
            category="Figures",
            labels={"figure": "{intervention_figure}", "x axis": "layer"},
        ),
        multiext("<results>/figures/{intervention_figure}", ".svg", ".pdf"),
    log:
        "<logs>/figures/{intervention_figure}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        resamples=config["probes"]["resamples"],
        code=code_digest("plot_interventions.py"),
    message:
        "Draw {wildcards.intervention_figure}"
    shell:
        'python "$SCRIPTS"/plot_interventions.py --scores {input.scores:q} --tasks {input.tasks:q} '
        "--models {input.models:q} --prompts {input.prompts:q} --figure {wildcards.intervention_figure} "
        "--out {output:q} > {log:q} 2>&1"


rule plot_training_curve:
    input:
        "<results>/embedded_model/curve.csv",
    output:
        report(
            "<results>/figures/training-curve.png",
            caption="../report/training-curve.rst",
            category="Figures",
            labels={"figure": "training-curve", "x axis": "seconds"},
        ),
        multiext("<results>/figures/training-curve", ".svg", ".pdf"),
    log:
        "<logs>/figures/training-curve.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        code=code_digest("plot_training_curve.py"),
    message:
        "Draw the training curve of the embedded model"
    shell:
        'python "$SCRIPTS"/plot_training_curve.py --curve {input:q} --out {output:q} > {log:q} 2>&1'


rule make_tables:
    input:
        scores="<results>/probes/scores.parquet",
        predictions=[PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()],
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
        prompts=[stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()],
    output:
        multiext("<results>/tables/table1", ".csv", ".tex", ".md"),
        multiext("<results>/tables/table2", ".csv", ".tex", ".md"),
        table1=report("<results>/tables/table1.html", caption="../report/table1.rst", category="Tables"),
        table2=report("<results>/tables/table2.html", caption="../report/table2.rst", category="Tables"),
    log:
        "<logs>/tables.log",
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        resamples=config["probes"]["resamples"],
        seed=config["seed"],
        predictions=lambda wildcards, input: Path(input.scores).parent,
        out=lambda wildcards, output: Path(output.table1).parent,
        code=code_digest("make_tables.py"),
    message:
        "Write Tables 1 and 2"
    shell:
        'python "$SCRIPTS"/make_tables.py --scores {input.scores:q} --predictions-root {params.predictions:q} '
        "--tasks {input.tasks:q} --models {input.models:q} --prompts {input.prompts:q} --resamples {params.resamples} "
        "--seed {params.seed} --out-dir {params.out:q} > {log:q} 2>&1"


rule make_effects_table:
    input:
        scores="<results>/probes/scores.parquet",
        predictions=[PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()],
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
    output:
        multiext("<results>/tables/table3", ".csv", ".tex", ".md"),
        html=report("<results>/tables/table3.html", caption="../report/table3.rst", category="Tables"),
    log:
        "<logs>/table3.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        resamples=config["probes"]["resamples"],
        seed=config["seed"],
        predictions=lambda wildcards, input: Path(input.scores).parent,
        out=lambda wildcards, output: Path(output.html).parent,
        code=code_digest("make_effects_table.py"),
    message:
        "Write Table 3"
    shell:
        'python "$SCRIPTS"/make_effects_table.py --scores {input.scores:q} --predictions-root {params.predictions:q} '
        "--tasks {input.tasks:q} --models {input.models:q} --resamples {params.resamples} --seed {params.seed} "
        "--out-dir {params.out:q} > {log:q} 2>&1"


rule figures:
    input:
        expand(
            "<results>/figures/{figure}.{format}", figure=SITE_FIGURES + INTERVENTION_FIGURES * PROBES, format=FORMATS
        ),
        expand(
            "<results>/figures/{figure}-by-{axis}.{format}",
            figure=FIGURES * PROBES,
            axis=["layer", "depth"],
            format=FORMATS,
        ),
        expand(
            "<results>/figures/learning-curve.{format}", format=FORMATS * (PROBES and CONTROLS["description_length"])
        ),
        expand("<results>/figures/training-curve.{format}", format=FORMATS if grid.trains_a_model() else []),
    localrule: True


rule tables:
    input:
        expand(
            "<results>/tables/{table}.{format}",
            table=TABLES * PROBES,
            format=["csv", "tex", "md", "html"],
        ),
    localrule: True
