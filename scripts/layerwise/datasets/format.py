"""What a study asks of a data format when it is planned: where files lie, what is downloaded, what is refused.

A format's module has a class ``Entry``, the keys of its data sets, and ``FORMAT``, an instance of a subclass of
:class:`DataFormat`. Its files are read by other modules, which the programs import: nothing here decides a number.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from layerwise.config.data import DatasetEntry, World

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

EntryT = TypeVar("EntryT", bound=DatasetEntry)


class Folders(NamedTuple):
    """Where a data set lies."""

    annotations: str
    images: str


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
        packings: how sources may pack its annotations; names of :data:`layerwise.datasets.catalogue.PACKINGS`.
        image_packing: how the source of its images packs them.
        reading_options: what :meth:`options` may tell, by option, with a help text.
    """

    entry_class: type[EntryT]
    packings: ClassVar[tuple[str, ...]]
    image_packing: ClassVar[str]
    reading_options: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def drawn(self, world: str) -> Folders:
        """The folders of this format in the folder of a world."""

    @abstractmethod
    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        """The files in a folder of annotations that parts are read from (of questions: types)."""

    @abstractmethod
    def size(self, world: World | None) -> DataSize:
        """How large the official data set is, or a world in this format."""

    def image_source(self, entry: EntryT) -> str | None:
        """The source that images are downloaded from where a data set is downloaded and has no folder of them."""
        return entry.download

    def further_files(self, entry: EntryT, parts: Sequence[str]) -> list[Path]:
        """Other files of the user's that parts are read from."""
        return []

    def options(self, entry: EntryT) -> dict[str, Any]:
        """What else the programs that read this format are told, by option, as JSON."""
        return {}

    def shown(self, entry: EntryT, parts: Sequence[str]) -> dict[str, Any]:
        """What else of an entry decides what is shown of some parts, for the recipe of stimuli."""
        return {}

    def check(self, where: str, entry: EntryT, data: "Locations") -> None:
        """Refuse what else is wrong with a data set.

        Raises:
            InputError: naming the key.
        """
