"""A few drawn pictures and a table of them, for those who want to see a study run before they have data."""

import csv
from pathlib import Path

import numpy as np

from layerwise.datasets.world.render import render, save_jpeg
from layerwise.datasets.world.scenes import COLOUR_NAMES, draw_scene
from layerwise.jobs.command import finished_file

PICTURES = 160


def draw_example(folder: Path) -> Path:
    """Draw pictures of coloured shapes into ``folder/pictures``, and a table that says whether a colour is in each.

    Half of the pictures have the colour that their question asks for.
    """
    rng = np.random.default_rng(0)
    rows = []
    for number in range(PICTURES):
        scene, name = draw_scene(rng), f"pictures/{number:03}.jpg"
        save_jpeg(render(scene), folder / name)
        shown = {item.colour for item in scene.objects}
        asked = sorted(shown) if number % 2 else [colour for colour in COLOUR_NAMES if colour not in shown]
        colour = asked[int(rng.integers(len(asked)))]
        rows.append([name, f"Is something {colour}?", "yes" if colour in shown else "no"])
    with finished_file(folder / "pictures.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "question", "answer"])
        writer.writerows(rows)
    return folder / "pictures.csv"
