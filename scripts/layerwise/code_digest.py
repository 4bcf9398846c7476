"""A digest of the code that makes a file, for Snakemake's ``params`` trigger.

Snakemake sees a changed rule, but not a changed module that a script imports. The digest covers a script and all
modules of this library that it imports, transitively, as far as their code can change a number
(:mod:`layerwise.counted_code`): an edited message reruns nothing, an edited solver reruns what was solved.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from layerwise.counted_code import canonical, counted

SCRIPTS = Path(__file__).resolve().parent.parent
PACKAGE = "layerwise"
PROGRAMS = "layerwise/programs"
SAME_CODE = Path(__file__).parent / "same_code.json"
# Modules that decide no number: how programs start, fail, wait and write files, how downloads and cards are come by,
# and what is refused before a run. A module whose name ends in "checks" is left out too. Their functions are called
# for what they do or refuse, never for a number that they return. A module whose name ends in "catalogue" lists entries
# and loads none of them: the one that is used is given to `code_digest` by name.
LEFT_OUT = {
    "layerwise.cards",
    "layerwise.command",
    "layerwise.config",
    "layerwise.datasets.disk",
    "layerwise.datasets.format",
    "layerwise.errors",
    "layerwise.locks",
    "layerwise.models.explained",
    "layerwise.models.families",
    "layerwise.models.hub",
    "layerwise.states.going_on",
    "layerwise.states.kept",
    "layerwise.states.planned",
    "layerwise.stimuli.kind",
}


class _LeftOut:
    """The modules that are left out, by their names."""

    def __contains__(self, module: object) -> bool:
        name = str(module)
        return (
            name in LEFT_OUT
            # What a config says reaches programs as options.
            or name.startswith(f"{PACKAGE}.config.")
            or (name.startswith(f"{PACKAGE}.") and name.endswith(("checks", "catalogue")))
        )


@cache
def code_digest(*files: str) -> str:
    """The digest that ``files`` count as: their own, or that of older code which gives the same numbers.

    Which code does is listed in ``same_code.json``, and shown by tests/golden. Cached for the life of the process:
    planning calls it over 100,000 times.
    """
    digest = own_digest(*files)
    for listed in json.loads(SAME_CODE.read_text(encoding="utf-8")).values():
        if digest in listed["same"]:
            return listed["stands_for_all"]
    return digest


def own_digest(*files: str) -> str:
    """SHA-256 over the code of ``files`` and of what they import from this library.

    Args:
        files: paths relative to ``scripts/``. Modules that a script loads by name (an adapter) are given here too,
            because no import statement shows them.
    """
    digest = hashlib.sha256()
    counting = {file.relative_to(_home(file)): file for file in _closure([_find(file) for file in files])}
    for name in sorted(counting):
        digest.update(f"{name}\n{_parsed(counting[name])[0]}\n".encode())
    return digest.hexdigest()[:16]


def _find(file: str) -> Path:
    """A file of ``scripts/``. Beside an installed library the programs have a folder of their own (setup.py)."""
    path = SCRIPTS / file
    return path if path.exists() else SCRIPTS / PROGRAMS / file


def _home(file: Path) -> Path:
    """The folder that stands for ``scripts/``, so that names of files are the same wherever the library lies."""
    return SCRIPTS / PROGRAMS if SCRIPTS / PROGRAMS in file.parents else SCRIPTS


def _closure(files: list[Path]) -> set[Path]:
    found: set[Path] = set()
    while files:
        file = files.pop()
        if file not in found:
            found.add(file)
            files += [SCRIPTS / name for name in _parsed(file)[1]]
    return found


@cache
def _parsed(file: Path) -> tuple[str, tuple[str, ...]]:
    """The canonical code of a file and the library files that it imports."""
    tree = counted(file.read_text(encoding="utf-8"), str(file), _LeftOut())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported |= _module_files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imported |= _module_files(node.module)
            for alias in node.names:
                imported |= _module_files(f"{node.module}.{alias.name}")
    return canonical(tree), tuple(sorted(imported))


def _module_files(module: str) -> set[str]:
    """The files that importing ``module`` runs: its own and its packages'. Empty for other libraries and for names.

    Without the library's own ``__init__.py``: it offers names to users, and decides no number.
    """
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return set()
    files = set()
    for depth in range(2, len(parts) + 1):
        stem = "/".join(parts[:depth])
        files |= {name for name in (f"{stem}.py", f"{stem}/__init__.py") if (SCRIPTS / name).is_file()}
    return files
