"""What ``read_patches.py`` does: read the output head at every image token of some pictures, in every layer."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.lens.maps import write_maps
from layerwise.lens.sampling import Sampled, sample_pictures
from layerwise.models.versions import library_versions
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.device import start_torch
from layerwise.states.plan import plan_parts, ranges_of
from layerwise.states.work import WorkFolder, make_once
from layerwise.stimuli.items import described_stimuli

log = logging.getLogger(__name__)

# The same for all pictures. In most families no image token sees it, because it follows the picture.
PROMPT = "Describe the image."


def read_patches(
    *,
    model: Path,
    stimuli: Path,
    cell: dict[str, Any],
    batch_size: int,
    device_map: dict[str, Any] | str | None,
    cards: int,
    threads: int,
    work: Path,
    kept: Path | None,
    out: Path,
) -> None:
    """Write the maps of some pictures' words: from kept files, or by running the model.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        cell: what decides the maps beside these two: ``pictures`` (how many), ``parts``, ``seed``, and the code.
        batch_size: pictures that run together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        out: the file to write.

    Raises:
        InputError: when the input is wrong, a picture cannot be decoded, the model's head cannot be read, or not even
            one picture fits on the device.
        FloatingPointError: on a probability that is not a number.
    """
    description = read_description(model, "digest")
    made = made_from(cell, description, described_stimuli(stimuli))
    content = content_of(made)
    finished = KeptFiles(kept, content, [out])

    def is_finished(file: Path) -> bool:
        return holds(file, content)

    if finished.take(is_finished):
        return
    sampled = sample_pictures(stimuli, cell["parts"], cell["pictures"], cell["seed"])
    inputs = sampled.shown[["item_id", "image"]].assign(prompt=PROMPT)
    parts = plan_parts(inputs, least_texts=0, batch_size=batch_size)
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.lens.parts import NAMES, make_parts
    from layerwise.lens.reading import check_readable
    from layerwise.lens.words import word_tokens
    from layerwise.models.frozen import layer_names
    from layerwise.models.opening import open_model

    def make(folder: WorkFolder) -> None:
        opened = check_readable(open_model(description, device, device_map=device_map), description["model"])
        told = made | library_versions() | {"prompt": PROMPT, "layers": layer_names(opened.n_layers)}
        if why := why_none(opened, inputs):
            log.warning("%s: %s; there are no maps", description["model"], why)
            with finished_file(out) as file:
                write_maps(file, told | {"none": why}, {})
            return
        tokens = word_tokens(opened, PROMPT, sampled.words)
        asked = words_with_tokens(sampled, tokens, description["model"])
        make_parts(opened, inputs, asked, list(tokens.values()), parts, folder)
        with finished_file(out) as file:
            arrays = _arrays(sampled, asked, list(folder.assemble(ranges_of(parts), NAMES)))
            write_maps(file, told | {"tokens": tokens}, arrays)

    named = json.dumps([content, device, batch_size, library_versions()], sort_keys=True)
    make_once(work, hashlib.sha256(named.encode()).hexdigest(), finished, is_finished, make)


def why_none(model: Any, inputs: pd.DataFrame) -> str:
    """Why the places of a model's image tokens are not known; empty where they are.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.
    """
    from layerwise.lens.parts import known_places
    from layerwise.models.patches import Unmapped
    from layerwise.states.images import read_image
    from layerwise.states.named import prepare_rows
    from layerwise.states.pictures.embedding import has_image_tokens

    if not has_image_tokens(model, inputs):
        return "the decoder has no tokens of the image"
    first = inputs.iloc[:1]
    prepared = prepare_rows(model, first)
    prepared = prepared[0] if isinstance(prepared, list) else prepared
    count = int(model.image_tokens(prepared).sum())
    try:
        known_places(model, read_image(first["image"].iat[0]).size, prepared, [count])
    except Unmapped as error:
        return str(error)
    return ""


def words_with_tokens(sampled: Sampled, tokens: Mapping[str, Sequence[int]], model: str) -> list[list[int]]:
    """For each picture the words that are read in it, without words that have no token of their own.

    Raises:
        InputError: when no word that is in a picture has one.
    """
    lacking = [word for word in sampled.words if not tokens[word]]
    if lacking:
        log.warning("%s begins these words with tokens of others, so they are left out: %s", model, ", ".join(lacking))
    known = [bool(tokens[word]) for word in sampled.words]
    if not any(known[word] for own in sampled.present for word in own):
        raise InputError(
            f"lens: models.{model} begins the words of all objects with the same tokens ({', '.join(lacking[:3])}, "
            "...); leave the model out"
        )
    return [[word for word in words if known[word]] for words in sampled.asked]


def _arrays(
    sampled: Sampled, asked: Sequence[Sequence[int]], parts: Sequence[tuple[int, dict[str, np.ndarray]]]
) -> dict[str, np.ndarray]:
    """The datasets of the file; see :mod:`layerwise.lens.maps`."""
    widest = max(values["maps"].shape[3] for _, values in parts)

    def widened(values: np.ndarray, axis: int) -> np.ndarray:
        room = [(0, widest - values.shape[axis]) if one == axis else (0, 0) for one in range(values.ndim)]
        return np.pad(values, room, constant_values=np.nan)

    maps, picture, word, present = [], [], [], []
    for start, values in parts:
        wide = widened(values["maps"], 3)
        for row, of_picture in enumerate(wide, start):
            own = set(sampled.present[row])
            for place, name in enumerate(asked[row]):
                maps.append(of_picture[place])
                picture.append(row)
                word.append(sampled.words[name])
                present.append(name in own)
    row_of = {image_id: row for row, image_id in enumerate(sampled.shown["image_id"])}
    return {
        "image_id": sampled.shown["image_id"].to_numpy(object),
        "image": sampled.shown["image"].to_numpy(object),
        "places": np.concatenate([widened(values["places"], 1) for _, values in parts]),
        "picture": np.array(picture, np.int32),
        "word": np.array(word, object),
        "present": np.array(present, bool),
        "maps": np.stack(maps),
        "boxes": sampled.boxes.iloc[:, 2:].to_numpy(np.float32),
        "box_picture": sampled.boxes["image_id"].map(row_of).to_numpy(np.int32),
        "box_word": sampled.boxes["category"].to_numpy(object),
    }
