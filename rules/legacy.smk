# For models that run their authors' code: the older environment that the code needs, and the code itself.
#
# INPUTS
#   envs/legacy.txt, and the repositories in config/adapters.yaml
# OUTPUTS
#   <environments>/legacy/                             a plain environment of Python 3.11
#   <results>/upstream/{adapter}/{commit}/code/        the authors' code, at a pinned commit
PYTHON_OF_LEGACY = "3.11"


rule make_legacy_environment:
    input:
        f"{workflow.basedir}/envs/legacy.txt",
    output:
        "<environments>/legacy/ready",
    log:
        "<logs>/environments/legacy.log",
    priority: CHECK_FIRST
    # Packages are downloaded where the workflow runs, as are weights and code.
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        python=PYTHON_OF_LEGACY,
    message:
        "Make the environment of Qwen-VL, LaVIT and Emu"
    shell:
        'python "$SCRIPTS"/make_environment.py '
        "--requirements {input:q} "
        "--python {params.python} "
        "--folder {params.folder:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"


rule clone_upstream:
    output:
        "<results>/upstream/{adapter}/{commit}/cloned.txt",
    log:
        "<logs>/upstream/{adapter}.{commit}.log",
    priority: CHECK_FIRST
    localrule: True
    conda:
        "../envs/layerwise.yaml"
    params:
        repository=lambda wildcards: study.config.adapters[wildcards.adapter].upstream.repository,
        files=lambda wildcards: study.config.adapters[wildcards.adapter].upstream.files,
        folder=lambda wildcards, output: Path(output[0]).parent / "code",
    message:
        "Clone the code of {wildcards.adapter}"
    shell:
        'python "$SCRIPTS"/clone_upstream.py '
        "--repository {params.repository:q} "
        "--commit {wildcards.commit} "
        "--files {params.files:q} "
        "--folder {params.folder:q} "
        "--out {output:q} "
        "> {log:q} 2>&1"
