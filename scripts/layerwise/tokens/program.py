"""What ``keep_tokens.py`` does: keep every image token of some pictures of a stimulus set, in every layer."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.versions import library_versions
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.device import start_torch
from layerwise.states.plan import plan_parts, ranges_of
from layerwise.states.work import WorkFolder, make_once
from layerwise.stimuli.items import described_stimuli
from layerwise.tokens.sampling import draw_pictures
from layerwise.tokens.writing import write_tokens

if TYPE_CHECKING:
    from layerwise.models.frozen import AnsweringModel, FrozenModel

log = logging.getLogger(__name__)


def keep_tokens(
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
    """Write the image tokens of some pictures: from kept files, or by running the model.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set, whose items show one picture each.
        cell: what decides the tokens beside these two: ``share`` and ``seed`` (of the draw), ``layers`` (numbers; None
            for all), ``dtype`` (on disk), and the code.
        batch_size: pictures that run together.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished results by content; None where none are kept.
        out: the file to write.

    Raises:
        InputError: when the input is wrong, the model has no tokens of the image or not these layers, a picture cannot
            be decoded, or not even one fits on the device.
        FloatingPointError: on a state that is not finite.
    """
    # This checks the input. Torch and the weights are loaded later.
    description = read_description(model, "digest")
    made = made_from(cell, description, described_stimuli(stimuli))
    content = content_of(made)
    finished = KeptFiles(kept, content, [out])

    def is_finished(file: Path) -> bool:
        return holds(file, content)

    if finished.take(is_finished):
        return
    drawn = draw_pictures(stimuli, cell["share"], cell["seed"])
    # A batch's tokens are many, so that each is a part of its own.
    parts = [[unit] for units in plan_parts(drawn.inputs, 0, batch_size=batch_size) for unit in units]
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.tokens.reading import NAMES, keep_parts

    def make(folder: WorkFolder) -> None:
        opened = check_readable(
            open_model(description, device, device_map=device_map), drawn.inputs, description["model"]
        )
        layers = layers_of(opened.n_layers, cell["layers"], description["model"])
        placed = are_placed(opened, drawn.inputs, description["model"])
        half = cell["dtype"] == "bfloat16"
        most, width = keep_parts(opened, drawn.inputs, list(layers), parts, folder, half=half, placed=placed)
        with finished_file(out) as file:
            write_tokens(
                file,
                drawn,
                folder.assemble(ranges_of(parts), NAMES),
                most=most,
                width=width,
                layers=layers,
                n_layers=opened.n_layers,
                dtype=cell["dtype"],
                cell=made | library_versions(),
            )

    # With the versions of the libraries, so that a job in another environment starts afresh.
    named = json.dumps([content, device, batch_size, library_versions()], sort_keys=True)
    make_once(work, hashlib.sha256(named.encode()).hexdigest(), finished, is_finished, make)


def layers_of(n_layers: int, asked: Sequence[int] | None, model: str) -> dict[int, str]:
    """The names of the layers to keep, by number, in order.

    Args:
        n_layers: blocks of the decoder.
        asked: numbers; None for all.
        model: its entry's name, for the message.

    Raises:
        InputError: when the model has no such layer.
    """
    from layerwise.models.frozen import layer_names

    names = dict(enumerate(layer_names(n_layers)))
    for number in asked or ():
        if number not in names:
            raise InputError(
                f"pooled.layers: there is no layer {number} in {model}, which has {n_layers} blocks; name numbers from "
                f"0 (the embeddings) to {n_layers + 1} (the final norm), or name the models in pooled.models"
            )
    return names if asked is None else {number: names[number] for number in sorted(asked)}


def check_readable(model: "FrozenModel", inputs: pd.DataFrame, name: str) -> "AnsweringModel":
    """The same model, if its decoder gets tokens of the image, and says which they are.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.
        name: its entry's, for the message.

    Raises:
        InputError: when it has none, or runs on its authors' code.
    """
    from layerwise.models.frozen import AnsweringModel
    from layerwise.states.pictures.embedding import has_image_tokens

    if not isinstance(model, AnsweringModel):
        raise InputError(f"models.{name} runs on its authors' code; name the other models in pooled.models")
    if not has_image_tokens(model, inputs):
        raise InputError(
            f"models.{name}: the decoder has no tokens of the image, so that there are none to keep; name the other "
            "models in pooled.models"
        )
    return model


def are_placed(model: "AnsweringModel", inputs: pd.DataFrame, name: str) -> bool:
    """Whether it is known which place of a picture each token shows; a warning says why it is not."""
    from layerwise.lens.parts import known_places
    from layerwise.models.patches import Unmapped
    from layerwise.states.images import read_image
    from layerwise.states.named import prepare_rows

    first = inputs.iloc[:1]
    prepared = prepare_rows(model, first)
    prepared = prepared[0] if isinstance(prepared, list) else prepared
    count = int(model.image_tokens(prepared).sum())
    try:
        known_places(model, read_image(first["image"].iat[0]).size, prepared, [count])
    except Unmapped as error:
        log.warning("%s: %s; tokens are kept without their places", name, error)
        return False
    return True
