"""What stimulus sets of every kind have.

Each kind's own class is ``Entry`` in its module (:mod:`layerwise.stimuli.catalogue`).
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from layerwise.config.base import Count, Each, Either, Filled, Name, Section, whole
from layerwise.config.prompts import Prompt
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.config.tasks import Task

Images = Annotated[Count | Literal["all"], Either("a whole number of at least 1, or the word all")]
PairCount = Annotated[int, whole(2)]


class StimuliEntry(Section):
    """A stimulus set: what models are shown."""

    placeholders: ClassVar[frozenset[str]]
    """What a prompt may hold."""
    needed: ClassVar[frozenset[str]] = frozenset()
    """What a prompt must hold."""
    dataset_format: ClassVar[str | None] = None
    """The format of the data set that it is made from; None if it is made from files of its own."""

    kind: str
    """How items are made."""
    prompts: Annotated[list[Name], Each(1)]
    """Names of prompts from `prompts`, under this stimulus set's kind. Each is run once per model."""

    def check_prompt(self, where: str, prompt: Prompt) -> None:
        """Refuse a prompt that does not suit these stimuli.

        Args:
            where: the prompt's path in the config.

        Raises:
            InputError: naming the placeholder.
        """
        found = prompt.placeholders
        if unknown := found - self.placeholders:
            allowed = ", ".join(f"{{{name}}}" for name in sorted(self.placeholders))
            raise InputError(
                f"{where}: unknown placeholder {{{min(unknown)}}}; prompts of {self.kind} may have {allowed}"
            )
        if missing := self.needed - found:
            raise InputError(f"{where}: the prompt needs {{{min(missing)}}}, or every item would read the same")
        if prompt.categories is not None and "categories" not in found:
            raise InputError(f"{where}: `categories` is given, but the prompt has no {{categories}}")
        # The list of categories is the same for every item.
        if prompt.image == "none" and not found - {"categories"}:
            raise InputError(f"{where}: without an image (`image: none`) every item would read the same")

    def check_task(self, name: str, task: "Task") -> None:
        """Refuse a task that these stimuli cannot serve.

        Args:
            name: of the task.

        Raises:
            InputError: naming the task's key.
        """

    def check_files(self, where: str) -> None:
        """Refuse files of its own that are missing or do not have what the entry names.

        Args:
            where: the stimulus set's path in the config.

        Raises:
            InputError: naming the file.
        """


class ImagesEntry(StimuliEntry):
    """A stimulus set over the images of a data set."""

    dataset: str
    """Name of an entry of `datasets`."""
    images: Annotated[dict[str, Images], Filled()]
    """How many images to sample from each official part of the data set (by seed); the word `all` takes every image.
    Parts that are not named are left out."""
