# Comparisons: every test and interval over cells, computed once. Figures and tables only show what stands here.
#
# OUTPUTS
#   <shown>/compare/{comparison}.parquet                            of the whole study
#   <results>/compare/flow/{model}/{questions}.{comparison}.parquet  of information flow in one model
#
# scripts/layerwise/compare/catalogue.py lists the comparisons; the module of each says what its columns hold.


wildcard_constraints:
    comparison="|".join(COMPARISONS),


rule compare:
    input:
        unpack(lambda wildcards: {name: files_of(name) for name in COMPARISONS[wildcards.comparison].reads}),
    output:
        COMPARED,
    log:
        "<logs>/compare/{comparison}.log",
    conda:
        "../envs/layerwise.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        inputs=as_options,
        options=lambda wildcards: options_of(wildcards.comparison),
        code=lambda wildcards: comparison_code(wildcards.comparison, METRICS_OF_TASKS),
    message:
        "Compare over all cells: {wildcards.comparison}"
    shell:
        'python "$SCRIPTS"/compare.py '
        "--comparison {wildcards.comparison} "
        "--inputs {params.inputs:q} "
        "--options {params.options:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


use rule compare as compare_flow with:
    input:
        unpack(
            lambda wildcards: {
                name: files_of_flow(name, wildcards) for name in COMPARISONS[wildcards.comparison].reads
            }
        ),
    output:
        COMPARED_FLOW,
    log:
        "<logs>/compare/flow/{model}/{questions}.{comparison}.log",
    message:
        "Average over questions: {wildcards.comparison} of {wildcards.model} over {wildcards.questions}"
