"""Sequences of frames: pictures, and a JSON file of what happens in them for each part."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from layerwise.config.base import InputFolder, Maybe
from layerwise.config.data import FolderEntry, World
from layerwise.datasets import frames
from layerwise.datasets.format import DataSize, FolderFormat, Folders
from layerwise.datasets.world.frames.files import pairs_by_part
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations


class Entry(FolderEntry):
    """A data set of sequences of frames."""

    format: Literal["frames"]
    """How images and annotations are laid out."""
    images: Maybe[InputFolder] = None
    """Folder that the files of frames are in, or its subfolders."""
    annotations: Maybe[InputFolder] = None
    """Folder with PART.json."""


class _Frames(FolderFormat[Entry]):
    entry_class = Entry

    def drawn(self, world: str) -> Folders:
        return Folders(f"{world}/frames", f"{world}/frames")

    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        return [frames.annotation_file(folder, part) for part in parts]

    def size(self, world: World | None) -> DataSize:
        if world is None:
            return DataSize({}, texts_per_image=2, characters=36)
        # Of each kind of sequence; two statements, such as "The circle changed before the square.".
        pairs = pairs_by_part(world.frame_sequences)
        return DataSize({part: 2 * number for part, number in pairs.items()}, texts_per_image=2, characters=36)

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        if entry.world is not None and not data.worlds[entry.world].frame_sequences:
            raise InputError(
                f"{where}.world: worlds.{entry.world} draws no sequences of frames; give it `frame_sequences: 600`"
            )

    def check_parts(self, where: str, entry: Entry, parts: Sequence[str]) -> None:
        if entry.world is not None and (unknown := [part for part in parts if part not in pairs_by_part(0)]):
            raise InputError(f"{where}: a world has no part {unknown[0]!r}; it has {', '.join(pairs_by_part(0))}")


FORMAT = _Frames()
