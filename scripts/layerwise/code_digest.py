"""A digest of the code that makes a file, for Snakemake's ``params`` trigger.

Snakemake sees a changed rule, but not a changed module that a script imports. The digest covers a script and all
modules of this library that it imports, transitively, as syntax trees without comments and docstrings: an edited
comment reruns nothing, an edited solver reruns what was solved.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
PACKAGE = "layerwise"
# Every program starts and fails the same way; how, decides no result, and a better message must not cost GPU hours.
LEFT_OUT = {"layerwise/command.py", "layerwise/errors.py"}


def code_digest(*files: str) -> str:
    """SHA-256 over the code of ``files`` and of what they import from this library.

    Args:
        files: paths relative to ``scripts/``. Modules that a script loads by name (an adapter) are given here too,
            because no import statement shows them.
    """
    digest = hashlib.sha256()
    for file in sorted(_closure([SCRIPTS / file for file in files])):
        digest.update(f"{file.relative_to(SCRIPTS)}\n{_parsed(file, file.stat().st_mtime_ns)[0]}\n".encode())
    return digest.hexdigest()[:16]


def _closure(files: list[Path]) -> set[Path]:
    found: set[Path] = set()
    while files:
        file = files.pop()
        if file not in found:
            found.add(file)
            files += [SCRIPTS / name for name in _parsed(file, file.stat().st_mtime_ns)[1]]
    return found


@cache
def _parsed(file: Path, _modified: int) -> tuple[str, tuple[str, ...]]:
    """The canonical code of a file and the library files that it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported |= _module_files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imported |= _module_files(node.module)
            for alias in node.names:
                imported |= _module_files(f"{node.module}.{alias.name}")
    return _canonical(tree), tuple(sorted(imported))


def _module_files(module: str) -> set[str]:
    """The files that importing ``module`` runs: its own and its packages'. Empty for other libraries and for names."""
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return set()
    files = set()
    for depth in range(1, len(parts) + 1):
        stem = "/".join(parts[:depth])
        files |= {name for name in (f"{stem}.py", f"{stem}/__init__.py") if (SCRIPTS / name).is_file()}
    return files - LEFT_OUT


def _canonical(node: object) -> str:
    """A syntax tree as text, the same for every Python version: without positions, docstrings and empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = value[1:] if ast.get_docstring(node, clean=False) is not None else value
        if value is not None and value != []:
            fields.append(f"{name}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(fields)})"
