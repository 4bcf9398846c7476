"""Where the workflow lies: in the clone that this library is part of, or where ``pip install`` put it (setup.py)."""

import tomllib
from pathlib import Path

_LIBRARY = Path(__file__).resolve().parent
_CLONE = _LIBRARY.parents[1]
_INSTALLED = _LIBRARY / "workflow"
_IS_IN_WORKFLOW = _LIBRARY.parent.name == "scripts" and (_CLONE / "Snakefile").is_file()

# The folder of the Snakefile, with rules, configs, profiles and programs.
WORKFLOW = _CLONE if _IS_IN_WORKFLOW else _INSTALLED
# Whether the folder is a part of an installed package, rather than a clone in which users also keep studies.
IS_INSTALLED = (WORKFLOW.parent / "__init__.py").is_file()


def snakefile_option() -> list[str]:
    """What a command for Snakemake must say to find an installed workflow, for a shell; nothing in a clone."""
    return ["--snakefile", '"$(layerwise where)"'] if IS_INSTALLED else []


def version() -> str:
    """The version of this project."""
    with (WORKFLOW / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["version"]
