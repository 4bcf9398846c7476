"""The whole world in one folder."""

import hashlib
import json
from pathlib import Path

import numpy as np

from layerwise.datasets.world import coco, gqa, snli_ve
from layerwise.datasets.world.frames import files as frames
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file

# The first word of every seed sequence here; training the embedded model has words of its own.
STREAM = 1
FEWEST = {"train-images": 1, "val-images": 1, "flickr-images": 3}
# So that each part has a matched pair.
FEWEST_SEQUENCES = 6


def make_world(
    out: Path, train_images: int, val_images: int, flickr_images: int, seed: int, frame_sequences: int = 0
) -> dict:
    """Write the world under ``out``: ``coco/``, ``snli_ve/``, ``gqa/``, with sequences ``frames/``, and ``world.json``.

    The same numbers and seed give the same bytes. Returns the content of ``world.json``: the seed, the number of
    entries by file and the SHA-256 of each annotation file.

    Raises:
        InputError: a number is too small, or the seed is negative.
    """
    numbers = {"train-images": train_images, "val-images": val_images, "flickr-images": flickr_images}
    for name, number in numbers.items():
        if number < FEWEST[name]:
            raise InputError(f"--{name} {number}: give {FEWEST[name]} or more")
    if frame_sequences != 0 and frame_sequences < FEWEST_SEQUENCES:
        raise InputError(f"--frame-sequences {frame_sequences}: give 0, or {FEWEST_SEQUENCES} or more")
    if seed < 0:
        raise InputError(f"--seed {seed}: give 0 or more")
    # Each part has a stream of its own, so that more training pictures leave the others as they are.
    train_rng, val_rng, flickr_rng, gqa_rng, frames_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence([STREAM, seed]).spawn(5)
    )
    train = coco.draw_images(train_images, 1, 1, train_rng)
    annotations = sum(len(image.annotation_ids) for image in train)
    val = coco.draw_images(val_images, train_images + 1, annotations + 1, val_rng)
    (out / "world.json").unlink(missing_ok=True)
    counts = {
        "coco": coco.write_split(out / "coco", "train", train) | coco.write_split(out / "coco", "val", val),
        "snli_ve": snli_ve.write(out / "snli_ve", flickr_images, flickr_rng),
        "gqa": gqa.write(
            out / "gqa", [(image.image_id, image.scene, image.annotation_ids, image.captions) for image in val], gqa_rng
        ),
    }
    if frame_sequences:
        counts["frames"] = frames.write(out / "frames", frame_sequences, frames_rng)
    files = {f"{part}/{name}": number for part, named in counts.items() for name, number in named.items()}
    checksums = {name: _sha256(out / name) for name in files if (out / name).is_file()}
    world = {"seed": seed, "counts": files, "sha256": checksums}
    with finished_file(out / "world.json") as partial:
        partial.write_text(json.dumps(world, indent=2) + "\n", encoding="utf-8")
    return world


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
