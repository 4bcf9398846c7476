"""Batches in which some rows have a single picture and others the frames of a sequence."""

from collections.abc import Mapping

import numpy as np

from layerwise.datasets.world.frames.pairs import Pair
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.models.embedded.batches import Batch, Packer, noisy
from layerwise.models.embedded.frame_lessons import FRAME_LESSONS, HAPPENED, draw_frames
from layerwise.models.embedded.lessons import Question
from layerwise.models.embedded.objectives import Frames

Row = list[tuple[str, Question]]


def draw(
    packer: Packer,
    rng: np.random.Generator,
    rows: int,
    tokens: int,
    lessons: Mapping[str, float],
    frames: Frames,
    dark: float = 0.0,
    noise: int = 0,
) -> Batch:
    """Draw rows of up to ``tokens`` tokens. A sequence and its partner are in one batch, with the same questions.

    Args:
        packer: makes the batch.
        rng: draws everything.
        rows: at least so many.
        tokens: of a row, its pictures' included.
        lessons: the chances of lessons about a single picture.
        frames: the share of rows about sequences, and what they are.
        dark, noise: see :meth:`layerwise.models.embedded.batches.Packer.draw`.
    """
    scenes, packed = packer.draw_rows(rng, rows - round(rows * frames.share), tokens, lessons, dark)
    # A single picture is a sequence without events.
    sequences = [FrameSequence("scene", (scene,)) for scene in scenes]
    while len(packed) < rows:
        pair = draw_frames(_choose(frames.kinds, rng), rng)
        packed += _asked(packer, pair, tokens, frames.lessons, rng)
        sequences += pair
    pictures = noisy([frame for sequence in sequences for frame in sequence.frames], rng, noise)
    return packer.pack(packer.pixels(pictures), packed, sequences)


def _asked(
    packer: Packer, pair: Pair, tokens: int, lessons: Mapping[str, float], rng: np.random.Generator
) -> tuple[Row, Row]:
    """As many questions as fit, at least one, about a sequence and about its partner."""
    rows: tuple[Row, Row] = [], []
    used = len(packer.prefix(len(pair[0].frames)))
    while True:
        lesson = _choose(lessons, rng)
        questions = FRAME_LESSONS[lesson](*pair, rng)
        used += max(packer.length(question) for question in questions)
        if rows[0] and used > tokens:
            return rows
        name = pair[0].kind if lesson == HAPPENED else lesson
        for row, question in zip(rows, questions, strict=True):
            row.append((name, question))


def _choose(chances: Mapping[str, float], rng: np.random.Generator) -> str:
    """One of the names, each with its chance; they need not sum to 1."""
    limits = np.cumsum(list(chances.values()))
    return list(chances)[int(np.searchsorted(limits, rng.random() * limits[-1], side="right"))]
