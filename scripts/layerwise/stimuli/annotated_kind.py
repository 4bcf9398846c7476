"""What kinds over annotated images have in common, whatever the format of the data set."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.datasets.catalogue import ANNOTATED
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import ImagesEntryT, ImagesKind

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations


class AnnotatedKind(ImagesKind[ImagesEntryT]):
    """A kind over images with captions and annotated objects."""

    formats: ClassVar[Collection[str]] = ANNOTATED
    has_objects = True

    @property
    def parts(self) -> Mapping[str, str]:
        return {part: split for source in ANNOTATED.values() for part, split in source.parts.items()}

    @abstractmethod
    def make(self, parts: dict[str, AnnotatedPart], entry: ImagesEntryT, seed: int) -> Stimuli:
        """The stimuli of an entry, without the objects.

        Args:
            parts: what is annotated, by official part.
            entry: of the config.
            seed: of every choice.
        """

    def files(self, entry: ImagesEntryT, data: "Locations") -> list[str]:
        return [*super().files(entry, data), ANNOTATED.file(data.datasets[entry.dataset].format)]

    def build(self, entry: ImagesEntryT, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        source = ANNOTATED[sources.format]
        parts = source.read(sources.annotations, sources.images, list(entry.images))
        files = [file for part in parts for file in source.files(sources.annotations, part)]
        made = self.make(parts, entry, seed)
        notes = made.notes | {"repeated_records": sum(part.repeated for part in parts.values())}
        return replace(made, objects=_objects(parts, made.provenance), notes=notes), files


def _objects(parts: dict[str, AnnotatedPart], provenance: pd.DataFrame) -> pd.DataFrame:
    """What is annotated in the images of a stimulus set, for tasks that ask about it."""
    tables = {name: part.annotations for name, part in parts.items()}
    named = [table.assign(image_id=f"{name}/" + table["image_id"].astype(str)) for name, table in tables.items()]
    objects = pd.concat(named, ignore_index=True)
    return objects[objects["image_id"].isin(provenance["image_id"])].reset_index(drop=True)
