"""From a config entry to its stimuli: each kind with its reader and its builder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.datasets import coco, snli_ve
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.entailment import build_entailment
from layerwise.stimuli.hypotheses import build_hypotheses
from layerwise.stimuli.objects import build_objects
from layerwise.stimuli.own_table import build_table
from layerwise.stimuli.relations import build_relations


def build_stimuli(
    entry: dict[str, Any], annotations: str | None, images: str | None, corrected_labels: dict[str, str], seed: int
) -> tuple[Stimuli, list[Path]]:
    """The stimuli of a config entry, and the source files that they were read from. No image is opened.

    Args:
        entry: an entry of ``stimuli``.
        annotations: folder of annotation files; None for a table.
        images: folder of images, which need not be there yet; None for a table.
        corrected_labels: files of corrected SNLI-VE labels, by part.
        seed: seed of every choice.
    """
    kind = entry["kind"]
    if kind == "table":
        return build_table(entry), [Path(entry["file"])]
    if kind == "snli-ve":
        corrected = {part: corrected_labels[part] for part in entry["images"] if part in corrected_labels}
        pairs = {part: snli_ve.read_part(annotations, images, part, corrected.get(part)) for part in entry["images"]}
        sources = [snli_ve.annotation_file(annotations, part) for part in pairs]
        built = build_hypotheses(pairs, entry["images"], seed, entry.get("pairs_per_label"))
        return built, sources + [Path(file) for file in corrected.values()]
    parts = coco.read_parts(annotations, images, list(entry["images"]))
    sources = [file for part in parts for file in coco.annotation_files(annotations, part)]
    if kind == "coco-objects":
        built = build_objects(parts, entry["images"], entry["pairs_per_category"], entry.get("categories"), seed)
    elif kind == "coco-relations":
        built = build_relations(
            parts, entry["images"], entry["images_per_pair"], entry["margin"], entry.get("categories"), seed
        )
    else:
        built = build_entailment(parts, entry["images"], entry["captions_per_image"], entry["mismatch"], seed)
    notes = built.notes | {"repeated_records": sum(part.repeated for part in parts.values())}
    return replace(built, objects=_objects(parts, built.provenance), notes=notes), sources


def _objects(parts: dict[str, coco.CocoPart], provenance: pd.DataFrame) -> pd.DataFrame:
    """What is annotated in the images of a stimulus set, for tasks that ask about it."""
    tables = {name: part.annotations for name, part in parts.items()}
    named = [table.assign(image_id=f"{name}/" + table["image_id"].astype(str)) for name, table in tables.items()]
    objects = pd.concat(named, ignore_index=True)
    return objects[objects["image_id"].isin(provenance["image_id"])].reset_index(drop=True)
