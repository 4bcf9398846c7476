"""What ``embed_pictures.py`` does: run a model's vision tower over the distinct pictures of a stimulus set.

The file is a states file of a single layer, ``embeddings``, with the position ``image-mean``: a row per picture. Of
items with several pictures it has a row for each distinct sequence of them, with their features side by side, in order.
Of a family whose decoder has no tokens of the image it has no position, and the cell says so under ``none``.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.descriptions import read_description
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.versions import library_versions
from layerwise.several_pictures import each
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.device import start_torch
from layerwise.states.plan import plan_parts, ranges_of
from layerwise.states.work import WorkFolder, make_once
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import unique_inputs

log = logging.getLogger(__name__)

POSITION, LAYER = "image-mean", "embeddings"
# The same for all pictures, so that nothing of an item's text is in the features of its picture. (The Q-Former of
# InstructBLIP reads the prompt.)
PROMPT = "Describe the image."
# Of items with several pictures, so many are written at a time.
ROWS_AT_ONCE = 1024


def embed(
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
    """Write the features of a stimulus set's pictures: from kept files, or by running the vision tower.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        cell: what decides the features beside these two: the code.
        batch_size: pictures that run together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        out: the file to write.

    Raises:
        InputError: when the input is wrong, a picture cannot be decoded, or not even one fits on the device.
        FloatingPointError: on a feature that is not finite.
    """
    # This checks the input. Torch and the weights are loaded later.
    description = read_description(model, "digest")
    items, stimuli_json = read_items(stimuli)
    made = made_from(cell, description, stimuli_json)
    content = content_of(made)
    finished = KeptFiles(kept, content, [out])

    def is_finished(file: Path) -> bool:
        return holds(file, content)

    if finished.take(is_finished):
        return
    shown, row_of_item = unique_inputs(items, [PROMPT] * len(items))
    inputs, pictures_of = single_pictures(shown)
    parts = plan_parts(inputs, least_texts=0, batch_size=batch_size)
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.states.pictures.embedding import embed_parts, has_image_tokens

    def make(folder: WorkFolder) -> None:
        opened = open_model(description, device, device_map=device_map)
        none = {} if has_image_tokens(opened, inputs) else {"none": "the decoder has no tokens of the image"}
        if none:
            log.warning("%s: %s; no features of pictures are kept", description["model"], none["none"])
        else:
            embed_parts(opened, inputs, parts, folder)
        cell = made | library_versions() | none
        _write(out, folder, ranges_of(parts), pictures_of, items["item_id"], row_of_item, opened.width, cell)

    # With the versions of the libraries, so that a job in another environment starts afresh.
    named = json.dumps([content, device, batch_size, library_versions()], sort_keys=True)
    make_once(work, hashlib.sha256(named.encode()).hexdigest(), finished, is_finished, make)


def single_pictures(shown: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Each picture of some inputs once.

    Args:
        shown: ``item_id``, ``image``, ``prompt``; all rows show equally many pictures.

    Returns:
        The same columns, a row per distinct picture; and which of these rows are each input's, shape (inputs, n).
    """
    of_inputs = shown["image"].map(each)
    singles = shown.assign(image=of_inputs).explode("image", ignore_index=True)
    numbers, _ = pd.factorize(singles["image"])
    inputs = singles[~singles["image"].duplicated()].reset_index(drop=True)
    return inputs, numbers.reshape(len(shown), -1)


def _write(
    out: Path,
    work: WorkFolder,
    ranges: Sequence[tuple[int, int]],
    pictures_of: np.ndarray,
    item_ids: Sequence[str],
    row_of_item: Sequence[int],
    width: int,
    cell: dict[str, Any],
) -> None:
    positions = [] if "none" in cell else [POSITION]
    rows, n_pictures = pictures_of.shape
    with (
        finished_file(out) as partial,
        new_states(
            partial,
            positions=positions,
            layers=[LAYER],
            rows=rows,
            width=width * n_pictures,
            dtype="float32",
            item_ids=list(item_ids),
            row_of_item=row_of_item,
            cell=cell,
        ) as datasets,
    ):
        if not positions:
            return
        parts = work.assemble(ranges, positions)
        if n_pictures == 1:
            for start, values in parts:
                write_rows(datasets[POSITION], start, values[POSITION])
            return
        of_pictures = np.concatenate([values[POSITION][:, 0] for _, values in parts])
        for start in range(0, rows, ROWS_AT_ONCE):
            side_by_side = of_pictures[pictures_of[start : start + ROWS_AT_ONCE]]
            write_rows(datasets[POSITION], start, side_by_side.reshape(len(side_by_side), 1, -1))
