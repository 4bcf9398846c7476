"""Find the files of a table, and tell what they are by their names."""

import glob
from collections.abc import Sequence
from pathlib import Path

from layerwise.datasets.disk import is_dir, is_file
from layerwise.errors import InputError

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
# Parquet compresses its own columns.
PACKED = tuple(f"{ending}.gz" for ending in ENDINGS if ending != ".parquet")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def table_files(file: str | Sequence[str]) -> list[Path]:
    """The files of a table, sorted, each once.

    Args:
        file: a file, several, or patterns such as ``data/test-*.parquet`` (``**`` stands for folders of any depth). A
            file whose own name looks like a pattern is that file.

    Raises:
        InputError: when a file is missing, a pattern matches none, or a name does not end as a table's does.
    """
    patterns = [file] if isinstance(file, str) else list(file)
    if not patterns:
        raise InputError("a table needs at least one file, and none is named")
    found = {Path(path) for pattern in patterns for path in _matches(pattern)}
    for path in found:
        ending_of(path)
    return sorted(found)


def ending_of(file: Path) -> str:
    """What a table is by its name, one of :data:`ENDINGS`; what is packed with gzip is what it is unpacked.

    Raises:
        InputError: when the name ends in none of them.
    """
    name = file.name.lower()
    if name.endswith(PACKED):
        name = name.removesuffix(".gz")
    for ending in ENDINGS:
        if name.endswith(ending):
            return ending
    raise InputError(
        f"{file}: a table is a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file (text may be packed: .csv.gz)"
    )


def beginning_of(file: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: when the file is missing, cannot be read, is empty, or only points to the real one.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(64)
    except FileNotFoundError as error:
        raise InputError(f"{file}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if not beginning:
        raise InputError(f"{file}: cannot be read as a table (it is empty)")
    if beginning.startswith(LFS_POINTER):
        raise InputError(f"{file}: a pointer of Git LFS, not the table itself; fetch that with `git lfs pull`")
    return beginning


def _matches(pattern: str) -> list[str]:
    if is_file(pattern):
        return [pattern]
    if glob.has_magic(pattern):
        # Path.glob would take what other programs hide, such as ._a.csv.
        if found := [path for path in glob.glob(pattern, recursive=True) if is_file(path)]:  # noqa: PTH207
            return found
        raise InputError(f"no file matches {pattern!r}; relative patterns start from {Path.cwd()}")
    if is_dir(pattern):
        raise InputError(f"{pattern!r} is a folder; name the files in it, such as {pattern.rstrip('/')}/*.parquet")
    raise InputError(f"there is no file {pattern!r}; relative paths start from {Path.cwd()}")
