"""Run a frozen model over stimuli and keep the hidden states of a few tokens."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.states.work import WorkFolder, check_finite

log = logging.getLogger(__name__)

BATCHES_PER_SHARD = 16


def running_order(inputs: pd.DataFrame) -> list[int]:
    """Positions of ``inputs`` by length of prompt, so that a batch holds little padding; ties in their old order."""
    return sorted(range(len(inputs)), key=lambda i: len(inputs["prompt"].iat[i]))


def read_image(path: str | Path) -> Image.Image:
    """An RGB image, turned upright as its EXIF tag says.

    Raises:
        InputError: when the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: the image cannot be decoded ({error}); replace the file") from error


def check_prompts(model: FrozenModel, inputs: pd.DataFrame) -> None:
    """Render every prompt once before anything is run.

    Raises:
        InputError: naming the item whose prompt cannot be shown to this model.
    """
    for item_id, prompt in zip(inputs["item_id"], inputs["prompt"], strict=True):
        try:
            model.render(prompt)
        except InputError as error:
            raise InputError(f"item {item_id}: {error}") from error


def extract_shards(
    model: FrozenModel, inputs: pd.DataFrame, positions: Sequence[str], batch_size: int, work: WorkFolder
) -> list[tuple[int, int]]:
    """Make every shard that is not there yet.

    Args:
        inputs: ``image``, ``prompt``, ``item_id`` in running order.
        positions: token positions to keep.
        batch_size: inputs per forward pass.
        work: where shards are kept.

    Returns:
        The shards as (first row, row after the last).

    Raises:
        InputError: on an image that cannot be decoded.
        FloatingPointError: on a state that is not finite.
    """
    layers = layer_names(model.n_layers)
    # Shards depend on the batch size: another size finds none of the old shards and starts anew, nothing mixes.
    step = batch_size * BATCHES_PER_SHARD
    shards = [(start, min(start + step, len(inputs))) for start in range(0, len(inputs), step)]
    with tqdm(total=len(inputs), unit="input", mininterval=5) as progress:
        for start, stop in shards:
            if work.load(start, stop, positions) is None:
                batches = []
                for first in range(start, stop, batch_size):
                    batch = inputs.iloc[first : min(first + batch_size, stop)]
                    states = _run(model, batch, positions)
                    check_finite(states, layers, list(batch["item_id"]))
                    batches.append(states)
                    progress.update(len(batch))
                work.save(start, stop, {p: torch.cat([states[p] for states in batches]) for p in positions})
            else:
                log.info("rows %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
    return shards


def _run(model: FrozenModel, batch: pd.DataFrame, positions: Sequence[str]) -> dict[str, Tensor]:
    images = [read_image(path) for path in batch["image"]]
    states = model.states(images, list(batch["prompt"]), positions)
    return {position: values.float() for position, values in states.items()}
