"""Make a stimulus set: items, where they come from, which pictures are alike, what is annotated, what was counted."""

import argparse
import json
import logging
from collections import Counter
from pathlib import Path

from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.several_pictures import each
from layerwise.stimuli.building import finish_items, pictures_by_id
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.duplicates import FILE, find_duplicates, in_their_own_part, join_groups, picture_ids
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.looks import look_at
from layerwise.stimuli.making import add_options, build_stimuli, read_options, source_records
from layerwise.stimuli.parts import official_parts

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    add_options(parser)
    parser.add_argument("--cache", type=Path, help="folder of what was seen of pictures before, by their content")
    parser.add_argument("--threads", type=int, help="that decode pictures; default: as many as there are cores")
    parser.add_argument("--out", type=Path, required=True, help="folder of the stimulus set")
    args, entry, sources = read_options(parser)

    stimuli, files = build_stimuli(entry, sources, args.seed)
    if stimuli.shown.empty:
        raise InputError(f"stimuli.{args.name}: no items could be made; {stimuli.notes}")
    pictures = KINDS[entry.kind].pictures(entry)
    of_image = pictures_by_id(stimuli, pictures).to_frame()
    paths = [path for image in stimuli.shown["image"].unique() for path in each(image)]
    looks = look_at(paths, args.cache, args.name, args.threads)
    items = finish_items(stimuli, looks["image_sha256"].to_dict())
    duplicates = find_duplicates(of_image.join(looks, on="image"), args.threads)
    for kind, pairs in duplicates.groupby("kind"):
        examples = ", ".join(f"{pair.first_file} and {pair.second_file}" for pair in pairs.head(3).itertuples())
        log.warning("%d pictures are there twice (%s; all are in duplicates.csv): %s", len(pairs), kind, examples)
    # A file in two official parts stays in one of them. Tasks keep other pictures that are alike apart, so that
    # items, and with them hidden states, stay the same.
    provenance = join_groups(stimuli.provenance, duplicates, [FILE])
    kept = in_their_own_part(provenance, official_parts(entry.kind)).to_numpy()
    if pictures > 1 and (largest := provenance["group"].value_counts().iloc[0]) > len(provenance) / 2:
        log.warning(
            "stimuli.%s: %d of %d items share pictures, directly or through other items; no split divides them",
            *(args.name, largest, len(provenance)),
        )
    dropped = int((~kept).sum())
    if pictures > 1 and dropped:
        log.warning(
            "stimuli.%s: %d of %d items are left out: they share a picture, directly or through other items, with an "
            "official part nearer to the test",
            *(args.name, dropped, len(kept)),
        )
    items, provenance = items[kept].reset_index(drop=True), provenance[kept].reset_index(drop=True)
    with finished_file(args.out / "items.parquet") as file:
        items.to_parquet(file, index=False)
    with finished_file(args.out / "provenance.parquet") as file:
        provenance.to_parquet(file, index=False)
    with finished_file(args.out / "duplicates.csv") as file:
        duplicates.to_csv(file, index=False)
    with finished_file(args.out / "objects.parquet") as file:
        stimuli.objects.to_parquet(file, index=False)
    description = {
        "stimuli": args.name,
        "kind": entry.kind,
        "digest": items_digest(items, stimuli.categories),
        "categories": stimuli.categories,
        "items": len(items),
        "images": len(picture_ids(items["image"])),
        **({"pictures": pictures} if pictures > 1 else {}),
        "items_per_part": dict(Counter(provenance["part"])),
        "items_dropped_as_duplicates": dropped,
        "duplicates": dict(Counter(duplicates["kind"])),
        "sources": source_records(sources, files),
        **stimuli.notes,
    }
    with finished_file(args.out / "stimuli.json") as file:
        file.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
