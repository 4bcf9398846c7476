"""Questions about GQA's images (Hudson and Manning 2019, arXiv 1902.09506), for `flow`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from layerwise.config.base import InputFolder, Maybe
from layerwise.config.data import FolderEntry, World
from layerwise.datasets.format import DataSize, FolderFormat, Folders, Packing
from layerwise.datasets.gqa_sources import question_files


class Entry(FolderEntry):
    """A data set of questions about GQA's images, for `flow`."""

    format: Literal["gqa"]
    """How images and annotations are laid out."""
    images: Maybe[InputFolder] = None
    """Folder of GQA's jpg files, named by image id."""
    annotations: Maybe[InputFolder] = None
    """The tables of arXiv 2411.18620 (GQA_val_correct_question_with_...csv), or GQA's own val_balanced_questions.json
    and val_sceneGraphs.json."""


class _Gqa(FolderFormat[Entry]):
    entry_class = Entry
    packings = ("gqa",)
    image_packing = "gqa"
    named_in_jobs = False

    def drawn(self, world: str) -> Folders:
        return Folders(f"{world}/gqa", f"{world}/coco/val2017")

    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        return question_files(folder, parts)

    def size(self, world: World | None) -> DataSize:
        # The mean length of a question. How many images the official questions are about depends on their types.
        return DataSize({} if world is None else {"val2017": world.val_images}, characters=45)


FORMAT = _Gqa()
PACKING = Packing(images="images")
