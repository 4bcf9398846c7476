"""Concepts that were fitted to nothing: random erasers and directions, to try what changes states by them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from layerwise.models.interventions.concept_file import Concept, Steering, write_concept


def random_concept(
    file: Path, width: int, at: str = "last", block: int = 1, classes: Sequence[str] = ("no", "yes"), seed: int = 0
) -> Path:
    """Write the concept of a block, whose eraser projects onto K + 1 directions less, and return its path.

    Args:
        file: to write.
        width: d.
        at: its position.
        block: its number, from 1.
        classes: K names.
        seed: draws its numbers.
    """
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((width, len(classes) + 2)))
    margins = 1 if len(classes) == 2 else len(classes)
    rank = len(classes) + 1
    concept = Concept(
        mean=rng.standard_normal(width) / 10,
        erase=(basis.T[:rank], basis.T[:rank]),
        control=(np.empty((0, rank, width)),) * 2,
        steer={
            name: Steering(_unit(rng.standard_normal((margins, width))), rng.uniform(1, 2, margins))
            for name in (("means", "probe") if at == "last" else ("means",))
        },
    )
    told = {"blocks": [block], "position": at, "classes": list(classes), "cell": {}, "draws": 0, "seed": seed}
    write_concept(file, told, [concept])
    return file


def _unit(directions: np.ndarray) -> np.ndarray:
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
