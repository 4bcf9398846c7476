"""A results root belongs to one study: another study would replace its scores and leave figures of both side by side.

``study.json`` in the root names the studies that ran in it, by the paths of their configs from the root, so that a
project can be moved as a whole. A config that no longer exists was renamed; the next study takes its place. A study
that names another one under ``extends`` may share its root."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from layerwise.errors import InputError
from layerwise.jobs.command import finished_file

RECORD = "study.json"


def check_root(root: Path, study: Sequence[Path], extends: Sequence[str]) -> None:
    """Refuse to run a study in the results root of another one.

    Args:
        root: the results root.
        study: the config files that make the study.
        extends: the configs that it names under ``extends``, by their paths from its own.

    Raises:
        InputError: naming both studies.
    """
    record, mine = _read(root), _named(root, study)
    others = {name: also for name, also in record.items() if _is_there(root, name)}
    mine_also = _also(root, study, extends)
    related = any(name in mine_also or mine in also for name, also in others.items())
    if mine in record or not others or related:
        return
    other = next(iter(others))
    stem = Path(mine).stem
    free = next(name for name in (f"results-{stem}", f"results-{stem}-2") if name != root.name)
    raise InputError(
        f"{root} holds the results of another study, {_shown(root, other)}; {_shown(root, mine)} would replace its "
        "scores and leave its figures beside new ones. Give this study its own root, "
        f"`pathvars: {{results: {free}}}`; or, where it is meant to add to the other and to replace what they have in "
        "common, name it: "
        f"`extends: [{os.path.relpath(root / other, study[0].parent)}]`"
    )


def claim_root(root: Path, study: Sequence[Path], extends: Sequence[str]) -> None:
    """Record that a study runs here, and forget studies whose configs no longer exist."""
    record = {name: also for name, also in _read(root).items() if _is_there(root, name)}
    record[_named(root, study)] = _also(root, study, extends)
    if record != _read(root):
        with finished_file(root / RECORD) as file:
            file.write_text(json.dumps(record, indent=2) + "\n")


def _read(root: Path) -> dict[str, list[str]]:
    try:
        return json.loads((root / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{root / RECORD}: damaged ({error}); delete it") from error


def _also(root: Path, study: Sequence[Path], extends: Sequence[str]) -> list[str]:
    return [_named(root, [study[0].parent / name]) for name in extends]


def _named(root: Path, files: Sequence[Path]) -> str:
    return " + ".join(os.path.relpath(file.resolve(), root.resolve()) for file in files)


def _is_there(root: Path, name: str) -> bool:
    return all((root / file).is_file() for file in name.split(" + "))


def _shown(root: Path, name: str) -> str:
    return " + ".join(os.path.relpath(root.resolve() / file) for file in name.split(" + "))
