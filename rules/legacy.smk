# Models that run their authors' code: the older environment that it is written for, and the code itself.
#
# INPUTS
#   envs/legacy.txt, and the repositories in config/adapters.yaml
# OUTPUTS
#   <environments>/legacy/                             a plain environment of Python 3.11
#   <results>/upstream/{adapter}/{commit}/code/        the authors' code, at a pinned commit
from layerwise.config.models import Adapter

PYTHON_OF_LEGACY = "3.11"


def needs_of(model):
    """What a model's adapter needs beyond the main environment; config/adapters.yaml says it."""
    return study.config.adapters.get(study.config.models[model].adapter, Adapter())


def needed_files(model):
    """What must be there before a model can be described and run."""
    needs, adapter = needs_of(model), study.config.models[model].adapter
    environment = ["<environments>/legacy/ready"] if needs.environment == "legacy" else []
    code = [f"<results>/upstream/{adapter}/{needs.upstream.commit}/cloned.txt"] if needs.upstream else []
    return environment + code


def upstream_of(model):
    """Where the authors' code lies, as an option; empty for a model that needs none."""
    upstream, adapter = needs_of(model).upstream, study.config.models[model].adapter
    if upstream is None:
        return []
    folder = f"{study.results}/upstream/{adapter}/{upstream.commit}/code/{upstream.folder}"
    return ["--upstream", as_json({"commit": upstream.commit, "folder": folder})]


def python_of(model):
    """The Python that runs a model."""
    legacy = needs_of(model).environment == "legacy"
    return f"{study.config.pathvars.environments}/legacy/bin/python" if legacy else "python"


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
