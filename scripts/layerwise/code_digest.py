"""A digest of the code that makes a file, for Snakemake's ``params`` trigger.

Snakemake sees a changed rule, but not a changed module that a script imports. The digest covers a script and all
modules of this library that it imports, directly or not, as far as their code can change a number
(:mod:`layerwise.counted_code`). An edited message reruns nothing; an edited solver reruns the fits.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from layerwise.counted_code import canonical, counted, is_catalogue

SCRIPTS = Path(__file__).resolve().parent.parent
PACKAGE = "layerwise"
PROGRAMS = "layerwise/workflow/scripts"
SAME_CODE = Path(__file__).parent / "same_code.json"
# Modules and whole packages that decide no number, and why. They are called for what they do or refuse, never for a
# number that they return.
LEFT_OUT = {
    "layerwise.config": "what a config says reaches programs as options",
    "layerwise.datasets.disk": "looks at the disk before a run",
    "layerwise.datasets.format": "describes what a data format is asked for",
    "layerwise.errors": "the class of refusals",
    "layerwise.hub_client": "downloads files, which count by their content",
    "layerwise.jobs": "how jobs start, wait, fail, write files and find finished ones",
    "layerwise.models.explained": "words the errors of other libraries",
    "layerwise.models.families": "chooses between ways to the same states, or refuses one",
    "layerwise.models.hub": "downloads files, which count by their content",
    "layerwise.states.going_on": "starts other cells' extractions, with the code that their own jobs run, and reads "
    "further positions beside a cell's states, which stay the same to the bit (tests/unit/states)",
    "layerwise.stimuli.kind": "describes what a kind of stimuli is asked for",
}


class _LeftOut:
    """The modules that are left out, by their names.

    Those whose names end in "checks" are left out too: they refuse a run before it starts. So are those called
    "catalogue": they list entries and load none. Whoever takes a digest adds the module of the entry in use.
    """

    def __contains__(self, module: object) -> bool:
        parts = str(module).split(".")
        if parts[0] != PACKAGE:
            return False
        packages = {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
        return not packages.isdisjoint(LEFT_OUT) or parts[-1].endswith("checks") or is_catalogue(str(module))


@cache
def code_digest(*files: str) -> str:
    """The digest that ``files`` count as: their own, or that of older code that gives the same numbers.

    ``same_code.json`` lists such code, and tests/golden shows that the numbers are the same. Cached for the life of the
    process, because planning calls this over 100,000 times.
    """
    digest = own_digest(*files)
    for listed in json.loads(SAME_CODE.read_text(encoding="utf-8")).values():
        if digest in listed["same"]:
            return listed["stands_for_all"]
    return digest


def own_digest(*files: str) -> str:
    """SHA-256, shortened to 16 digits, over the code of ``files`` and of what they import from this library.

    Args:
        files: paths relative to ``scripts/``. Modules that a script loads by name - an adapter, an entry of a catalogue
            (:meth:`layerwise.catalogue.Catalogue.file`) - must be named here too: no import statement shows them.
    """
    digest = hashlib.sha256()
    counting = {file.relative_to(_home(file)): file for file in _closure([_find(file) for file in files])}
    for name in sorted(counting):
        digest.update(f"{name}\n{_parsed(counting[name])[0]}\n".encode())
    return digest.hexdigest()[:16]


def _find(file: str) -> Path:
    """A file of ``scripts/``. In an installed library, the programs are in the workflow's folder (setup.py)."""
    path = SCRIPTS / file
    return path if path.exists() else SCRIPTS / PROGRAMS / file


def _home(file: Path) -> Path:
    """The folder that counts as ``scripts/``, so that files have the same names wherever the library is installed."""
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
    """The files that importing ``module`` runs: its own and its packages'.

    Empty for other libraries, and for names that are no modules. The library's own ``__init__.py`` is left out: it
    offers names to users and decides no number.
    """
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return set()
    files = set()
    for depth in range(2, len(parts) + 1):
        stem = "/".join(parts[:depth])
        files |= {name for name in (f"{stem}.py", f"{stem}/__init__.py") if (SCRIPTS / name).is_file()}
    return files
