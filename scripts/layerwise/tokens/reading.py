"""Run a loaded model over pictures and keep every image token, part by part."""

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.lens.parts import picture_places
from layerwise.models.frozen import AnsweringModel, layer_names, read_layers
from layerwise.models.memory import Room
from layerwise.states.extract import ahead
from layerwise.states.named import naming, prepare_rows
from layerwise.states.plan import Unit, ranges_of
from layerwise.states.work import WorkFolder
from layerwise.states.writing import to_bits

log = logging.getLogger(__name__)

# What is kept of each picture: tokens, shape (tokens, layers, width); places, shape (tokens, 4); its number of tokens.
NAMES = ("tokens", "places", "counts")
# The name under which hooks keep what is read.
READ = "image tokens"


class _Kept:
    """Maps the states of a layer to those at image tokens if the layer is kept; called once per layer."""

    def __init__(self, image: Tensor, layers: Collection[int]):
        self.image, self.layers, self.layer = image, layers, -1

    def __call__(self, hidden: Tensor) -> Tensor:
        self.layer += 1
        if self.layer not in self.layers:
            return hidden.new_empty(0)
        # Off the device at once: all layers of a batch may be more than it holds.
        return hidden[self.image.to(hidden.device)].float().cpu()


@torch.inference_mode()
def read_tokens(model: AnsweringModel, prepared: Any, layers: Collection[int]) -> list[np.ndarray]:
    """The hidden states at the image tokens of prepared inputs.

    Args:
        model: without an intervention.
        prepared: what ``model.prepare`` made of pictures, each with a prompt.
        layers: numbers of the layers to keep; 0 is the embeddings, L + 1 the final norm.

    Returns:
        For each picture the states in order of layers, shape (image tokens, layers, width), float32.
    """
    if isinstance(prepared, list):
        return [states for one in prepared for states in read_tokens(model, one, layers)]
    inputs = prepared.to(model.device, model.dtype)
    image = model.image_tokens(inputs).bool()
    with read_layers(model.blocks, model.final_norm, {READ: _Kept(image, layers)}) as readings:
        model.forward(**inputs, use_cache=False)
    states = torch.stack([layer for layer in readings.kept[READ] if layer.numel()], dim=1).numpy()
    return np.split(states, image.sum(1).cumsum(0).tolist()[:-1])


def keep_parts(
    model: AnsweringModel,
    inputs: pd.DataFrame,
    layers: Sequence[int],
    parts: Sequence[Sequence[Unit]],
    work: WorkFolder,
    *,
    half: bool,
    placed: bool,
) -> tuple[int, int]:
    """Make every part that is missing. One thread prepares pictures while the device works.

    Args:
        model: whose decoder has tokens of the image.
        inputs: ``item_id``, ``image``, ``prompt``, a row per distinct picture.
        layers: see :func:`read_tokens`.
        parts: the same rows in parts, each of which fits in memory.
        work: where parts are kept.
        half: whether states are kept as the bits of bfloat16, rather than as float32.
        placed: whether it is known which place of a picture its tokens show.

    Returns:
        How many tokens the picture with most of them has, and the width of a state.

    Raises:
        InputError: when a picture cannot be decoded, or not even one fits on the device.
        FloatingPointError: on a state that is not finite.
    """
    room, host = Room(len(inputs), "pictures in a batch"), Lock()
    shapes: list[tuple[int, ...]] = []
    names = [layer_names(model.n_layers)[number] for number in sorted(layers)]

    def prepare(rows: pd.DataFrame) -> Any:
        with host:
            return prepare_rows(model, rows)

    def prepare_ahead(unit: Unit) -> Any:
        # A batch that is too large for the device is prepared in pieces.
        return prepare(inputs[unit.start : unit.stop]) if unit.stop - unit.start <= room.size else None

    def run(rows: pd.DataFrame, prepared: Any) -> list[Any]:
        def run_piece(start: int, stop: int) -> list[Any]:
            piece = rows[start:stop]
            whole = prepared is not None and len(piece) == len(rows)

            def read(some: pd.DataFrame) -> list[Any]:
                made = prepared if whole and some is piece else prepare(some)
                states = read_tokens(model, made, layers)
                counts = [len(own) for own in states]
                if not placed:
                    return [(own, np.full((len(own), 4), np.nan, np.float32)) for own in states]
                with host:
                    return list(zip(states, picture_places(model, some, made, counts), strict=True))

            return naming(model, "run", read, piece)

        return [found for piece in room.over(len(rows), run_piece) for found in piece]

    with tqdm(total=len(inputs), unit="picture", mininterval=5) as progress, ThreadPoolExecutor(1) as pool:
        for units, (start, stop) in zip(parts, ranges_of(parts), strict=True):
            if (values := work.load(start, stop, NAMES)) is not None:
                shapes.append(values["tokens"].shape)
                log.info("pictures %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
                continue
            found: list[Any] = []
            for unit, prepared in zip(units, ahead(pool, prepare_ahead, units), strict=True):
                rows = inputs[unit.start : unit.stop]
                found += run(rows, prepared)
                progress.update(len(rows))
            _check_finite(found, inputs["item_id"].iloc[start:stop], names)
            values = _padded(found, half)
            shapes.append(values["tokens"].shape)
            work.save(start, stop, values)
    return max(shape[1] for shape in shapes), shapes[0][3]


def _check_finite(found: Sequence[Any], item_ids: Sequence[str], layers: Sequence[str]) -> None:
    for (states, _), item in zip(found, item_ids, strict=True):
        bad = ~np.isfinite(states).all(axis=(0, 2))
        if bad.any():
            raise FloatingPointError(
                f"NaN or infinity at {layers[int(bad.argmax())]}, at an image token of item {item}; a model in float16 "
                "may overflow: try dtype bfloat16 or float32"
            )


def _padded(found: Sequence[Any], half: bool) -> dict[str, np.ndarray]:
    counts = np.array([len(states) for states, _ in found])
    widest, (_, *shape) = int(counts.max()), found[0][0].shape
    tokens = np.zeros((len(found), widest, *shape), np.uint16 if half else np.float32)
    places = np.full((len(found), widest, 4), np.nan, np.float32)
    for row, (states, at) in enumerate(found):
        tokens[row, : counts[row]] = to_bits(states) if half else states
        places[row, : counts[row]] = at
    return {"tokens": tokens, "places": places, "counts": counts}
