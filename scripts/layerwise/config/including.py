"""Config files that a study builds on: ``include`` names them, and what they say lies beneath the study's own keys."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from layerwise.config.reading import read_config
from layerwise.errors import InputError


def included(files: Sequence[str | Path], shared: str | Path) -> list[Path]:
    """The files that a study's config files include, in the order in which they are merged: a later one overrides.

    A name is looked up beside the file that names it, then in the project's own config folder. A file that is included
    may include others, which lie beneath it.

    Args:
        files: the study's config files.
        shared: the project's own config folder.

    Returns:
        Absolute paths, each once, where it was first needed.

    Raises:
        InputError: when a file does not exist or cannot be read, when files include each other in a circle, or when
            ``extends`` names a file that belongs under ``include``.
    """
    found: list[Path] = []
    for file in files:
        _collect(Path(file).resolve(), Path(shared).resolve(), [], found)
    return found


def _collect(file: Path, shared: Path, above: list[Path], found: list[Path]) -> None:
    config = read_config(file)
    for name in _names(config.get("extends")):
        place = _lookup(name, file, shared)
        if place is not None and "models" not in read_config(place):
            raise InputError(
                f"{file}: extends: {name!r} is no study, for it has no `models`; to build on it, write "
                f"`include: [{name}]`"
            )
    for name in _names(config.get("include")):
        place = _lookup(name, file, shared)
        if place is None:
            raise InputError(f"{file}: include: there is no file {name!r}{_known(name, file, shared)}")
        if place in (file, *above):
            circle = " -> ".join(str(part) for part in [*above, file, place])
            raise InputError(f"{file}: include: files include each other in a circle: {circle}")
        if place not in found:
            _collect(place, shared, [*above, file], found)
            found.append(place)


def _names(value: object) -> list[str]:
    """What a list of file names holds; anything else is refused where the whole config is checked."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _lookup(name: str, file: Path, shared: Path) -> Path | None:
    return next((place.resolve() for place in (file.parent / name, shared / name) if place.is_file()), None)


def _known(name: str, file: Path, shared: Path) -> str:
    recipes = sorted(f"recipes/{place.name}" for place in (shared / "recipes").glob("*.yaml"))
    close = get_close_matches(name, recipes, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f", neither in {file.parent} nor among the project's own: {', '.join(recipes)}{hint}"
