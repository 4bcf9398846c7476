"""Run a loaded model's vision tower over pictures, part by part."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from layerwise.models.frozen import FrozenModel
from layerwise.models.image_embeddings import POSITION, image_embeddings
from layerwise.models.memory import Room
from layerwise.states.extract import ahead, check_finite
from layerwise.states.images import read_image
from layerwise.states.named import naming, prepare_rows
from layerwise.states.plan import Unit, ranges_of
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)


def has_image_tokens(model: FrozenModel, inputs: pd.DataFrame) -> bool:
    """Whether the decoder gets the picture through tokens of its own: whether two pictures differ there.

    They do not where the blocks read the picture by cross-attention. What then stands for it in the text is the same
    token for all pictures.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.
    """
    first = inputs.iloc[:1]
    shown = read_image(first["image"].iat[0])

    other = Image.linear_gradient("L").convert("RGB").resize(shown.size)

    def both(rows: pd.DataFrame) -> tuple[Tensor, ...]:
        pictures = shown, other
        return tuple(image_embeddings(model, model.prepare([picture], list(rows["prompt"]))) for picture in pictures)

    return not torch.equal(*naming(model, "run", both, first))


def embed_parts(model: FrozenModel, inputs: pd.DataFrame, parts: Sequence[Sequence[Unit]], work: WorkFolder) -> None:
    """Make every part that is missing, of shape (rows, 1, width). One thread prepares pictures while the device works.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``, a row per distinct picture.
        parts: the same rows in parts, from :func:`layerwise.states.plan.plan_parts`.
        work: where parts are kept.

    Raises:
        InputError: when a picture cannot be decoded, or not even one fits on the device.
        FloatingPointError: on a feature that is not finite.
    """
    room, host = Room(len(inputs), "pictures in a batch"), Lock()

    def prepare(rows: pd.DataFrame) -> Any:
        with host:
            return prepare_rows(model, rows)

    def prepare_ahead(unit: Unit) -> Any:
        # A batch that is too large for the device is prepared in pieces.
        return prepare(inputs[unit.start : unit.stop]) if unit.stop - unit.start <= room.size else None

    def run(rows: pd.DataFrame, prepared: Any) -> Tensor:
        def run_piece(start: int, stop: int) -> Tensor:
            piece = rows[start:stop]
            whole = prepared is not None and len(piece) == len(rows)

            def embed(some: pd.DataFrame) -> Tensor:
                return image_embeddings(model, prepared if whole and some is piece else prepare(some))

            return naming(model, "run", embed, piece)

        return torch.cat(room.over(len(rows), run_piece))

    with tqdm(total=len(inputs), unit="picture", mininterval=5) as progress, ThreadPoolExecutor(1) as pool:
        for units, (start, stop) in zip(parts, ranges_of(parts), strict=True):
            if work.load(start, stop, [POSITION]) is not None:
                log.info("pictures %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
                continue
            made = []
            for unit, prepared in zip(units, ahead(pool, prepare_ahead, units), strict=True):
                rows = inputs[unit.start : unit.stop]
                values = run(rows, prepared)[:, None]
                check_finite({POSITION: values}, ["embeddings"], list(rows["item_id"]))
                made.append(values)
                progress.update(len(rows))
            work.save(start, stop, {POSITION: torch.cat(made)})
