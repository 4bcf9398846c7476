"""Where the files of each data set lie, or will lie when they have been downloaded.

A data set of a study is a world, folders that are used in place, a download from one of ``sources``, or one that its
format makes itself. Of downloads, a study asks only for what holds the parts that it samples. Under the data root a
source looks like the data set itself:

    {data}/SOURCE/archives/       what was downloaded, and a receipt beside each archive
    {data}/SOURCE/annotations/    annotation files
    {data}/SOURCE/...             the images that some stimulus set needs

Of a format's own download, a receipt says where it lies.

What differs between formats is in their own modules (:mod:`layerwise.datasets.catalogue`).
"""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from layerwise.code_digest import code_digest
from layerwise.config.data import DatasetEntry, FolderEntry
from layerwise.datasets.catalogue import FORMATS, PACKINGS
from layerwise.datasets.disk import is_dir, is_file
from layerwise.datasets.file_marks import files_mark
from layerwise.datasets.format import DataFormat, DataSize, FolderFormat, OwnDownload, Packing, format_options
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.config.study import StudyConfig


class Locations:
    """The data sets of a study.

    Raises:
        InputError: when a data set refers to something that is not there: a world, a folder, a source, an archive.
    """

    def __init__(self, config: "StudyConfig"):
        self.root, self.results, self.seed = config.pathvars.data, config.pathvars.results, config.seed
        self.datasets, self.sources, self.worlds = config.datasets, config.sources, config.worlds
        for name, entry in self.datasets.items():
            self._check(f"datasets.{name}", entry)

    def format(self, name: str) -> DataFormat[Any]:
        """The format of a data set."""
        return FORMATS[self.datasets[name].format]

    def size(self, name: str) -> DataSize:
        """How large a data set is, as far as its format tells."""
        entry = self.datasets[name]
        world = entry.world if isinstance(entry, FolderEntry) else None
        return self.format(name).size(None if world is None else self.worlds[world])

    def allows_copies(self, name: str) -> bool:
        """Whether small copies of a data set's pictures may be shown to others."""
        said = self.datasets[name].copies
        return self.format(name).allows_copies(self.datasets[name]) if said is None else said

    def own_download(self, name: str, parts: Sequence[str]) -> OwnDownload | None:
        """How the format of a data set downloads ``parts``; None for formats that lie in folders."""
        own = self.format(name).own_download(self.datasets[name], parts)
        return None if own is None else own._replace(receipt=f"{self.root}/{own.receipt}")

    def folders(self, name: str) -> dict[str, str]:
        """The folders of ``annotations`` and ``images`` of a data set."""
        form, entry = self._in_folders(name)
        if entry.world is not None and (drawn := form.drawn(f"{self.results}/worlds/{entry.world}")):
            return drawn._asdict()
        annotations = entry.annotations or f"{self.root}/{entry.download}/{self._packing(entry).annotations}"
        return {"annotations": annotations, "images": entry.images or self.image_folder(name)}

    def options(self, name: str, parts: Sequence[str]) -> list[str]:
        """What a program is told of a data set that it reads ``parts`` of, as options of its command line."""
        told = self.format(name).options(self.datasets[name])
        further = {key: json.dumps(value, sort_keys=True) for key, value in told.items()}
        own = self.own_download(name, parts)
        places = self.folders(name) if own is None else {"annotations": own.receipt}
        options = [f"--{key}={value}" for key, value in (places | further).items()]
        return options + format_options(self.datasets[name].format)

    def annotation_files(self, name: str, parts: Sequence[str]) -> list[Path]:
        """The files that ``parts`` of a data set (of questions: types) are read from."""
        form, entry = self._in_folders(name)
        return form.annotation_files(self.folders(name)["annotations"], parts) + form.further_files(entry, parts)

    def source_files(self, name: str, parts: Sequence[str]) -> list[str]:
        """The files whose change makes stale what is made of ``parts``, but for images."""
        if (own := self.own_download(name, parts)) is not None:
            return [own.receipt]
        world = self._in_folders(name)[1].world
        if world is not None:
            return [f"<results>/worlds/{world}/world.json"]
        return [str(file) for file in self.annotation_files(name, parts)]

    def shown(self, name: str, parts: Sequence[str]) -> dict[str, Any]:
        """What else a data set says of what is shown of ``parts``, for recipes."""
        return self.format(name).shown(self.datasets[name], parts)

    def mark(self, name: str, parts: Sequence[str]) -> Any:
        """What decides the content of a data set's parts: how its world is drawn, the checksums of what is downloaded
        or the commit that it is downloaded from, or the user's own annotation files as they are now."""
        if (own := self.own_download(name, parts)) is not None:
            return own.asked
        _, entry = self._in_folders(name)
        if entry.world is not None:
            return [self.worlds[entry.world].entry(), self.seed, code_digest("make_world.py")]
        receipts = map(Path, self.receipts(name, parts))
        expected = [self.expected(receipt.parents[1].name, receipt.stem) for receipt in receipts]
        files: list[str | Path] = list(self.annotation_files(name, parts))
        program = None
        if entry.download is not None:
            downloaded, packing = Path(self.root) / entry.download, self._packing(entry)
            files = [file for file in files if downloaded not in Path(file).parents]
            files += packing.own_files(self, entry.download)
            program = packing.program
        return [expected, files_mark(files), code_digest(program) if program else None]

    def image_source(self, name: str) -> str | None:
        """The source that a data set's images are downloaded from; None where they are somewhere already."""
        entry = self.datasets[name]
        if not isinstance(entry, FolderEntry) or entry.world is not None or entry.images is not None:
            return None
        return self._in_folders(name)[0].image_source(entry)

    def image_folder(self, name: str) -> str:
        """Where downloaded images of a data set are unpacked."""
        source = self.image_source(name)
        folder = PACKINGS[self._in_folders(name)[0].image_packing].images
        return f"{self.root}/{source}/{folder}".rstrip("/")

    def image_receipts(self, name: str, parts: Sequence[str]) -> list[str]:
        """Receipts of the archives that hold the images of ``parts``; none where images are not downloaded."""
        source = self.image_source(name)
        if source is None:
            return []
        files = self.sources[source].files
        return [self.receipt(source, archive) for archive, file in files.items() if file.images in ("all", *parts)]

    def annotation_receipts(self, source: str, member: str) -> list[str]:
        """Receipts of the archives in which an annotation file may be."""
        files = self.sources[source].files.items() if source in self.sources else ()
        return [self.receipt(source, name) for name, file in files if fnmatchcase(member, file.annotations or "")]

    def receipts(self, name: str, parts: Sequence[str]) -> list[str]:
        """Receipts of every download that a data set needs for ``parts``."""
        if (own := self.own_download(name, parts)) is not None:
            return [own.receipt]
        _, entry = self._in_folders(name)
        if entry.download is None:
            return []
        members = []
        if entry.annotations is None:
            members = self._packing(entry).members(self, entry.download, self.annotation_files(name, parts))
        receipts = [receipt for member in members for receipt in self.annotation_receipts(entry.download, member)]
        return list(dict.fromkeys(receipts + self.image_receipts(name, parts)))

    def receipt(self, source: str, file: str) -> str:
        """What is written beside an archive when it has been downloaded and checked."""
        return f"{self.root}/{source}/archives/{file}.json"

    def address(self, source: str, file: str) -> str:
        """Where a file of a source is downloaded from."""
        entry = self.sources[source]
        return urljoin(entry.base.rstrip("/") + "/", entry.files[file].path or file)

    def expected(self, source: str, file: str) -> dict[str, Any]:
        """What is known of a file: ``size``, ``md5``, ``sha256``, as far as the config gives them."""
        return self.sources[source].files[file].model_dump(include={"size", "md5", "sha256"}, exclude_none=True)

    def downloaded_from(self, source: str) -> list[FolderEntry]:
        """The data sets whose annotations come from a source."""
        in_folders = [entry for entry in self.datasets.values() if isinstance(entry, FolderEntry)]
        return [entry for entry in in_folders if entry.download == source]

    def is_built(self, entry: FolderEntry) -> bool:
        """Whether the workflow builds the annotations of a data set from what it downloads."""
        return entry.download is not None and self._packing(entry).program is not None

    def check_parts(self, where: str, name: str, parts: Sequence[str]) -> None:
        """The annotation files and archives of the parts that a stimulus set samples.

        Raises:
            InputError: when a file is missing, or no archive of the source holds a part.
        """
        self.format(name).check_parts(where, self.datasets[name], parts)
        if self.own_download(name, parts) is not None:
            return
        _, entry = self._in_folders(name)
        if entry.world is not None:
            return
        downloaded = entry.download is not None and entry.annotations is None
        for file in self.annotation_files(name, parts):
            if downloaded and file.parent == Path(self.folders(name)["annotations"]):
                if not self.is_built(entry) and not self.annotation_receipts(str(entry.download), file.name):
                    raise InputError(f"{where}: no archive of sources.{entry.download} holds {file.name}")
            elif not is_file(file):
                raise InputError(f"{where}: there is no file {file}; which parts are in {file.parent}?")
        source = self.image_source(name)
        if source is None:
            return
        held = {file.images for file in self.sources[source].files.values()}
        for part in parts:
            if not held & {part, "all"}:
                raise InputError(f"{where}: no archive of sources.{source} holds images of the part {part!r}")

    def check_source(self, where: str, source: str, packings: Sequence[str]) -> None:
        """Refuse a source that is not there, or whose archives are packed in another way than one of ``packings``.

        Raises:
            InputError: naming the sources that would do.
        """
        sources = {name for name, entry in self.sources.items() if entry.format in packings}
        if source not in sources:
            wanted, known = " or ".join(packings), ", ".join(sorted(sources)) or "none"
            raise InputError(f"{where}: there is no source {source!r} of format {wanted}; the config has {known}")

    def _in_folders(self, name: str) -> tuple[FolderFormat[Any], FolderEntry]:
        """Format and entry of a data set that lies in folders."""
        form, entry = self.format(name), self.datasets[name]
        assert isinstance(form, FolderFormat)
        assert isinstance(entry, FolderEntry)
        return form, entry

    def _packing(self, entry: FolderEntry) -> Packing:
        return PACKINGS[self.sources[str(entry.download)].format]

    def _check(self, where: str, entry: DatasetEntry) -> None:
        form = FORMATS[entry.format]
        if isinstance(form, FolderFormat) and isinstance(entry, FolderEntry):
            self._check_folders(where, form, entry)
        form.check(where, entry, self)
        if isinstance(entry, FolderEntry) and entry.download is not None:
            self._packing(entry).check(where, self, entry.download)

    def _check_folders(self, where: str, form: FolderFormat[Any], entry: FolderEntry) -> None:
        if entry.world is not None and entry.world not in self.worlds:
            known = ", ".join(self.worlds) or "nothing"
            raise InputError(f"{where}.world: there is no {entry.world!r}; the config has {known}")
        for key, folder in (("images", entry.images), ("annotations", entry.annotations)):
            if folder is not None and not is_dir(folder):
                raise InputError(f"{where}.{key}: there is no folder {folder!r}")
        if entry.world is not None and form.drawn(entry.world) is None:
            raise InputError(f"{where}.world: no world is drawn in the format {entry.format}; give folders of your own")
        if entry.download is not None and not form.packings:
            raise InputError(f"{where}.download: the format {entry.format} is not downloaded; give folders of your own")
        if entry.download is not None:
            self.check_source(f"{where}.download", entry.download, form.packings)
