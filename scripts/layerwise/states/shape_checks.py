"""Run pictures of extreme shapes before all others, so that a model that refuses one fails within seconds."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.explained import explained
from layerwise.models.frozen import FrozenModel
from layerwise.models.memory import Room
from layerwise.several_pictures import each, without_places
from layerwise.states.images import read_image
from layerwise.states.named import run_rows
from layerwise.stimuli.modalities import BLANK

# Widths or heights that code for NumPy arrays may mistake for a picture's channels.
LIKE_CHANNELS = (1, 3)
# A colour with a different value in each channel.
COLOUR = (250, 20, 60)
# How far the values of one colour may be apart in two sizes, in standard deviations of pixels.
SAME_COLOUR = 0.05


def check_pictures(model: FrozenModel, inputs: pd.DataFrame) -> None:
    """Run the widest, tallest, smallest and largest pictures, and check that the smallest keep their colours.

    Args:
        model: the model.
        inputs: ``item_id``, ``image``, ``prompt``.

    Raises:
        InputError: naming the item whose picture the model or its processor refuses.
    """
    shown = inputs[inputs["image"].notna()].drop_duplicates("image")
    # A row per picture; those of one item have its label.
    files = shown["image"].map(each).explode()
    files = files[files != BLANK].drop_duplicates()
    if files.empty:
        return
    sizes = pd.DataFrame(list(map(_size, files)), columns=["width", "height"], index=files.index)
    sizes, items = sizes.reset_index(drop=True), files.index
    for row in dict.fromkeys(items[place] for place in extremes(sizes)):
        one = shown.loc[[row]]
        Room(1, "inputs").over(1, lambda *_, one=one: run_rows(model, one, ["last"]))
    checked = set()
    for place in sizes.index[sizes.isin(LIKE_CHANNELS).any(axis=1)]:
        path, row = files.iat[place], items[place]
        # The size as shown: an EXIF tag may turn the picture.
        size = read_image(path).size
        if size not in checked:
            checked.add(size)
            if not _keeps_colour(model, size, without_places(shown.at[row, "prompt"])):
                raise InputError(
                    f"item {shown.at[row, 'item_id']} ({path}): the processor of a model of type "
                    f"{model.model_type} mistakes the rows of a picture of {size[0]} x {size[1]} pixels for colours; "
                    "replace the picture, or take it out of the stimuli"
                )


def extremes(sizes: pd.DataFrame) -> list:
    """Labels of the rows with the most extreme aspect ratios, sides and areas.

    Args:
        sizes: ``width`` and ``height`` in pixels.
    """
    ratio, area = sizes["width"] / sizes["height"], sizes["width"] * sizes["height"]
    rows = [ratio.idxmax(), ratio.idxmin(), sizes.min(axis=1).idxmin(), sizes.max(axis=1).idxmax()]
    return list(dict.fromkeys([*rows, area.idxmin(), area.idxmax()]))


def shapes(cells: Sequence[str | None]) -> list[tuple[int, ...]]:
    """Width and height of what each cell of ``image`` shows, of several pictures one after the other; (0, 0) for no
    picture and for a grey one."""
    return [sum((_shape(path) for path in each(cell)), ()) if cell is not None else (0, 0) for cell in cells]


def _shape(path: str) -> tuple[int, ...]:
    return (0, 0) if path == BLANK else _size(path)


@cache
def _size(path: str) -> tuple[int, int]:
    """Width and height in pixels, from a file's header."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: the image cannot be decoded ({error}); replace the file. If it came out of a table, delete the "
            "folder of its stimulus set in results/stimuli and run the same command again"
        ) from error


def _keeps_colour(model: FrozenModel, size: tuple[int, int], prompt: str) -> bool:
    """Whether a picture of one colour gets the same pixel values as a picture of that colour at twice the size."""
    values = []
    for width, height in (size, (2 * size[0], 2 * size[1])):
        with explained(f"a model of type {model.model_type} cannot prepare a picture of {width} x {height} pixels"):
            values.append(_values(model.prepare([Image.new("RGB", (width, height), COLOUR)], [prompt])))
    small, large = values
    if small is None or large is None:
        return True
    return bool(((small[:, None] - large).abs().amin(dim=1) < SAME_COLOUR).all())


def _values(prepared: object) -> torch.Tensor | None:
    """The distinct values among prepared pixels; None where they go by another name."""
    first: Any = prepared[0] if isinstance(prepared, list) else prepared
    try:
        pixels = first["pixel_values"]
    except (TypeError, KeyError, AttributeError, IndexError):
        pixels = getattr(first, "pixels", None)
    return pixels.float().unique() if isinstance(pixels, torch.Tensor) else None
