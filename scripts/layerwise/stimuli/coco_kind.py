"""What kinds over images with annotated objects have in common."""

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path

import pandas as pd

from layerwise.datasets import coco
from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import ImagesEntryT, ImagesKind


class CocoKind(ImagesKind[ImagesEntryT]):
    """A kind over the images of a data set in COCO's format."""

    format = "coco"
    parts = coco.PARTS
    has_objects = True

    @abstractmethod
    def make(self, parts: dict[str, AnnotatedPart], entry: ImagesEntryT, seed: int) -> Stimuli:
        """The stimuli of an entry, without the objects; by official part what is annotated."""

    def build(self, entry: ImagesEntryT, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        parts = coco.read_parts(sources.annotations, sources.images, list(entry.images))
        files = [file for part in parts for file in coco.annotation_files(sources.annotations, part)]
        made = self.make(parts, entry, seed)
        notes = made.notes | {"repeated_records": sum(part.repeated for part in parts.values())}
        return replace(made, objects=_objects(parts, made.provenance), notes=notes), files


def _objects(parts: dict[str, AnnotatedPart], provenance: pd.DataFrame) -> pd.DataFrame:
    """What is annotated in the images of a stimulus set, for tasks that ask about it."""
    tables = {name: part.annotations for name, part in parts.items()}
    named = [table.assign(image_id=f"{name}/" + table["image_id"].astype(str)) for name, table in tables.items()]
    objects = pd.concat(named, ignore_index=True)
    return objects[objects["image_id"].isin(provenance["image_id"])].reset_index(drop=True)
