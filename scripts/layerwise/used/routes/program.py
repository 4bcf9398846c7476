"""What ``train_route.py`` does: train one route, and the probe that it is compared with, unless that has been done."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from layerwise.answers.head_file import read_head
from layerwise.answers.tokens import tokens_of
from layerwise.checksums import file_sha256
from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.interventions.route_file import read_about
from layerwise.models.versions import library_versions
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.device import start_torch
from layerwise.states.shards import open_states
from layerwise.states.work import WorkFolder, make_once
from layerwise.stimuli.items import read_items
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import render_prompts
from layerwise.tasks.labels import read_task
from layerwise.used.routes.files import RouteFiles, write_control

if TYPE_CHECKING:
    from torch import Tensor

    from layerwise.models.frozen import AnsweringModel


def train_route(
    *,
    states: list[Path],
    cell: dict[str, Any],
    route: dict[str, Any],
    model: Path,
    head: Path,
    stimuli: Path,
    task: Path,
    batch_size: int,
    device_map: dict[str, Any] | str | None,
    cards: int,
    threads: int,
    work: Path,
    kept: Path | None,
    files: RouteFiles,
) -> None:
    """Write a trained route and its control: from kept files, or by training them.

    Gates and maps are trained on the states files alone. Attention needs one forward pass for each image.

    Args:
        states: the states file of the cell, or all its shards.
        cell: what the states must be made from.
        route: ``name``, ``kind``, ``seed``, ``prompt_entry`` with answers, ``code``, and ``from``, ``rank``, ``heads``
            and ``size`` as its kind has them.
        model: ``model.json``.
        head: ``head.safetensors`` of the model.
        stimuli, task: folders.
        batch_size: inputs per forward pass.
        device_map, cards, threads, work, kept: see :func:`layerwise.flow.program.trace_flow`.
        files: the files to write.

    Raises:
        InputError: when the input is wrong; all but the image is looked at before a model is loaded.
    """
    description = read_description(model, "digest")
    labels, task_json = read_task(task)
    _check(route, description)
    content = {
        "states": planned_content(cell, stimuli, model),
        "route": {key: value for key, value in route.items() if key != "name"},
        "labels": file_sha256(task / "labels.parquet"),
        "classes": task_json["classes"],
    }
    finished = KeptFiles(kept, content, files)

    def is_finished(file: Path) -> bool:
        try:
            return read_about(file)["cell"] == content
        except InputError:
            return False

    if finished.take(is_finished):
        return
    # Only attention runs the model, and needs a card.
    runs_model = route["kind"] == "attention"
    if runs_model:
        take_cards(cards)
    found_device = start_torch(threads)
    device = found_device if runs_model else "cpu"
    versions = library_versions()
    fingerprint = hashlib.sha256(json.dumps([content, device, versions], sort_keys=True).encode()).hexdigest()

    def make(_folder: WorkFolder) -> None:
        from layerwise.models.interventions.route_paths import write_route
        from layerwise.models.opening import open_model
        from layerwise.used.routes.fitting import fit_route

        where = f"stimuli.{cell['stimuli']}.prompts: {cell['prompt']}"
        items, stimuli_json = read_items(stimuli)
        end = read_head(head, content["states"]["model_digest"])
        of_all = tokens_of(end, where, route["prompt_entry"], items, stimuli_json["categories"])
        if without := [name for name in task_json["classes"] if name not in of_all]:
            raise InputError(
                f"used.routes.{route['name']}.prompt: {cell['prompt']} has no `answers` for the class {without[0]} "
                "of the task; give them, or name another prompt"
            )
        tokens = {name: of_all[name] for name in task_json["classes"]}
        image_tokens = None
        with open_states(states, content["states"]) as opened:
            if runs_model:
                frozen = cast("AnsweringModel", open_model(description, device, device_map=device_map))
                inputs = _inputs(cell["prompt_entry"], items, stimuli_json)

                def image_tokens(ids: np.ndarray) -> "tuple[Tensor, Tensor, Tensor]":
                    from layerwise.used.routes.images import read_image_tokens

                    return read_image_tokens(frozen, route["from"], inputs.loc[ids].reset_index(), batch_size)

            texts = texts_read(stimuli, opened.cell, opened.item_ids)
            trained, predictions, found = fit_route(
                route, opened, labels, task_json, texts, (end, tokens), image_tokens, device
            )
        about = {"cell": content, "versions": versions, "tokens": tokens} | found
        with finished_file(files.control) as file:
            write_control(file, predictions, {"kind": trained.kind, "parameters": trained.n_parameters} | about)
        with finished_file(files.route) as file:
            write_route(file, trained, about)

    make_once(work, fingerprint, finished, is_finished, make)


def _check(route: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    where, n_layers = f"used.routes.{route['name']}", model["n_layers"]
    if n_layers < 2:
        raise InputError(f"{where}: the model has one block, and nothing below it to route; leave the entry out")
    if route.get("from", 1) >= n_layers:
        raise InputError(
            f"{where}.from: block {route['from']} is not below the last block, {n_layers}, into which it is routed"
        )


def _inputs(prompt: dict[str, Any], items: pd.DataFrame, stimuli: Mapping[str, Any]) -> pd.DataFrame:
    """What the model is shown for each item: ``image`` and ``prompt``, by ``item_id``."""
    # As in layerwise.states.job: the items seed the shuffled images.
    shown = with_images(items, prompt, seed=int(stimuli["digest"][:8], 16))
    prompts = render_prompts(prompt, items, stimuli["categories"])
    return shown[["item_id", "image"]].assign(prompt=prompts).set_index("item_id")
