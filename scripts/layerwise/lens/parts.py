"""Run a loaded model over pictures and keep the maps of their words, part by part."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from layerwise.lens.places import places_of
from layerwise.lens.reading import read_words
from layerwise.models.frozen import AnsweringModel
from layerwise.models.memory import Room
from layerwise.models.patches import Unmapped
from layerwise.states.extract import ahead
from layerwise.states.images import read_image
from layerwise.states.named import naming, prepare_rows
from layerwise.states.plan import Unit, ranges_of
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)

# What is kept of each picture: maps, shape (words, L + 2, tokens); places, shape (tokens, 4); its number of tokens.
NAMES = ("maps", "places", "counts")


def make_parts(
    model: AnsweringModel,
    inputs: pd.DataFrame,
    asked: Sequence[Sequence[int]],
    tokens: Sequence[Sequence[int]],
    parts: Sequence[Sequence[Unit]],
    work: WorkFolder,
) -> None:
    """Make every part that is missing. One thread prepares pictures while the device works.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``, a row per picture.
        asked: for each picture the words that are kept, as places in ``tokens``.
        tokens: of every word.
        parts: the same rows in parts, from :func:`layerwise.states.plan.plan_parts`.
        work: where parts are kept.

    Raises:
        InputError: when a picture cannot be decoded, or not even one fits on the device.
        FloatingPointError: on a probability that is not a number.
    """
    room, host = Room(len(inputs), "pictures in a batch"), Lock()
    most = max(map(len, asked))

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
                maps = read_words(model, made, tokens)
                with host:
                    places = picture_places(model, some, made, [values.shape[2] for values in maps])
                return list(zip(maps, places, strict=True))

            return naming(model, "run", read, piece)

        return [found for piece in room.over(len(rows), run_piece) for found in piece]

    with tqdm(total=len(inputs), unit="picture", mininterval=5) as progress, ThreadPoolExecutor(1) as pool:
        for units, (start, stop) in zip(parts, ranges_of(parts), strict=True):
            if work.load(start, stop, NAMES) is not None:
                log.info("pictures %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
                continue
            found: list[Any] = []
            for unit, prepared in zip(units, ahead(pool, prepare_ahead, units), strict=True):
                rows = inputs[unit.start : unit.stop]
                found += run(rows, prepared)
                progress.update(len(rows))
            _check_numbers(found, inputs["item_id"].iloc[start:stop])
            work.save(start, stop, _padded(found, asked[start:stop], most))


def picture_places(model: AnsweringModel, rows: pd.DataFrame, prepared: Any, counts: Sequence[int]) -> list[np.ndarray]:
    """What the image tokens of each picture show, shape (tokens, 4); NaN throughout where that is not known.

    Args:
        model: the model.
        rows: ``image``, of pictures that were prepared together.
        prepared: what the model made of them.
        counts: image tokens of each.
    """
    sizes = [read_image(image).size for image in rows["image"]]
    found = []
    for place, size in enumerate(sizes):
        inputs, own, at = prepared, counts, place
        if isinstance(prepared, list):
            inputs, own, at = prepared[place], counts[place : place + 1], 0
        try:
            found.append(known_places(model, size, inputs, own, at))
        except Unmapped as error:
            log.warning("%s: %s; it is left out", rows["image"].iat[place], error)
            found.append(np.full((counts[place], 4), np.nan, np.float32))
    return found


def known_places(
    model: AnsweringModel, size: tuple[int, int], inputs: Mapping[str, Tensor], counts: Sequence[int], place: int = 0
) -> np.ndarray:
    """See :func:`layerwise.lens.places.places_of`."""
    image_processor = getattr(model.processor, "image_processor", None)
    return places_of(model.model.config, image_processor, size, inputs, counts, place)


def _check_numbers(found: Sequence[Any], item_ids: Sequence[str]) -> None:
    for (maps, _), item in zip(found, item_ids, strict=True):
        # A token may be impossible (minus infinity), but nothing may be undefined.
        if np.isnan(maps).any():
            layer = int(np.argwhere(np.isnan(maps))[0][1])
            raise FloatingPointError(
                f"NaN in what the output head reads in layer {layer}, item {item}; a model in float16 may overflow: "
                "try dtype bfloat16 or float32"
            )


def _padded(found: Sequence[Any], asked: Sequence[Sequence[int]], most: int) -> dict[str, np.ndarray]:
    counts = np.array([maps.shape[2] for maps, _ in found])
    layers, widest = found[0][0].shape[1], int(counts.max())
    maps = np.full((len(found), most, layers, widest), np.nan, np.float32)
    places = np.full((len(found), widest, 4), np.nan, np.float32)
    for row, ((own, at), words) in enumerate(zip(found, asked, strict=True)):
        maps[row, : len(words), :, : counts[row]] = own[list(words)]
        places[row, : counts[row]] = at
    return {"maps": maps, "places": places, "counts": counts}
