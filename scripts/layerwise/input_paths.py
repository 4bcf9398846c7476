"""Where the relative paths of a study lead: to files and folders beside its config file.

Studies once named such files from the working directory, which was the clone. A path that leads nowhere from the
study's folder is still looked up there, with a warning. Results, logs and downloads (``pathvars``) are always relative
to the working directory.
"""

import os
from pathlib import Path

from layerwise.datasets.disk import is_dir, is_file
from layerwise.errors import InputError


class InputPaths:
    """Looks up the relative paths of a study.

    Args:
        root: the folder of the study's file.

    Attributes:
        from_here: paths that lead nowhere from there and were found from the working directory.
    """

    def __init__(self, root: str | Path):
        self.root = Path(os.path.relpath(root)) if Path(root).resolve().is_relative_to(Path.cwd()) else Path(root)
        self.from_here: list[str] = []

    def locate(self, path: str, what: str | None) -> str:
        """Where a file or folder lies, from the working directory.

        Args:
            path: as the config has it. One that is found from the working directory stays the same text.
            what: the word for it; None if nothing need be there, because the text may be a name or an address.

        Raises:
            InputError: when it is found from both folders, or from neither though it must be there.
        """
        beside = self.root / path
        if not path or Path(path).is_absolute() or beside == Path(path):
            return path
        found, found_here = (is_file(place) or is_dir(place) for place in (beside, path))
        if found and found_here and not beside.samefile(path):
            raise InputError(
                f"{path!r} is in the study's folder ({beside.absolute()}) and in the working directory "
                f"({Path(path).absolute()}); give the absolute path of the one that is meant"
            )
        if found:
            return str(beside)
        if found_here:
            self.from_here.append(path)
        elif what is not None:
            raise InputError(
                f"there is no {what} {path!r}, neither in the study's folder ({self.root.absolute()}) nor in the "
                f"working directory ({Path.cwd()})"
            )
        return path

    def notes(self) -> list[str]:
        """A warning of the paths that were found from the working directory."""
        if not self.from_here:
            return []
        wanted = {path: os.path.relpath(path, self.root) for path in self.from_here}
        said = ", ".join(f"{path} (write {better})" for path, better in wanted.items())
        return [
            f"The config names files from the working directory, but paths start from the study's folder, {self.root}: "
            f"{said}."
        ]
