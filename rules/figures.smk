# Figures and tables. They read scores and descriptions only.
#
# OUTPUTS
#   <shown>/figures/{figure}-by-{axis}.png, .svg, .pdf     Figures 1 to 3 and those of the controls, by layer and depth
#   <shown>/figures/learning-curve.png, .svg, .pdf         test score by number of training images
#   <shown>/figures/training-curve.png, .svg, .pdf         when the workflow trains its own model
#   <shown>/tables/table1, table2 .csv, .tex, .md, .html

FORMATS = ["png", "svg", "pdf"]
CONTROLS = config["probes"]["controls"]
# Which tasks a figure is about: those of a question, or all.
QUESTION_OF = {"entailment": "global", "recognition-by-model": "local", "recognition-by-prompt": "local"}
QUESTION_OF |= {"selectivity": None, "code-length": None}
FIGURES = [figure for figure, question in QUESTION_OF.items() if question and grid.tasks_about(question)]
FIGURES += ["selectivity"] * (CONTROLS["random_labels"] > 0) + ["code-length"] * CONTROLS["description_length"]
# What figures and tables say of models that they are made without.
left_out_option = ["--left-out", *left_out] if left_out else []
# A study of flows alone has nothing to probe.
PROBES = bool(config["tasks"])


wildcard_constraints:
    figure="|".join(QUESTION_OF),
    axis="layer|depth",


rule plot_layers:
    input:
        scores="<shown>/probes/scores.parquet",
        tasks=tasks_about,
        models=all_models,
    output:
        report(
            "<shown>/figures/{figure}-by-{axis}.png",
            caption="../report/layers.rst",
            category="Figures",
            labels={"figure": "{figure}", "x axis": "{axis}"},
        ),
        multiext("<shown>/figures/{figure}-by-{axis}", ".svg", ".pdf"),
    log:
        "<logs>/figures/{figure}-by-{axis}.log",
    conda:
        "../envs/layerwise.yaml"
    params:
        # For the caption.
        resamples=config["probes"]["resamples"],
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
        report(
            "<shown>/figures/learning-curve.png",
            caption="../report/learning-curve.rst",
            category="Figures",
            labels={"figure": "learning-curve", "x axis": "training images"},
        ),
        multiext("<shown>/figures/learning-curve", ".svg", ".pdf"),
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


rule plot_training_curve:
    input:
        "<results>/embedded_model/curve.csv",
    output:
        report(
            "<shown>/figures/training-curve.png",
            caption="../report/training-curve.rst",
            category="Figures",
            labels={"figure": "training-curve", "x axis": "seconds"},
        ),
        multiext("<shown>/figures/training-curve", ".svg", ".pdf"),
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
        scores="<shown>/probes/scores.parquet",
        predictions=[PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()],
        tasks=expand("<results>/tasks/{task}/task.json", task=config["tasks"]),
        models=all_models,
        prompts=[stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()],
    output:
        multiext("<shown>/tables/table1", ".csv", ".tex", ".md"),
        multiext("<shown>/tables/table2", ".csv", ".tex", ".md"),
        table1=report("<shown>/tables/table1.html", caption="../report/table1.rst", category="Tables"),
        table2=report("<shown>/tables/table2.html", caption="../report/table2.rst", category="Tables"),
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
        predictions=PROBES_FOLDER,
        out=lambda wildcards, output: Path(output.table1).parent,
        left_out=left_out_option,
        code=code_digest("make_tables.py"),
    message:
        "Write Tables 1 and 2"
    shell:
        'python "$SCRIPTS"/make_tables.py --scores {input.scores:q} --predictions-root {params.predictions:q} '
        "--tasks {input.tasks:q} --models {input.models:q} --prompts {input.prompts:q} --resamples {params.resamples} "
        "--seed {params.seed} {params.left_out} --out-dir {params.out:q} > {log:q} 2>&1"


rule figures:
    input:
        expand(
            "<shown>/figures/{figure}-by-{axis}.{format}",
            figure=FIGURES * PROBES,
            axis=["layer", "depth"],
            format=FORMATS,
        ),
        expand("<shown>/figures/learning-curve.{format}", format=FORMATS * (PROBES and CONTROLS["description_length"])),
        expand("<shown>/figures/training-curve.{format}", format=FORMATS if grid.trains_a_model() else []),
    localrule: True


rule tables:
    input:
        expand(
            "<shown>/tables/{table}.{format}", table=["table1", "table2"] * PROBES, format=["csv", "tex", "md", "html"]
        ),
    localrule: True
