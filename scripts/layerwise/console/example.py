"""A few drawn pictures and a table of them, for those who want to see a study run before they have data."""

import csv
from itertools import product
from pathlib import Path

import numpy as np

from layerwise.datasets.world.render import render, save_jpeg
from layerwise.datasets.world.scenes import arranged
from layerwise.jobs.command import finished_file

SHAPES = ("circle", "square", "star", "bar")
COLOURS = ("red", "green", "blue", "yellow")
OF_EACH = 10


def draw_example(folder: Path) -> Path:
    """Draw pictures of one shape each into ``folder/pictures``, and a table with its shape and its colour.

    Every shape has every colour equally often, so that neither tells the other.
    """
    rng = np.random.default_rng(0)
    kinds = [kind for kind in product(SHAPES, COLOURS) for _ in range(OF_EACH)]
    rows = []
    for number, place in enumerate(rng.permutation(len(kinds)).tolist()):
        shape, colour = kinds[place]
        name = f"pictures/{number:03}.jpg"
        save_jpeg(render(arranged([(shape, colour)], rng)), folder / name)
        rows.append([name, shape, colour])
    with finished_file(folder / "pictures.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "shape", "colour"])
        writer.writerows(rows)
    return folder / "pictures.csv"
