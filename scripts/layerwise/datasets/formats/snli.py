"""SNLI 1.0 (Bowman et al. 2015), from which the workflow builds SNLI-VE with lists of Flickr30k's images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise.datasets import snli
from layerwise.datasets.format import Packing
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations


class _Snli(Packing):
    def members(self, data: "Locations", source: str, files: Sequence[Path]) -> list[str]:
        lists = [] if _splits_folder(data, source) else split_lists(data, source)
        return [*snli.SNLI_FILES, *(Path(file).name for file in lists)]

    def own_files(self, data: "Locations", source: str) -> list[str]:
        return split_lists(data, source) if _splits_folder(data, source) else []

    def check(self, where: str, data: "Locations", source: str) -> None:
        if len({getattr(entry, "splits", None) for entry in data.downloaded_from(source)}) > 1:
            raise InputError(f"{where}.splits: all data sets that are built from {source} must name the same lists")
        if snli.choose_lists(_lists_at_hand(data, source)) is None:
            known = "; or ".join(", ".join(lists) for lists in snli.LISTS)
            place = _splits_folder(data, source) or f"sources.{source}.files"
            raise InputError(f"{where}.splits: {place} has no complete lists of images: {known}")


def split_lists(data: "Locations", source: str) -> list[str]:
    """The lists of images that SNLI-VE is built with: a folder's, or those that the source serves."""
    folder = _splits_folder(data, source) or f"{data.root}/{source}/annotations"
    return [f"{folder}/{name}" for name in snli.choose_lists(_lists_at_hand(data, source)) or ()]


def _lists_at_hand(data: "Locations", source: str) -> set[str]:
    folder = _splits_folder(data, source)
    return {file.name for file in Path(folder).iterdir()} if folder else set(data.sources[source].files)


def _splits_folder(data: "Locations", source: str) -> str | None:
    folders = [getattr(entry, "splits", None) for entry in data.downloaded_from(source)]
    return next((folder for folder in folders if folder), None)


PACKING = _Snli(annotations="snli_ve", program="build_snli_ve.py")
