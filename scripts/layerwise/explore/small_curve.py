"""A curve as large as a word or two, for a page that has no script yet: coordinates for a drawing in SVG."""

import math
from typing import Any

import numpy as np
import pandas as pd

WIDTH, HEIGHT, MARGIN = 240, 90, 8


def small_curve(layers: pd.DataFrame, level: float, marked: int) -> dict[str, Any]:
    """Where things are drawn, in a box of ``WIDTH`` by ``HEIGHT``.

    Args:
        layers: ``layer``, ``value``, ``low`` and ``high``, by layer.
        level: of the dotted line.
        marked: the layer that has a dot.

    Returns:
        ``line`` and ``band`` (points), ``level`` (y), ``dot`` (x and y, or None), ``width`` and ``height``.
    """
    ends = [float(end) for column in ("value", "low", "high") for end in layers[column] if math.isfinite(end)]
    low, high = min([*ends, level]), max([*ends, level])
    last = max(1, int(layers["layer"].max()))

    def x(layer: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * layer / last, 1)

    def y(value: float) -> float:
        return round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / ((high - low) or 1), 1)

    def points(rows: pd.DataFrame, column: str) -> list[str]:
        found = zip(rows["layer"], rows[column], strict=True)
        return [f"{x(layer)},{y(value)}" for layer, value in found if np.isfinite(value)]

    dot = layers.loc[layers["layer"] == marked, "value"]
    return {
        "line": " ".join(points(layers, "value")),
        "band": " ".join([*points(layers, "low"), *points(layers.iloc[::-1], "high")]),
        "level": y(level),
        "dot": (x(marked), y(float(dot.iloc[0]))) if len(dot) else None,
        "width": WIDTH,
        "height": HEIGHT,
    }
