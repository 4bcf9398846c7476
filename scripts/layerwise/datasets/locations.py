"""Where the files of each data set lie, or will lie when they have been downloaded.

A data set of a study is a world, folders that are used in place, or a download; of the last, a study asks only for the
archives that hold the parts it samples. Under the data root a source looks like the data set itself:

    {data}/coco-2017/archives/      what was downloaded, and a receipt beside each archive
    {data}/coco-2017/annotations/   annotation files
    {data}/coco-2017/train2017/     the images that some stimulus set needs
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from layerwise.code_digest import code_digest
from layerwise.datasets import coco, snli, snli_ve
from layerwise.datasets.disk import is_dir, is_file
from layerwise.datasets.gqa_sources import question_files
from layerwise.datasets.table import check_columns
from layerwise.errors import InputError
from layerwise.stimuli.source_marks import files_mark

if TYPE_CHECKING:
    from layerwise.config.study import StudyConfig

# Which sources a data set of each format can be downloaded from; where a source keeps its images.
SOURCE_FORMATS = {"coco": ("coco",), "snli-ve": ("snli-ve", "snli"), "gqa": ("gqa",)}
IMAGE_FORMATS = {"coco": "coco", "snli-ve": "flickr30k", "gqa": "gqa"}
IMAGE_FOLDERS = {"coco": "", "flickr30k": "flickr30k_images", "gqa": "images"}


class Locations:
    """The data sets of a validated config.

    Raises:
        InputError: when a data set refers to something that is not there: a world, a folder, a source, an archive.
    """

    def __init__(self, study: StudyConfig):
        config = study.entry()
        self.config = config
        self.root = config["pathvars"]["data"]
        for name, dataset in config["datasets"].items():
            self._check(name, dataset)

    def folders(self, name: str) -> dict[str, str]:
        """The folders of ``annotations`` and ``images`` of a data set."""
        dataset = self.config["datasets"][name]
        if "world" in dataset:
            root = f"{self.config['pathvars']['results']}/worlds/{dataset['world']}"
            if dataset["format"] == "snli-ve":
                return {"annotations": f"{root}/snli_ve", "images": f"{root}/snli_ve/flickr30k_images"}
            if dataset["format"] == "gqa":
                return {"annotations": f"{root}/gqa", "images": f"{root}/coco/val2017"}
            return {"annotations": f"{root}/coco/annotations", "images": f"{root}/coco"}
        source = dataset.get("download")
        annotations = dataset.get("annotations") or (
            f"{self.root}/{source}/{'snli_ve' if self.is_built(dataset) else 'annotations'}"
        )
        return {"annotations": annotations, "images": dataset.get("images") or self.image_folder(name)}

    def annotation_files(self, name: str, parts: list[str]) -> list[Path]:
        """The files that the reader of a data set reads for ``parts`` (of GQA: types), and corrected labels."""
        dataset, folder = self.config["datasets"][name], self.folders(name)["annotations"]
        if dataset["format"] == "gqa":
            return question_files(folder, parts)
        if dataset["format"] == "snli-ve":
            corrected = [Path(file) for part, file in dataset.get("corrected_labels", {}).items() if part in parts]
            return [snli_ve.annotation_file(folder, part) for part in parts] + corrected
        return [file for part in parts for file in coco.annotation_files(folder, part)]

    def options(self, name: str) -> list[str]:
        """What a program is told of a data set that it reads."""
        options = [f"--{key}={folder}" for key, folder in self.folders(name).items()]
        if corrected := self.config["datasets"][name].get("corrected_labels"):
            options.append(f"--corrected-labels={json.dumps(corrected, sort_keys=True)}")
        return options

    def question_options(self, name: str) -> list[str]:
        """What the program that chooses questions is told of a data set."""
        return [f"--{key}={folder}" for key, folder in self.folders(name).items()]

    def source_files(self, name: str, parts: list[str]) -> list[str]:
        """The files whose change makes stale what is made of ``parts``, but for images."""
        dataset = self.config["datasets"][name]
        if "world" in dataset:
            return [f"<results>/worlds/{dataset['world']}/world.json"]
        return [str(file) for file in self.annotation_files(name, parts)]

    def shown(self, name: str, parts: list[str]) -> dict[str, Any]:
        """What else of an entry decides what is shown of some parts, for the recipe of stimuli."""
        corrected = sorted(set(self.config["datasets"][name].get("corrected_labels", {})) & set(parts))
        # Pairs that have no corrected label are not shown.
        return {"corrected_labels": corrected} if corrected else {}

    def mark(self, name: str, parts: list[str]) -> Any:
        """What decides the content of a data set's parts: how its world is drawn, the checksums of what is downloaded,
        or the user's own annotation files as they are now."""
        dataset = self.config["datasets"][name]
        if world := dataset.get("world"):
            return [self.config["worlds"][world], self.config["seed"], code_digest("make_world.py")]
        receipts = map(Path, self.receipts(name, parts))
        expected = [self.expected(receipt.parents[1].name, receipt.stem) for receipt in receipts]
        downloaded = Path(self.root) / dataset["download"] if "download" in dataset else None
        files = [file for file in self.annotation_files(name, parts) if downloaded not in Path(file).parents]
        if "splits" in dataset:
            files += map(Path, self.split_lists(dataset["download"]))
        return [expected, files_mark(files), code_digest("build_snli_ve.py") if self.is_built(dataset) else None]

    def image_source(self, name: str) -> str | None:
        """The source that a data set's images are downloaded from; None where they are somewhere already."""
        dataset = self.config["datasets"][name]
        if "world" in dataset or "images" in dataset:
            return None
        return dataset.get("download_images") or dataset["download"]

    def image_folder(self, name: str) -> str:
        """Where downloaded images of a data set are unpacked."""
        source = self.image_source(name)
        return f"{self.root}/{source}/{IMAGE_FOLDERS[self.config['sources'][source]['format']]}".rstrip("/")

    def image_receipts(self, name: str, parts: list[str]) -> list[str]:
        """Receipts of the archives that hold the images of ``parts``; none where images are not downloaded."""
        source = self.image_source(name)
        if source is None:
            return []
        files = self.config["sources"][source]["files"]
        return [self.receipt(source, file) for file in files if files[file].get("images") in ("all", *parts)]

    def annotation_receipts(self, source: str, member: str) -> list[str]:
        """Receipts of the archives in which an annotation file may be."""
        files = self.config["sources"].get(source, {"files": {}})["files"]
        return [self.receipt(source, file) for file in files if fnmatchcase(member, files[file].get("annotations", ""))]

    def receipts(self, name: str, parts: list[str]) -> list[str]:
        """Receipts of every archive that a data set needs for ``parts``."""
        dataset = self.config["datasets"][name]
        if "download" not in dataset:
            return []
        source, members = dataset["download"], []
        if "annotations" not in dataset and self.is_built(dataset):
            lists = [] if "splits" in dataset else self.split_lists(source)
            members = [*snli.SNLI_FILES, *(Path(file).name for file in lists)]
        elif "annotations" not in dataset:
            members = [file.name for file in self.annotation_files(name, parts)]
        receipts = [receipt for member in members for receipt in self.annotation_receipts(source, member)]
        return list(dict.fromkeys(receipts + self.image_receipts(name, parts)))

    def receipt(self, source: str, file: str) -> str:
        """What is written beside an archive when it has been downloaded and checked."""
        return f"{self.root}/{source}/archives/{file}.json"

    def address(self, source: str, file: str) -> str:
        """Where a file of a source is downloaded from."""
        entry = self.config["sources"][source]
        return urljoin(entry["base"].rstrip("/") + "/", entry["files"][file].get("path", file))

    def expected(self, source: str, file: str) -> dict[str, Any]:
        """What is known of a file: ``size``, ``md5``, ``sha256``, as far as the config gives them."""
        entry = self.config["sources"][source]["files"][file]
        return {key: entry[key] for key in ("size", "md5", "sha256") if entry.get(key) is not None}

    def split_lists(self, source: str) -> list[str]:
        """The lists of images that SNLI-VE is built with: a folder's, or those that the source serves."""
        folder = self._splits_folder(source) or f"{self.root}/{source}/annotations"
        return [f"{folder}/{name}" for name in snli.choose_lists(self._lists_at_hand(source))]

    def _lists_at_hand(self, source: str) -> set[str]:
        folder = self._splits_folder(source)
        if folder is None:
            return set(self.config["sources"][source]["files"])
        return {file.name for file in Path(folder).iterdir()}

    def _splits_folder(self, source: str) -> str | None:
        for dataset in self.config["datasets"].values():
            if dataset.get("download") == source and "splits" in dataset:
                return dataset["splits"]
        return None

    def is_built(self, dataset: dict[str, Any]) -> bool:
        """Whether the workflow builds the annotations of a data set from what it downloads."""
        return "download" in dataset and self.config["sources"][dataset["download"]]["format"] == "snli"

    def check_parts(self, where: str, name: str, parts: list[str]) -> None:
        """The annotation files and archives of the parts that a stimulus set samples.

        Raises:
            InputError: when a file is missing, or no archive of the source holds a part.
        """
        dataset = self.config["datasets"][name]
        if "world" in dataset:
            return
        downloaded = "download" in dataset and "annotations" not in dataset
        for file in self.annotation_files(name, parts):
            if downloaded and file.parent == Path(self.folders(name)["annotations"]):
                if not self.is_built(dataset) and not self.annotation_receipts(dataset["download"], file.name):
                    raise InputError(f"{where}: no archive of sources.{dataset['download']} holds {file.name}")
            elif not is_file(file):
                raise InputError(f"{where}: there is no file {file}; which parts are in {file.parent}?")
        source = self.image_source(name)
        if source is None:
            return
        held = {file.get("images") for file in self.config["sources"][source]["files"].values()}
        for part in parts:
            if not held & {part, "all"}:
                raise InputError(f"{where}: no archive of sources.{source} holds images of the part {part!r}")

    def _check(self, name: str, dataset: dict[str, Any]) -> None:
        where = f"datasets.{name}"
        if "world" in dataset and dataset["world"] not in self.config["worlds"]:
            known = ", ".join(self.config["worlds"]) or "nothing"
            raise InputError(f"{where}.world: there is no {dataset['world']!r}; the config has {known}")
        for key in ("images", "annotations", "splits"):
            if key in dataset and not is_dir(dataset[key]):
                raise InputError(f"{where}.{key}: there is no folder {dataset[key]!r}")
        if dataset["format"] != "snli-ve" and (given := {"splits", "corrected_labels"} & set(dataset)):
            raise InputError(f"{where}.{min(given)}: only data sets of format snli-ve have that")
        for part, file in dataset.get("corrected_labels", {}).items():
            if not is_file(file):
                raise InputError(f"{where}.corrected_labels.{part}: there is no file {file!r}")
            check_columns(file, snli_ve.CORRECTED)
        if "download" in dataset:
            self._check_source(f"{where}.download", dataset["download"], SOURCE_FORMATS[dataset["format"]])
            self._check_images(where, dataset)
            self._check_splits(where, dataset)

    def _check_source(self, where: str, source: str, formats: tuple[str, ...]) -> None:
        sources = {name for name, entry in self.config["sources"].items() if entry["format"] in formats}
        if source not in sources:
            wanted, known = " or ".join(formats), ", ".join(sorted(sources)) or "none"
            raise InputError(f"{where}: there is no source {source!r} of format {wanted}; the config has {known}")

    def _check_images(self, where: str, dataset: dict[str, Any]) -> None:
        if "images" in dataset:
            if "download_images" in dataset:
                raise InputError(f"{where}: give `images` or `download_images`, not both")
            return
        image_format = IMAGE_FORMATS[dataset["format"]]
        if "download_images" in dataset:
            self._check_source(f"{where}.download_images", dataset["download_images"], (image_format,))
        elif image_format == "flickr30k":
            raise InputError(
                f"{where}: give `images`, the folder of your Flickr30k pictures; or, if you have accepted their terms, "
                "`download_images: flickr30k`"
            )

    def _check_splits(self, where: str, dataset: dict[str, Any]) -> None:
        source = dataset["download"]
        if not self.is_built(dataset):
            if "splits" in dataset:
                raise InputError(f"{where}.splits: only a download of SNLI itself is divided by lists; {source} is not")
            return
        given = {entry.get("splits") for entry in self.config["datasets"].values() if entry.get("download") == source}
        if len(given) > 1:
            raise InputError(f"{where}.splits: all data sets that are built from {source} must name the same lists")
        if snli.choose_lists(self._lists_at_hand(source)) is None:
            known = "; or ".join(", ".join(lists) for lists in snli.LISTS)
            place = dataset.get("splits", f"sources.{source}.files")
            raise InputError(f"{where}.splits: {place} has no complete lists of images: {known}")
