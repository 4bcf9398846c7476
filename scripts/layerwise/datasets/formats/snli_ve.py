"""SNLI-VE's jsonl files (Xie et al. 2019, arXiv 1901.06706) and Flickr30k's pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from layerwise.config.base import InputFile, InputFolder, Maybe, Section
from layerwise.config.data import FolderEntry, World
from layerwise.datasets import snli_ve
from layerwise.datasets.disk import is_dir, is_file
from layerwise.datasets.format import DataSize, FolderFormat, Folders, Packing
from layerwise.datasets.tables import check_columns
from layerwise.datasets.world.snli_ve import TRIPLETS_PER_IMAGE
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations


class CorrectedLabels(Section):
    """Corrected SNLI-VE labels, by part: CSV or Parquet files with the columns pairID and gold_label."""

    train: Maybe[InputFile] = None
    """Corrected training labels."""
    dev: Maybe[InputFile] = None
    """Corrected dev labels."""
    test: Maybe[InputFile] = None
    """Corrected test labels."""


class Entry(FolderEntry):
    """A data set of SNLI-VE's jsonl files and Flickr30k images."""

    format: Literal["snli-ve"]
    """How images and annotations are laid out."""
    images: Maybe[InputFolder] = None
    """Folder of Flickr30k jpg files."""
    annotations: Maybe[InputFolder] = None
    """Folder with snli_ve_PART.jsonl."""
    download_images: Maybe[str] = None
    """The source of Flickr30k's pictures (flickr30k). Naming it says that you have accepted their terms."""
    splits: Maybe[InputFolder] = None
    """For `download: snli`: folder with lists of Flickr30k ids by which SNLI-VE is divided, train.txt, dev.txt (or
    val.txt) and test.txt, one id a line. Default: SNLI-VE's own two lists, downloaded."""
    corrected_labels: Maybe[CorrectedLabels] = None
    """By part, a CSV or Parquet file with the columns pairID and gold_label, such as e-SNLI-VE's esnlive_dev.csv. The
    part keeps only the pairs that are listed, with the labels given there."""

    def corrections(self) -> dict[str, str]:
        """The files of corrected labels, by part."""
        return self.corrected_labels.entry() if self.corrected_labels else {}


class _SnliVe(FolderFormat[Entry]):
    entry_class = Entry
    packings = ("snli-ve", "snli")
    image_packing = "flickr30k"
    named_in_jobs = False
    reading_options: ClassVar[Mapping[str, str]] = {"corrected-labels": "files of corrected labels by part, as JSON"}

    def drawn(self, world: str) -> Folders:
        return Folders(f"{world}/snli_ve", f"{world}/snli_ve/flickr30k_images")

    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        return [snli_ve.annotation_file(folder, part) for part in parts]

    def further_files(self, entry: Entry, parts: Sequence[str]) -> list[Path]:
        return [Path(file) for part, file in entry.corrections().items() if part in parts]

    def options(self, entry: Entry) -> dict[str, Any]:
        return {"corrected-labels": entry.corrections()} if entry.corrections() else {}

    def shown(self, entry: Entry, parts: Sequence[str]) -> dict[str, Any]:
        # Pairs that have no corrected label are not shown.
        corrected = sorted(set(entry.corrections()) & set(parts))
        return {"corrected_labels": corrected} if corrected else {}

    def size(self, world: World | None) -> DataSize:
        if world is None:
            # Table 2 of the paper; the mean length of SNLI's hypotheses.
            return DataSize({"train": 29_783, "dev": 1_000, "test": 1_000}, texts_per_image=17.8, characters=37)
        held_out = -(-world.flickr_images // 10)
        return DataSize(
            {"train": world.flickr_images - 2 * held_out, "dev": held_out, "test": held_out},
            texts_per_image=TRIPLETS_PER_IMAGE * len(snli_ve.LABELS),
            characters=37,
        )

    def image_source(self, entry: Entry) -> str | None:
        return entry.download_images

    def allows_copies(self, entry: Entry) -> bool:
        # Flickr30k's pictures are given out on request, for non-commercial research. Drawn ones are anybody's.
        return entry.world is not None

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        if entry.images is not None and entry.download_images is not None:
            raise InputError(f"{where}: give `images` or `download_images`, not both")
        if entry.download_images is not None:
            data.check_source(f"{where}.download_images", entry.download_images, (self.image_packing,))
        elif entry.download is not None and entry.images is None:
            raise InputError(
                f"{where}: give `images`, the folder of your Flickr30k pictures; or, if you have accepted their terms, "
                "`download_images: flickr30k`"
            )
        for part, file in entry.corrections().items():
            if not is_file(file):
                raise InputError(f"{where}.corrected_labels.{part}: there is no file {file!r}")
            check_columns(file, snli_ve.CORRECTED)
        if entry.splits is not None and not is_dir(entry.splits):
            raise InputError(f"{where}.splits: there is no folder {entry.splits!r}")
        if entry.splits is not None and (entry.download is None or not data.is_built(entry)):
            raise InputError(
                f"{where}.splits: only a download of SNLI itself is divided by lists; {entry.download or 'this'} is not"
            )


FORMAT = _SnliVe()
PACKING = Packing()
