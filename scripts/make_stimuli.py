"""Make a stimulus set: items, where they come from, what is annotated in their images, and what was counted."""

import argparse
import json
from collections import Counter
from pathlib import Path

from layerwise.checksums import file_sha256
from layerwise.command import finished_file, run
from layerwise.errors import InputError
from layerwise.stimuli.building import finish_items
from layerwise.stimuli.duplicates import join_groups
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.kinds import build_stimuli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--annotations", help="folder of annotation files")
    parser.add_argument("--images", help="folder of images")
    parser.add_argument("--corrected-labels", type=json.loads, default={}, help="files by SNLI-VE part, as JSON")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the stimulus set")
    args = parser.parse_args()

    stimuli, sources = build_stimuli(args.entry, args.annotations, args.images, args.corrected_labels, args.seed)
    if stimuli.shown.empty:
        raise InputError(f"stimuli.{args.name}: no items could be made; {stimuli.notes}")
    shown = finish_items(stimuli)
    items, provenance = join_groups(shown, stimuli.provenance)
    with finished_file(args.out / "items.parquet") as file:
        items.to_parquet(file, index=False)
    with finished_file(args.out / "provenance.parquet") as file:
        provenance.to_parquet(file, index=False)
    with finished_file(args.out / "objects.parquet") as file:
        stimuli.objects.to_parquet(file, index=False)
    description = {
        "stimuli": args.name,
        "kind": args.entry["kind"],
        "digest": items_digest(items, stimuli.categories),
        "categories": stimuli.categories,
        "items": len(items),
        "images": int(items["image"].nunique()),
        "items_per_part": dict(Counter(provenance["part"])),
        "items_dropped_as_duplicates": len(shown) - len(items),
        "sources": [{"file": str(file), "sha256": file_sha256(file)} for file in sources],
        **stimuli.notes,
    }
    with finished_file(args.out / "stimuli.json") as file:
        file.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
