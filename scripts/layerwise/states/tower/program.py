"""What ``read_tower.py`` does: run a model's vision tower over the distinct pictures of a stimulus set.

The file is a states file with a dataset for each layer and way of pooling (:mod:`layerwise.states.tower.layers`), and a
row per picture.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.versions import library_versions
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.device import start_torch
from layerwise.states.pictures.program import PROMPT
from layerwise.states.plan import plan_parts, ranges_of
from layerwise.states.tower.layers import LAYER
from layerwise.states.work import WorkFolder, make_once
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import unique_inputs


def read_tower(
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
    """Write the tower's states of a stimulus set's pictures: from kept files, or by running the tower.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set, whose items show one picture each.
        cell: what decides the states beside these two: the code, and the precision on disk.
        batch_size: pictures that run together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        out: the file to write.

    Raises:
        InputError: when the input is wrong, the family's tower cannot be read, a picture cannot be decoded, or not even
            one fits on the device.
        FloatingPointError: on a state that is not finite.
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
    inputs, row_of_item = unique_inputs(items, [PROMPT] * len(items))
    parts = plan_parts(inputs, least_texts=0, batch_size=batch_size)
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.models.vision_tower import VisionTower
    from layerwise.states.pictures.embedding import has_image_tokens
    from layerwise.states.tower.reading import read_parts, tower_layers

    def make(folder: WorkFolder) -> None:
        opened = open_model(description, device, device_map=device_map)
        tower = VisionTower(opened)
        if not has_image_tokens(opened, inputs):
            raise InputError(
                f"models.{description['model']}: the decoder has no tokens of the image, so that nothing stands "
                "between its vision tower and its last token; name the other models in tower.models"
            )
        read_parts(opened, tower, inputs, parts, folder)
        names = [layer.dataset for layer in tower_layers(tower)]
        _write(out, folder, ranges_of(parts), names, items["item_id"], row_of_item, made | library_versions())

    # With the versions of the libraries, so that a job in another environment starts afresh.
    named = json.dumps([content, device, batch_size, library_versions()], sort_keys=True)
    make_once(work, hashlib.sha256(named.encode()).hexdigest(), finished, is_finished, make)


def _write(
    out: Path,
    work: WorkFolder,
    ranges: Sequence[tuple[int, int]],
    names: Sequence[str],
    item_ids: Sequence[str],
    row_of_item: Sequence[int],
    cell: dict[str, Any],
) -> None:
    with (
        finished_file(out) as partial,
        new_states(
            partial,
            positions=[],
            layers=[LAYER],
            rows=ranges[-1][1],
            width=0,
            dtype=cell["dtype"],
            item_ids=list(item_ids),
            row_of_item=row_of_item,
            cell=cell,
            # Each has a width of its own.
            sites=work.widths(ranges[0], names),
        ) as datasets,
    ):
        for start, values in work.assemble(ranges, names):
            for name in names:
                write_rows(datasets[name], start, values[name])
