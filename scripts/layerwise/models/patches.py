"""Find the image tokens that show a part of the picture: from boxes in its pixels to indices of tokens.

A processor scales, crops, pads or tiles a picture. How is worked out from the processor's settings, the picture's size,
and the order in which the family lays out the patches of its vision tower. A patch shows an object when the box touches
it, however little. Tokens that show no place (the newline after each row of LLaVA-NeXT) show no object.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from torch import Tensor

from layerwise.datasets.questions import AskedObject
from layerwise.models.families import Patches, family_of

# A box that ends at a patch's edge does not touch the next patch, even if rounding puts its end a little beyond.
ROUNDING = 1e-6


class Unmapped(ValueError):
    """Says why it is not known which place each of this model's image tokens shows."""


@dataclass(frozen=True)
class View:
    """One view of the picture, as the vision tower sees it, divided into patches.

    Attributes:
        scale: pixels of the view per pixel of the picture, across and down.
        offset: the position of the picture's upper left corner in the view, in pixels, across and down.
        patch: sides of a patch in pixels of the view, across and down.
        tokens: the image token of each patch, -1 for none; shape (rows, columns).
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    patch: tuple[int, int]
    tokens: np.ndarray

    def touched(self, box: AskedObject) -> np.ndarray:
        """Indices of the tokens whose patches a box touches."""
        rows, columns = self.tokens.shape
        across = self._span(box.x, box.w, 0, columns)
        down = self._span(box.y, box.h, 1, rows)
        found = self.tokens[down, across].ravel()
        return found[found >= 0]

    def _span(self, start: int, length: int, axis: int, n: int) -> slice:
        scale, offset, patch = self.scale[axis], self.offset[axis], self.patch[axis]
        first, last = ((edge * scale + offset) / patch for edge in (start, start + length))
        return slice(max(0, floor(first + ROUNDING)), min(n, max(0, ceil(last - ROUNDING))))


@dataclass(frozen=True)
class Made:
    """What a processor made of a picture, beside others of the same text.

    Attributes:
        inputs: of all pictures, batch 1.
        counts: how many tokens each has, in the order of the text.
        place: which of them it is, from 0.
    """

    inputs: Mapping[str, Tensor]
    counts: Sequence[int]
    place: int

    @property
    def n_tokens(self) -> int:
        """Tokens of the picture."""
        return self.counts[self.place]


def object_tokens(
    objects: Iterable[AskedObject],
    config: Any,
    image_processor: Any,
    size: tuple[int, int],
    inputs: Mapping[str, Tensor],
    counts: Sequence[int],
    place: int = 0,
) -> np.ndarray:
    """Indices among an image's tokens of those that show any of the objects, ascending.

    Args:
        objects: boxes in pixels of the picture, all in this one.
        config: of the model.
        image_processor: the family's own.
        size: width and height of the picture that is given to the processor.
        inputs: what the processor made of it, batch 1; of all pictures, if a text has several.
        counts: how many tokens each picture has, in the order of the text.
        place: which of them this one is, from 0.

    Returns:
        Empty if no patch shows an object: cropping removed it.

    Raises:
        Unmapped: for a family, or settings of its processor, whose layout is not known here.
    """
    layout = family_of(config.model_type).patches
    if layout is None:
        raise Unmapped(f"it is not known which image tokens of a model of type {config.model_type} show which place")
    if image_processor is None:
        raise Unmapped("the model has no image processor of its own")
    n_tokens = counts[place]
    views = LAYOUTS[layout](config, image_processor, size, Made(inputs, counts, place))
    # If the layout needs more tokens than the processor wrote, every index would be wrong.
    if (expected := sum(int((view.tokens >= 0).sum()) for view in views)) > n_tokens:
        raise Unmapped(f"the processor wrote {n_tokens} tokens for an image whose patches need {expected}")
    touched = [view.touched(box) for view in views for box in objects]
    return np.unique(np.concatenate(touched)) if touched else np.empty(0, int)


def _cropped(config: Any, image_processor: Any, size: tuple[int, int], made: Made) -> list[View]:
    """LLaVA-1.5: scaled and cropped in the middle; patches row by row, after the class token if that is kept."""
    n_tokens, patch = made.n_tokens, config.vision_config.patch_size
    if getattr(image_processor, "do_pad", None) or not image_processor.do_resize:
        raise Unmapped("its image processor pads pictures, or does not scale them")
    width, height = _resized(image_processor.size, size)
    side = (width, height)
    if image_processor.do_center_crop:
        side = image_processor.crop_size["width"], image_processor.crop_size["height"]
    offset = -((width - side[0]) // 2), -((height - side[1]) // 2)
    rows, columns = side[1] // patch, side[0] // patch
    before = n_tokens - rows * columns
    if before not in (0, 1):
        raise Unmapped(f"{n_tokens} tokens are neither its {rows} x {columns} patches nor these and a class token")
    tokens = before + np.arange(rows * columns).reshape(rows, columns)
    return [View((width / size[0], height / size[1]), offset, (patch, patch), tokens)]


def _resized(target: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height after scaling: to a given shape, or to a shorter side, the longer one rounded down."""
    # Older image processors leave out what they do not use.
    target = {"height": None, "width": None, "shortest_edge": None, "longest_edge": None} | dict(target)
    if target["height"] and target["width"]:
        return target["width"], target["height"]
    if not target["shortest_edge"] or target["longest_edge"]:
        raise Unmapped(f"its image processor scales pictures in another way: {target}")
    short, long = sorted(size)
    longer = int(target["shortest_edge"] * long / short)
    return (target["shortest_edge"], longer) if size[0] <= size[1] else (longer, target["shortest_edge"])


def _tiled(config: Any, image_processor: Any, size: tuple[int, int], made: Made) -> list[View]:
    """LLaVA-NeXT: the whole picture as a square, then tiles of it at the resolution that fits best.

    The picture is scaled to fit a canvas of whole tiles and padded on both sides. As in the model, the rows or columns
    of padding are dropped from the canvas' patches, and a newline token follows each row.
    """
    # Only now, because it imports torchvision, which models and processors first fit to this torch.
    from transformers.image_processing_utils import select_best_resolution

    width, height = size
    side, patch = (
        image_processor.size["shortest_edge"] or image_processor.size["height"],
        config.vision_config.patch_size,
    )
    if config.vision_feature_select_strategy != "default":
        raise Unmapped("its image tokens hold class tokens between those of its tiles")
    n, n_tokens = side // patch, made.n_tokens
    whole = View((side / width, side / height), (0, 0), (patch, patch), np.arange(n * n).reshape(n, n))
    canvas_height, canvas_width = select_best_resolution((height, width), image_processor.image_grid_pinpoints)
    fit = min(canvas_width / width, canvas_height / height)
    if canvas_width / width < canvas_height / height:
        scaled = canvas_width, min(ceil(height * fit), canvas_height)
    else:
        scaled = min(ceil(width * fit), canvas_width), canvas_height
    offset = (canvas_width - scaled[0]) // 2, (canvas_height - scaled[1]) // 2
    rows, columns = canvas_height // side * n, canvas_width // side * n
    # The model counts padding in patches: if the sides do not divide evenly, a dropped row is not all padding.
    kept = np.ones((rows, columns), bool)
    if width / height > columns / rows:
        padding = (rows - int(round(height * (columns / width), 7))) // 2
        kept[:padding] = kept[rows - padding :] = False
    else:
        padding = (columns - int(round(width * (rows / height), 7))) // 2
        kept[:, :padding] = kept[:, columns - padding :] = False
    tokens = np.full((rows, columns), -1)
    shown = np.flatnonzero(kept.any(1))
    per_row = int(kept[shown[0]].sum())
    for place, row in enumerate(shown):
        tokens[row, kept[row]] = n * n + place * (per_row + 1) + np.arange(per_row)
    if n_tokens != n * n + len(shown) * (per_row + 1):
        raise Unmapped(
            f"{n_tokens} tokens are not those of {n} x {n} patches and {len(shown)} rows of {per_row} and one"
        )
    tiles = View((scaled[0] / width, scaled[1] / height), offset, (patch, patch), tokens)
    return [whole, tiles]


def _native(config: Any, image_processor: Any, size: tuple[int, int], made: Made) -> list[View]:
    """Qwen2-VL and later: scaled to a whole number of patches, of which some neighbours become one token."""
    _, rows, columns = made.inputs["image_grid_thw"][made.place].tolist()
    patch, merged = image_processor.patch_size, image_processor.merge_size
    scale = columns * patch / size[0], rows * patch / size[1]
    tokens = np.arange(made.n_tokens).reshape(rows // merged, columns // merged)
    return [View(scale, (0, 0), (patch * merged, patch * merged), tokens)]


def _stretched(config: Any, image_processor: Any, size: tuple[int, int], made: Made) -> list[View]:
    """InternVL: the picture stretched over a grid of tiles, tile by tile; after several tiles, the whole picture."""
    tile = image_processor.size["width"], image_processor.size["height"]
    # Granite Docling's have a dimension of pictures before that of parts.
    n_tokens, all_parts = made.n_tokens, made.inputs["pixel_values"].flatten(0, -4).shape[0]
    # Each part has as many tokens, in whichever picture it is.
    parts, rest = divmod(all_parts * n_tokens, sum(made.counts))
    if rest:
        raise Unmapped(f"{n_tokens} tokens of {sum(made.counts)} are no whole number of its {all_parts} parts")
    columns, rows = 1, 1
    if parts > 1:
        # Each image processor chooses the grid in its own way, by a function of this name beside it.
        choose = sys.modules[type(image_processor).__module__].get_optimal_tiled_canvas
        columns, rows = map(
            int, choose(size[::-1], tile[::-1], image_processor.min_patches, image_processor.max_patches)
        )
    if parts != columns * rows + (columns * rows > 1):
        raise Unmapped(f"its image processor made {parts} parts, not {columns} x {rows} and one of the whole picture")
    # Each part is a square of tokens.
    side = round((n_tokens / parts) ** 0.5)
    if side * side * parts != n_tokens:
        raise Unmapped(f"{n_tokens} tokens are not {parts} squares of patches")
    patch = tile[0] // side, tile[1] // side
    part = np.arange(side * side).reshape(side, side)
    tokens = np.block(
        [[part + (row * columns + column) * side * side for column in range(columns)] for row in range(rows)]
    )
    views = [View((columns * tile[0] / size[0], rows * tile[1] / size[1]), (0, 0), patch, tokens)]
    if parts > 1:
        views.append(View((tile[0] / size[0], tile[1] / size[1]), (0, 0), patch, part + (parts - 1) * side * side))
    return views


# The layouts that a row of layerwise.models.families may name.
LAYOUTS: dict[Patches, Callable[[Any, Any, tuple[int, int], Made], list[View]]] = {
    "cropped": _cropped,
    "native": _native,
    "stretched": _stretched,
    "tiled": _tiled,
}
