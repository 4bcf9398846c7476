"""Resolve the relative paths in a study. They start from the folder of its config file.

They once started from the working directory, which was the clone. So a path that does not exist from the study's folder
is still looked up from the working directory, with a warning. Results, logs and downloads (``pathvars``) are always
relative to the working directory.
"""

import glob
import os
from pathlib import Path

from layerwise.config.base import PATTERN
from layerwise.datasets.disk import is_dir, is_file
from layerwise.errors import InputError


class InputPaths:
    """Looks up the relative paths of a study.

    Args:
        root: the folder of the study's file.
        directory: where Snakemake runs. Default: the working directory.

    Attributes:
        from_directory: paths that exist from ``directory`` but not from the study's folder.
    """

    def __init__(self, root: str | Path, directory: str | Path | None = None):
        self.directory = Path() if directory is None else Path(directory)
        resolved = Path(root).resolve()
        # The same text however the study's file was named: paths are params, and another text would rerun jobs.
        self.root = Path(os.path.relpath(root)) if resolved.is_relative_to(Path.cwd()) else resolved
        self.from_directory: list[str] = []

    def locate(self, path: str, what: str | None) -> str:
        """Where a file or folder lies.

        Args:
            path: as written in the config. A path that is found from the working directory is returned unchanged.
            what: what to call it in messages; None if it need not exist, because it may be a name or an address;
                :data:`layerwise.config.base.PATTERN` for a file or a pattern, of which some file must exist.

        Raises:
            InputError: when both folders have it, as two different files, or when it must exist and neither has it.
        """
        beside, here = self.root / path, self.directory / path
        if not path or Path(path).is_absolute() or beside == here == Path(path):
            return path
        if what == PATTERN:
            if glob.has_magic(path) and not any(map(is_file, (beside, here))):
                return self._locate_pattern(path)
            what = "file"
        found, found_here = (is_file(place) or is_dir(place) for place in (beside, here))
        if found and found_here and not beside.samefile(here):
            raise InputError(
                f"{path!r} is in the study's folder ({beside.absolute()}) and in the working directory "
                f"({here.absolute()}); give the absolute path of the one you mean"
            )
        if found:
            return str(beside)
        if found_here:
            self.from_directory.append(path)
            return path if self.directory == Path() else str(here)
        if what is not None:
            raise InputError(
                f"there is no {what} {path!r}, neither in the study's folder ({self.root.absolute()}) nor in the "
                f"working directory ({self.directory.absolute()})"
            )
        return path

    def _locate_pattern(self, pattern: str) -> str:
        """Where the files of a pattern lie, see :meth:`locate`. The folder's own name is no pattern."""
        folders = (self.root, self.directory)
        beside, here = (str(Path(glob.escape(str(folder)), pattern)) for folder in folders)
        found, found_here = ({file.resolve() for file in folder.glob(pattern)} for folder in folders)
        if found and found_here and found != found_here:
            raise InputError(
                f"{pattern!r} matches files in the study's folder ({self.root.absolute()}) and others in the working "
                f"directory ({self.directory.absolute()}); give the absolute path of those you mean"
            )
        if found:
            return beside
        if found_here:
            self.from_directory.append(pattern)
            return pattern if self.directory == Path() else here
        raise InputError(
            f"no file matches {pattern!r}, neither in the study's folder ({self.root.absolute()}) nor in the working "
            f"directory ({self.directory.absolute()})"
        )

    def notes(self) -> list[str]:
        """A warning about the paths that were found from ``directory``."""
        if not self.from_directory:
            return []
        better = {path: os.path.relpath(self.directory / path, self.root) for path in self.from_directory}
        said = ", ".join(f"{path} (write {from_root})" for path, from_root in better.items())
        return [
            f"The config has paths relative to the working directory, but they should start from the study's folder, "
            f"{self.root}: {said}."
        ]
