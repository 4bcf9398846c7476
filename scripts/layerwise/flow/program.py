"""What ``trace_flow.py`` does: measure one model's answers to one set of questions, unless that has been done."""

import hashlib
import json
from pathlib import Path
from typing import Any

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.flow.questions import read_questions
from layerwise.flow.results import ResultFiles, holds, write_results
from layerwise.jobs.cards import take_cards
from layerwise.jobs.kept import KeptFiles
from layerwise.models.families import family_of
from layerwise.models.versions import library_versions
from layerwise.states.device import start_torch
from layerwise.states.work import WorkFolder, make_once


def trace_flow(
    *,
    model: Path,
    questions: Path,
    cell: dict[str, Any],
    batch_size: int,
    device_map: dict[str, Any] | str | None,
    cards: int,
    threads: int,
    work: Path,
    kept: Path | None,
    files: ResultFiles,
) -> None:
    """Write the results of one cell: from kept files, or by running the model.

    Args:
        model: ``model.json``.
        questions: folder of the questions.
        cell: what decides the results beside these two.
        batch_size: questions that are answered together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        files: the files to write.

    Raises:
        InputError: when the input is wrong, before torch is imported; or see
            :func:`layerwise.flow.measuring.measure`.
    """
    # This checks the input. Torch and the weights are loaded later.
    model_json = read_description(model, "digest")
    asked, questions_json = read_questions(questions)
    pictures = questions_json.get("own", {}).get("pictures", 1)
    if pictures > 1 and (why := family_of(model_json["model_type"]).one_picture):
        raise InputError(
            f"flow.questions.{cell['questions']} shows {pictures} pictures in a text, and models.{cell['model']}, of "
            f"type {model_json['model_type']}, takes one: {why}; leave it out of `flow.models`, or ask about one "
            "picture"
        )
    # The digests are known only once both have been described; see layerwise.states.cells.
    cell = cell | {"model_digest": model_json["digest"], "questions_digest": questions_json["digest"]}
    finished = KeptFiles(kept, cell, files.written)

    def is_finished(file: Path) -> bool:
        return holds(file, cell)

    if finished.take(is_finished):
        return
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.flow.asking import Asking
    from layerwise.flow.head_results import write_heads
    from layerwise.flow.head_runs import HeadPlaces
    from layerwise.flow.measuring import measure
    from layerwise.models.opening import open_model

    # With the versions of the libraries, so that a job in another environment starts afresh.
    versions = library_versions()
    fingerprint = hashlib.sha256(json.dumps([cell, device, versions], sort_keys=True).encode()).hexdigest()

    def make(folder: WorkFolder) -> None:
        frozen = open_model(model_json, device, device_map=device_map)
        asking = Asking.of(cell, questions_json)
        measured = measure(frozen, model_json, asked, asking, batch_size, folder)
        if files.heads is not None:
            places = HeadPlaces.of(frozen, asking).named
            write_heads(files.heads, measured, asked, [flow.name for flow in asking.head_flows], places)
        write_results(files, measured, asked, questions_json, cell | versions, asking.flows)

    make_once(work, fingerprint, finished, is_finished, make)
