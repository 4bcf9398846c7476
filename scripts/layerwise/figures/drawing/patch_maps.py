"""A few pictures, and what the output head reads at their image tokens: a row per picture, a column per layer."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from layerwise.errors import InputError
from layerwise.lens.maps import Maps
from layerwise.lens.places import touched

# Pictures and layers that are drawn.
PICTURES, LAYERS = 4, 7
PANEL_INCHES = 0.95
BOX_COLOUR = "#D55E00"
NOTHING = "There is nothing to draw: {why}."


def draw_maps(maps: Maps) -> Figure:
    """Draw the first pictures of a file, each with one of its words.

    Colours run from the least to the most probable patch of a panel: they say where, not how much.

    Args:
        maps: of one model and stimulus set.

    Raises:
        InputError: when a picture cannot be opened.
    """
    drawing = Figure(layout="constrained")
    pairs = [] if maps.none else _shown(maps)
    if not pairs:
        drawing.set_size_inches(5.2, 1.2)
        drawing.text(0.5, 0.5, NOTHING.format(why=maps.none or "no patch is outside a box"), ha="center", wrap=True)
        return drawing
    layers = _layers(len(maps.layers) - 2)
    drawing.set_size_inches((1 + len(layers)) * PANEL_INCHES, len(pairs) * PANEL_INCHES + 0.3)
    drawing.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, hspace=0.01, wspace=0.01)
    grid = drawing.subplots(len(pairs), 1 + len(layers), squeeze=False)
    for axes, pair in zip(grid, pairs, strict=True):
        picture, word = int(maps.picture[pair]), maps.word[pair]
        shown = _opened(maps.image[picture])
        boxes, values = maps.boxes(picture, word), maps.map(pair)
        axes[0].imshow(shown, extent=(0, 1, 1, 0), interpolation="nearest")
        axes[0].set_ylabel(word)
        for panel, layer in zip(axes[1:], layers, strict=True):
            _draw_patches(panel, maps.places[picture], values[layer])
        for panel in axes:
            _draw_boxes(panel, boxes)
            panel.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect=shown.height / shown.width)
            panel.grid(False)
    for panel, name in zip(grid[0], ["picture", *(maps.layers[layer] for layer in layers)], strict=True):
        panel.set_title(name, fontsize=7)
    return drawing


def _shown(maps: Maps) -> list[int]:
    """The first pictures with words that some patches show and others do not, each with one of these, in turn."""
    found: dict[int, list[int]] = {}
    for pair in np.flatnonzero(maps.present):
        picture = int(maps.picture[pair])
        own = touched(maps.places[picture], maps.boxes(picture, maps.word[pair]))
        if own.any() and not own[np.isfinite(maps.places[picture]).all(1)].all():
            found.setdefault(picture, []).append(int(pair))
    return [pairs[place % len(pairs)] for place, pairs in enumerate(list(found.values())[:PICTURES])]


def _layers(n_layers: int) -> list[int]:
    """The embeddings, the topmost block, and evenly spaced blocks between them."""
    return sorted(set(np.linspace(0, n_layers, min(LAYERS, n_layers + 1)).round().astype(int).tolist()))


def _opened(path: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the picture cannot be opened ({error}); bring it back, or run again") from error


def _draw_patches(axes: Axes, places: np.ndarray, values: np.ndarray) -> None:
    """Fill each patch with its value; small patches, of tiles, are drawn over those of the whole picture."""
    known = np.isfinite(places).all(1) & np.isfinite(values)
    places, values = places[known], values[known]
    order = np.argsort(-(places[:, 2] - places[:, 0]) * (places[:, 3] - places[:, 1]), kind="stable")
    patches = [Rectangle((left, top), right - left, bottom - top) for left, top, right, bottom in places[order]]
    filled = PatchCollection(patches, cmap="viridis", linewidth=0, antialiased=False, rasterized=True)
    filled.set_array(values[order])
    axes.add_collection(filled)


def _draw_boxes(axes: Axes, boxes: np.ndarray) -> None:
    for left, top, right, bottom in boxes:
        size = right - left, bottom - top
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=BOX_COLOUR, linewidth=1.2))
