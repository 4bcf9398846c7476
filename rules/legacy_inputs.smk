# What models need that run their authors' code.
from layerwise.config.models import Adapter


def needs_of(model):
    """What a model's adapter needs beyond the main environment; config/adapters.yaml says it."""
    return study.config.adapters.get(study.config.models[model].adapter, Adapter())


def needed_files(model):
    """The files that a model needs before it can be described and run."""
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
