"""What ``generate_answers.py`` does: let a model write its answers to the items of a cell, unless that was done."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.answers.written import as_text, holds, write_texts
from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.versions import library_versions
from layerwise.states.cells import content_of, made_from
from layerwise.states.device import start_torch
from layerwise.states.plan import plan_parts, ranges_of, running_order
from layerwise.states.work import WorkFolder, make_once
from layerwise.stimuli.items import read_items
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import check_cue, render_prompts, unique_inputs

log = logging.getLogger(__name__)


def generate(
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
    """Write the texts of one cell: from kept files, or by running the model.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        cell: what decides the texts beside these two: ``prompt_entry``, ``most_tokens`` and the code.
        batch_size: inputs that are answered together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        out: the file to write.

    Raises:
        InputError: when the input is wrong, or the model cannot write or fails on an item.
    """
    # This checks the input. Torch and the weights are loaded later.
    description = read_description(model, "digest")
    items, stimuli_json = read_items(stimuli)
    content = content_of(made_from(cell, description, stimuli_json))
    finished = KeptFiles(kept, content, [out])
    entry, categories = cell["prompt_entry"], stimuli_json["categories"]
    check_cue(cell["prompt"], entry, categories)
    # As in extraction: seeded by the items, so that every model sees the same shuffled images.
    shown = with_images(items, entry, seed=int(stimuli_json["digest"][:8], 16))
    inputs, row_of_item = unique_inputs(shown, render_prompts(entry, items, categories))

    def is_finished(file: Path) -> bool:
        return holds(file, content)

    if finished.take(is_finished):
        return
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.answers.written_parts import write_parts
    from layerwise.models.frozen import AnsweringModel
    from layerwise.models.opening import open_model

    # With the versions of the libraries, so that a job in another environment starts afresh.
    named = json.dumps([content, device, batch_size, library_versions()], sort_keys=True)
    order = running_order(inputs, least_texts=0)
    running = inputs.iloc[order].reset_index(drop=True)
    parts = plan_parts(running, least_texts=0, batch_size=batch_size)

    def make(folder: WorkFolder) -> None:
        opened = open_model(description, device, device_map=device_map)
        if not isinstance(opened, AnsweringModel):
            raise InputError(
                f"models.{description['model']}: its adapter {description['adapter']} writes no answers; leave "
                "`generate` out of the prompts that it reads (models.NAME.prompts)"
            )
        write_parts(opened, running, parts, cell["most_tokens"], folder)
        texts = _assembled(folder, ranges_of(parts), order)
        by_item = pd.DataFrame({"item_id": items["item_id"], "text": [texts[row] for row in row_of_item]})
        with finished_file(out) as file:
            write_texts(file, by_item, content | library_versions())

    make_once(work, hashlib.sha256(named.encode()).hexdigest(), finished, is_finished, make)


def _assembled(work: WorkFolder, ranges: Sequence[tuple[int, int]], order: Sequence[int]) -> list[str]:
    """The texts in the order of the inputs."""
    texts = [""] * len(order)
    for start, part in work.assemble(ranges, ["text"]):
        for place, row in enumerate(part["text"], start):
            texts[order[place]] = as_text(row)
    return texts
