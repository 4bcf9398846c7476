"""The interface of a kind of stimulus: which prompts and tasks it allows, what it reads, and how its items are made.

A kind's module has a class ``Entry``, with the keys of its stimulus sets, and ``KIND``, an instance of a subclass of
:class:`StimulusKind`. Planning a study uses everything in it except :meth:`StimulusKind.build`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from layerwise.config.prompts import Prompt
from layerwise.config.stimuli import ImagesEntry, StimuliEntry
from layerwise.config.tasks import Task
from layerwise.datasets.format import DataSize
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.picture_places import check_places

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

EntryT = TypeVar("EntryT", bound=StimuliEntry)
ImagesEntryT = TypeVar("ImagesEntryT", bound=ImagesEntry)
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# This placeholder gives the same words in every item.
LIST = "categories"
# Knowledge about the object that an item asks for.
ASKED = ("asked-attribute", "asked-centre")


def placeholders(prompt: Prompt) -> set[str]:
    """The placeholders in a prompt."""
    return set(PLACEHOLDER.findall(prompt.text))


def check_images(where: str, prompt: Prompt, pictures: int) -> None:
    """Refuse a prompt that shows other pictures than items have.

    Args:
        where: its key, for messages.
        prompt: of the config.
        pictures: how many an item shows.

    Raises:
        InputError: naming the prompt and what to write.
    """
    one = "one picture" if pictures == 1 else f"{pictures} pictures"
    if prompt.image == "random-order" and pictures == 1:
        raise InputError(f"{where}.image: items have one picture, and it has one order; leave out `random-order`")
    if (images := prompt.images) is None:
        return
    where = f"{where}.images"
    if len(images) != pictures:
        number = f"{len(images)} {'entry' if len(images) == 1 else 'entries'}"
        raise InputError(f"{where}: it has {number}, but items have {one}; give an entry for each place")
    if far := [shown for shown in images if isinstance(shown, int) and shown > pictures]:
        raise InputError(f"{where}: there is no picture {far[0]}, as items have {one}")
    if images == list(range(1, pictures + 1)):
        raise InputError(f"{where}: this is what an item shows anyway; leave it out")
    if set(images) in ({"none"}, {"blank"}):
        raise InputError(f"{where}: write `image: {images[0]}`, which says this of all pictures")


class DataParts(NamedTuple):
    """What a stimulus set reads from a data set."""

    dataset: str
    parts: list[str]


@dataclass(frozen=True)
class ExpectedItems:
    """About how many items a stimulus set will have.

    Attributes:
        images: distinct images.
        texts_per_image: distinct texts about an image, on average.
        characters: mean length of the text that is put into a prompt.
        distinct_texts: distinct texts over all images.
        categories: how many categories {categories} lists; 0 for kinds without them.
        category_characters: mean length of a category's name.
    """

    images: int
    texts_per_image: float
    characters: float
    distinct_texts: float
    categories: int = 0
    category_characters: float = 0


class StimulusKind(ABC, Generic[EntryT]):
    """A kind of stimulus.

    Attributes:
        entry_class: the class of its config entries.
        allowed, required: placeholders that prompts may have, and must have.
        classes: the classes of its labels in index order, the "positive" one last; None if the data name them.
        formats: the formats of the data sets that it can read; empty for kinds that read none.
        has_objects: whether annotated objects come with the items, for tasks about `knowledge`.
        asks_category: whether each item is about one category of objects.
        not_shown: keys of an entry that do not decide what models are shown.
    """

    entry_class: type[EntryT]
    allowed: ClassVar[frozenset[str]]
    required: ClassVar[frozenset[str]] = frozenset()
    classes: ClassVar[tuple[str, ...] | None] = None
    formats: ClassVar[Collection[str]] = ()
    has_objects: ClassVar[bool] = False
    asks_category: ClassVar[bool] = False
    not_shown: ClassVar[frozenset[str]] = frozenset({"prompts", "dataset"})

    @abstractmethod
    def build(self, entry: EntryT, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        """The stimuli of an entry, and the files that they were read from. Images are not opened and need not exist.

        Args:
            entry: of the config.
            sources: where its data set is; empty for kinds that read none.
            seed: for every random choice.

        Raises:
            InputError: on bad input, naming file and row or record.
        """

    @abstractmethod
    def expected(self, entry: EntryT, size: DataSize) -> ExpectedItems:
        """About how many items there will be.

        Args:
            entry: of the config.
            size: of its data set; for kinds that read none, a size without images.
        """

    @abstractmethod
    def source_files(self, entry: EntryT, data: "Locations") -> list[str]:
        """The files, apart from images, whose change makes a stimulus set stale."""

    @abstractmethod
    def mark(self, entry: EntryT, data: "Locations") -> list[Any]:
        """What else decides the content of a stimulus set, besides :meth:`shown` and the code, for its recipe."""

    @abstractmethod
    def check(self, where: str, entry: EntryT, data: "Locations") -> None:
        """Refuse an entry whose sources do not fit.

        Args:
            where: its key, for messages.
            entry: of the config.
            data: the study's data sets.

        Raises:
            InputError: naming the key.
        """

    @property
    def parts(self) -> Mapping[str, str]:
        """Official parts that are not called train, dev, val or test, and the split that each is meant for."""
        return {}

    def files(self, entry: EntryT, data: "Locations") -> list[str]:
        """The modules that make the stimuli of an entry, as paths relative to ``scripts/``, for digests of code."""
        return [KINDS.file(entry.kind)]

    def options(self, entry: EntryT, data: "Locations") -> list[str]:
        """The command-line options that the program needs to make an entry's stimuli, besides the entry itself."""
        return []

    def reads(self, entry: EntryT) -> DataParts | None:
        """What an entry reads from a data set; None for kinds that read none."""
        return None

    def shown(self, entry: EntryT, data: "Locations") -> dict[str, Any]:
        """The keys of an entry that decide what models are shown, for the recipe."""
        return {key: value for key, value in entry.entry().items() if key not in self.not_shown}

    def labels(self, entry: EntryT, task: Task) -> int:
        """How many labels of an item a task reads, at most."""
        return 1

    def classes_of(self, entry: EntryT, task: Task | None) -> Sequence[str] | None:
        """The classes of a task's labels, or without a task of all labels, in index order; None if the config alone
        does not tell them."""
        return self.classes

    def asks_of_others(self, entry: EntryT, task: Task, answers: Collection[str]) -> bool:
        """Whether a prompt's answers are the classes of labels that a task does not read."""
        return False

    def pictures(self, entry: EntryT) -> int:
        """How many pictures each item shows."""
        return 1

    def numbers(self, entry: EntryT) -> list[str]:
        """The labels of items that are numbers, for tasks with `metric: r2`."""
        return []

    def unused(self, where: str, entry: EntryT, prompts: Sequence[Prompt]) -> list[str]:
        """Keys of an entry that have no effect with these prompts, for a warning."""
        return []

    def check_prompt(self, where: str, prompt: Prompt, entry: EntryT) -> None:
        """Refuse a prompt that does not fit the kind.

        Raises:
            InputError: naming the prompt and the placeholder.
        """
        pictures = self.pictures(entry)
        check_places(where, prompt.text, pictures)
        check_images(where, prompt, pictures)
        found = placeholders(prompt)
        if unknown := found - self.allowed:
            allowed = ", ".join(f"{{{name}}}" for name in sorted(self.allowed))
            raise InputError(f"{where}: unknown placeholder {{{min(unknown)}}}; {entry.kind} prompts allow {allowed}")
        if missing := self.required - found:
            raise InputError(f"{where}: the prompt needs {{{min(missing)}}}, or every item would read the same")
        if prompt.categories is not None and LIST not in found:
            raise InputError(f"{where}: `categories` is given, but the prompt has no {{categories}}")
        if prompt.image == "none" and not found - {LIST}:
            raise InputError(f"{where}: without an image (`image: none`) every item would read the same")
        if prompt.images and set(prompt.images) <= {"none", "blank"} and not found - {LIST}:
            raise InputError(f"{where}.images: without a picture every item would be shown the same; give {{text}}")

    def check_task(self, where: str, task: Task, entry: EntryT, stimuli: str) -> None:
        """Refuse a task that the items have no labels for.

        Args:
            where: the task's key.
            task: of the config.
            entry: of its stimulus set.
            stimuli: the stimulus set's name.

        Raises:
            InputError: naming the key.
        """
        if task.knowledge is None:
            return
        if not self.has_objects:
            others = ", ".join(name for name, kind in KINDS.items() if kind.has_objects)
            raise InputError(
                f"{where}.knowledge: stimuli.{stimuli} is {entry.kind}, which has no annotated objects; kinds with "
                f"objects: {others}"
            )
        if task.knowledge.about in ASKED and not self.asks_category:
            others = ", ".join(name for name, kind in KINDS.items() if kind.asks_category)
            raise InputError(
                f"{where}.knowledge: {task.knowledge.about} needs items that ask for a category, as those of {others} "
                f"do; stimuli.{stimuli} is {entry.kind}"
            )


class ImagesKind(StimulusKind[ImagesEntryT]):
    """A kind over the images of a data set."""

    def reads(self, entry: ImagesEntryT) -> DataParts:
        return DataParts(entry.dataset, list(entry.images))

    def options(self, entry: ImagesEntryT, data: "Locations") -> list[str]:
        return data.options(*self.reads(entry))

    def source_files(self, entry: ImagesEntryT, data: "Locations") -> list[str]:
        return data.source_files(*self.reads(entry))

    def shown(self, entry: ImagesEntryT, data: "Locations") -> dict[str, Any]:
        return super().shown(entry, data) | data.shown(*self.reads(entry))

    def mark(self, entry: ImagesEntryT, data: "Locations") -> list[Any]:
        return [data.mark(*self.reads(entry)), data.seed]

    def check(self, where: str, entry: ImagesEntryT, data: "Locations") -> None:
        if entry.dataset not in data.datasets:
            known = ", ".join(data.datasets) or "nothing"
            raise InputError(f"{where}.dataset: there is no {entry.dataset!r}; the config has {known}")
        if (found := data.datasets[entry.dataset].format) not in self.formats:
            raise InputError(
                f"{where}: {entry.kind} reads data sets of format {' or '.join(self.formats)}, but {entry.dataset} is "
                f"{found}"
            )
        data.check_parts(where, *self.reads(entry))

    def sampled(self, entry: ImagesEntryT, size: DataSize) -> int:
        """About how many images an entry samples. A part of unknown size counts as large enough.

        Raises:
            InputError: when an entry takes all images of a part whose size is unknown.
        """
        images = 0
        for part, count in entry.images.items():
            known = size.images.get(part)
            if count == "all" and known is None:
                raise InputError(
                    f"datasets.{entry.dataset}: the size of the part {part!r} is not known before the stimuli are "
                    "made; make them first, or name a number of images"
                )
            images += min(count for count in (count, known) if isinstance(count, int))
        return images
