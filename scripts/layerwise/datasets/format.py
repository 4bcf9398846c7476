"""What a study asks of a data format when it is planned: where files lie, what is downloaded, what is refused.

A format's module has a class ``Entry``, the keys of its data sets, and ``FORMAT``, an instance of a subclass of
:class:`FolderFormat`, or of :class:`DataFormat` where the files do not lie in folders of images and annotations. Its
files are read by other modules, which the programs import: nothing here decides a number.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from layerwise.config.data import DatasetEntry, FolderEntry, World
from layerwise.datasets.catalogue import FORMATS

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

EntryT = TypeVar("EntryT", bound=DatasetEntry)
FolderEntryT = TypeVar("FolderEntryT", bound=FolderEntry)


class Folders(NamedTuple):
    """Where a data set lies."""

    annotations: str
    images: str


class OwnDownload(NamedTuple):
    """A download that a format makes itself, and not from one of ``sources``.

    Attributes:
        receipt: the file, below the data root, that says what was downloaded, and where it lies.
        asked: what decides what is downloaded, for the job that does it.
    """

    receipt: str
    asked: dict[str, Any]


@dataclass(frozen=True)
class DataSize:
    """How large a data set is, as far as that is known before anything is read.

    Attributes:
        images: by official part.
        texts_per_image: on average, where the format pairs images and texts.
        characters: mean length of a text.
        categories: of objects.
        category_characters: mean length of a category's name.
        attribute_values: that an attribute of objects takes; 1 where only the annotations tell.
    """

    images: Mapping[str, int]
    texts_per_image: float = 1
    characters: float = 0
    categories: int = 0
    category_characters: float = 0
    attribute_values: int = 1


@dataclass(frozen=True)
class Packing:
    """What a source's archives hold, and where it lies under the source's folder when it has been unpacked.

    Attributes:
        annotations: folder of annotation files.
        images: folder of images.
        program: that builds the annotation files from what is downloaded, from ``scripts/``; None where none does.
    """

    annotations: str = "annotations"
    images: str = ""
    program: str | None = None

    def members(self, data: "Locations", source: str, files: Sequence[Path]) -> list[str]:
        """The names of the files to unpack for a data set whose annotation files are ``files``."""
        return [file.name for file in files]

    def own_files(self, data: "Locations", source: str) -> list[str]:
        """The user's own files that annotations are built with."""
        return []

    def check(self, where: str, data: "Locations", source: str) -> None:
        """Refuse what annotations cannot be built from.

        Raises:
            InputError: naming the key.
        """


class DataFormat(ABC, Generic[EntryT]):
    """A format of data sets.

    Attributes:
        entry_class: of its config entries.
        named_in_jobs: whether jobs are told this format. Those that came first are not named, so that what was made of
            them before there were others is not stale.
        reading_options: what :meth:`options` may tell, by option, with a help text.
    """

    entry_class: type[EntryT]
    named_in_jobs: ClassVar[bool] = True
    reading_options: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def size(self, world: World | None) -> DataSize:
        """How large the official data set is, or a world in this format."""

    def own_download(self, entry: EntryT, parts: Sequence[str]) -> OwnDownload | None:
        """How parts of a data set are downloaded; None for formats that are not downloaded, or from ``sources``."""
        return None

    def check_parts(self, where: str, entry: EntryT, parts: Sequence[str]) -> None:
        """Refuse parts that the data set cannot have, as far as the config tells.

        Raises:
            InputError: naming the key.
        """

    def options(self, entry: EntryT) -> dict[str, Any]:
        """What else the programs that read this format are told, by option, as JSON."""
        return {}

    def allows_copies(self, entry: EntryT) -> bool:
        """Whether small copies of its pictures may be shown to others, where its entry does not say."""
        return True

    def shown(self, entry: EntryT, parts: Sequence[str]) -> dict[str, Any]:
        """What else of an entry decides what is shown of some parts, for the recipe of stimuli."""
        return {}

    def check(self, where: str, entry: EntryT, data: "Locations") -> None:
        """Refuse what else is wrong with a data set.

        Raises:
            InputError: naming the key.
        """


class FolderFormat(DataFormat[FolderEntryT]):
    """A format with a folder of annotations and one of images.

    Attributes:
        packings: how sources may pack its annotations, by names of :data:`layerwise.datasets.catalogue.PACKINGS`; empty
            for formats that are not downloaded.
        image_packing: how the source of its images packs them.
    """

    packings: ClassVar[tuple[str, ...]] = ()
    image_packing: ClassVar[str] = ""

    @abstractmethod
    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        """The files in a folder of annotations that parts are read from (of questions: types)."""

    def drawn(self, world: str) -> Folders | None:
        """The folders of this format in the folder of a world; None for formats that no world is drawn in."""
        return None

    def image_source(self, entry: FolderEntryT) -> str | None:
        """The source that images are downloaded from where a data set is downloaded and has no folder of them."""
        return entry.download

    def further_files(self, entry: FolderEntryT, parts: Sequence[str]) -> list[Path]:
        """Other files of the user's that parts are read from."""
        return []


def format_options(name: str) -> list[str]:
    """How a job is told a format, as an option of its command line."""
    return [f"--format={name}"] if FORMATS[name].named_in_jobs else []


def format_of_job(told: str | None, formats: Iterable[str]) -> str:
    """The format that a job reads: the one that it is told, or the one of some that jobs are not told."""
    return told or next((name for name in formats if not FORMATS[name].named_in_jobs), "")
