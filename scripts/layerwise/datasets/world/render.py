"""Pictures of scenes, and the mask, box and outline of each object in them."""

import math
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from layerwise.datasets.world.scenes import IMAGE_SIZE, PAINT, Scene, SceneObject

BACKGROUND = 235
JPEG_QUALITY = 95


def render(scene: Scene) -> np.ndarray:
    """Draw a scene: uint8 array of shape (64, 64, 3), light grey where there is no object."""
    picture = np.full((IMAGE_SIZE, IMAGE_SIZE, 3), BACKGROUND, dtype=np.uint8)
    for item in scene.objects:
        window = picture[
            item.y - item.radius : item.y + item.radius + 1, item.x - item.radius : item.x + item.radius + 1
        ]
        window[_sprite(item.shape, item.radius)] = PAINT[item.colour]
    return picture


def save_jpeg(picture: np.ndarray, file) -> None:
    """Write a picture as JPEG to a path or a binary file; colours are not subsampled, for shapes are small."""
    if isinstance(file, (str, Path)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


def mask(item: SceneObject) -> np.ndarray:
    """The pixels that an object covers: bool array of shape (64, 64)."""
    covered = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=bool)
    side = slice(item.y - item.radius, item.y + item.radius + 1), slice(item.x - item.radius, item.x + item.radius + 1)
    covered[side] = _sprite(item.shape, item.radius)
    return covered


def area(item: SceneObject) -> int:
    """Number of pixels that an object covers."""
    return int(_sprite(item.shape, item.radius).sum())


def box(item: SceneObject) -> tuple[int, int, int, int]:
    """Smallest box around an object's pixels: x, y of its upper left corner, width, height, all in pixels."""
    rows, columns = np.nonzero(_sprite(item.shape, item.radius))
    left, top = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - left + 1, int(rows.max()) - top + 1
    return item.x - item.radius + left, item.y - item.radius + top, width, height


def outline(item: SceneObject) -> list[float]:
    """An object's outline as COCO writes it: x1, y1, x2, y2, ... in pixels, the corner of a pixel being its origin.

    A ring is one polygon too: round the outside, across, and back round the hole.
    """
    # A vertex is the middle of the pixel that was drawn; the outline runs along that pixel's far edge.
    x, y, reach = item.x + 0.5, item.y + 0.5, item.radius + 0.5
    unit = _unit_outline(item.shape, item.radius)
    return [round(float(v), 2) for u, w in unit for v in (x + reach * u, y + reach * w)]


@cache
def _sprite(shape: str, radius: int) -> np.ndarray:
    """Pixels of a shape: bool array of shape (2 radius + 1, 2 radius + 1), read-only because it is shared."""
    side = 2 * radius
    image = Image.new("1", (side + 1, side + 1))
    pen = ImageDraw.Draw(image)
    if shape in ("circle", "ring"):
        pen.ellipse((0, 0, side, side), fill=1)
        if shape == "ring":
            thick = _thickness(radius)
            pen.ellipse((thick, thick, side - thick, side - thick), fill=0)
    elif shape in ("bar", "cross"):
        arm = radius // 3
        pen.rectangle((0, radius - arm, side, radius + arm), fill=1)
        if shape == "cross":
            pen.rectangle((radius - arm, 0, radius + arm, side), fill=1)
    else:
        pen.polygon([(radius + radius * u, radius + radius * w) for u, w in _unit_outline(shape, radius)], fill=1)
    pixels = np.array(image, dtype=bool)
    pixels.setflags(write=False)
    return pixels


def _thickness(radius: int) -> int:
    return max(2, radius // 3)


def _unit_outline(shape: str, radius: int) -> list[tuple[float, float]]:
    """Vertices of a shape of radius 1 about (0, 0), y downwards."""
    arm = (radius // 3 + 0.5) / (radius + 0.5)
    if shape == "square":
        return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if shape == "triangle":
        return [(0, -1), (1, 1), (-1, 1)]
    if shape == "diamond":
        return [(0, -1), (1, 0), (0, 1), (-1, 0)]
    if shape == "bar":
        return [(-1, -arm), (1, -arm), (1, arm), (-1, arm)]
    if shape == "cross":
        quarter = [(arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm), (arm, 1)]
        return quarter + [(-u, -w) for u, w in quarter]
    if shape == "star":
        return [_polar(1.0 if i % 2 == 0 else 0.42, i / 10) for i in range(10)]
    circle = [_polar(1.0, i / 24) for i in range(24)]
    if shape == "circle":
        return circle
    hole = 1 - _thickness(radius) / (radius + 0.5)
    inside = [(hole * u, hole * w) for u, w in circle]
    return [*circle, circle[0], inside[0], *reversed(inside)]


def _polar(radius: float, turn: float) -> tuple[float, float]:
    return radius * math.sin(2 * math.pi * turn), -radius * math.cos(2 * math.pi * turn)
