"""Sequences of frames as files: the pictures, and a JSON file of annotations for each part."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from layerwise.datasets.frame_events import KINDS, Event
from layerwise.datasets.world import render
from layerwise.datasets.world.frames.pairs import draw_sequence, paused
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.scenes import Scene, SceneObject
from layerwise.jobs.command import finished_file

PARTS = ("train", "val", "test")
Pair = tuple[FrameSequence, FrameSequence]


def pairs_by_part(sequences: int) -> dict[str, int]:
    """How many matched pairs of each kind a part has: val and test a fifth each, rounded up."""
    pairs = sequences // 2
    held_out = -(-pairs // 5)
    return {"train": pairs - 2 * held_out, "val": held_out, "test": held_out}


def write(folder: Path, sequences: int, rng: np.random.Generator) -> dict[str, int]:
    """Write ``PART/*.png`` and ``PART.json`` of each part.

    No picture is in two pairs, so that none is in two parts. Each pair is there twice: as it is, and with a pause, in
    which one of its frames is shown twice in a row.

    Args:
        folder: to write in.
        sequences: of each kind, over all parts; without those with a pause.
        rng: draws everything.

    Returns:
        The number of pictures, or of sequences, by path relative to ``folder``.
    """
    numbers = {kind: count(1) for kind in KINDS}
    seen: set[Scene] = set()
    counts: dict[str, int] = {}
    for part, pairs in pairs_by_part(sequences).items():
        records: list[dict[str, Any]] = []
        pictures = 0
        for kind in KINDS:
            for _ in range(pairs):
                pair = _unseen_pair(kind, seen, rng)
                name = f"{kind}-{next(numbers[kind]):05d}"
                files = _write_pictures(folder, f"{part}/{name}", pair)
                pictures += len(files)
                records += [*_records(name, pair, files), *_records(f"{name}-paused", paused(*pair, rng), files)]
        with finished_file(folder / f"{part}.json") as partial:
            partial.write_text(json.dumps({"sequences": records}), encoding="utf-8")
        counts |= {part: pictures, f"{part}.json": len(records)}
    return counts


def _unseen_pair(kind: str, seen: set[Scene], rng: np.random.Generator) -> Pair:
    """A pair with none of the scenes in ``seen``, to which its own are added.

    This keeps the balance: partners are accepted or refused together.
    """
    while True:
        pair = draw_sequence(kind, rng)
        scenes = {frame for sequence in pair for frame in sequence.frames}
        if not scenes & seen:
            seen |= scenes
            return pair


def _write_pictures(folder: Path, name: str, pair: Pair) -> dict[Scene, str]:
    """Write each distinct frame of a pair once; the files by scene, relative to ``folder``."""
    scenes = dict.fromkeys(frame for sequence in pair for frame in sequence.frames)
    files = {scene: f"{name}-{number}.png" for number, scene in enumerate(scenes, start=1)}
    for scene, file in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # PNG, so that what stands still is the same in every pixel.
        Image.fromarray(render.render(scene)).save(folder / file)
    return files


def _records(name: str, pair: Pair, files: dict[Scene, str]) -> Iterator[dict[str, Any]]:
    ids = f"{name}-a", f"{name}-b"
    for own, other, sequence in zip(ids, ids[::-1], pair, strict=True):
        yield {
            "id": own,
            "kind": sequence.kind,
            "matched": other,
            "frames": [_frame(scene, files[scene]) for scene in sequence.frames],
            "events": [_event(event) for event in sequence.events],
        }


def _frame(scene: Scene, file: str) -> dict[str, Any]:
    return {"file": file, "objects": [_object(item) for item in scene.objects]}


def _object(item: SceneObject) -> dict[str, Any]:
    return {
        "name": item.shape,
        "box": [*render.box(item)],
        "shape": item.shape,
        "colour": item.colour,
        "cell": [item.column, item.row],
    }


def _event(event: Event) -> dict[str, Any]:
    told = {"what": event.what, "who": event.who, "between": [event.after, event.after + 1]}
    further: Sequence[tuple[str, str | None]] = (("way", event.way), ("caused_by", event.caused_by))
    return told | {key: value for key, value in further if value is not None}
