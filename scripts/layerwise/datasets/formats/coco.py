"""COCO 2017's folders and JSON files (https://cocodataset.org/#format-data)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from layerwise.config.base import InputFolder, Maybe
from layerwise.config.data import FolderEntry, World
from layerwise.datasets import coco
from layerwise.datasets.format import DataSize, FolderFormat, Folders, Packing
from layerwise.datasets.world.scenes import COLOURS, SHAPES


class Entry(FolderEntry):
    """A data set in COCO 2017's folders and JSON files."""

    format: Literal["coco"]
    """How images and annotations are laid out."""
    images: Maybe[InputFolder] = None
    """Folder that holds the part folders (train2017, val2017)."""
    annotations: Maybe[InputFolder] = None
    """Folder with instances_PART.json and captions_PART.json."""


class _Coco(FolderFormat[Entry]):
    entry_class = Entry
    packings = ("coco",)
    image_packing = "coco"
    named_in_jobs = False

    def drawn(self, world: str) -> Folders:
        return Folders(f"{world}/coco/annotations", f"{world}/coco")

    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        return [file for part in parts for file in coco.annotation_files(folder, part)]

    def size(self, world: World | None) -> DataSize:
        # The official parts, and mean lengths of their captions and category names.
        images, categories = {"train2017": 118_287, "val2017": 5_000}, 80
        if world is not None:
            images, categories = {"train2017": world.train_images, "val2017": world.val_images}, len(SHAPES)
        return DataSize(
            images=images,
            characters=52,
            categories=categories,
            category_characters=7,
            attribute_values=1 if world is None else len(COLOURS),
        )


FORMAT = _Coco()
PACKING = Packing()
