"""Batches of lessons: each row has its pictures, and after them several questions that cannot see each other.

In a causal model whose pictures come first, questions about the same pictures share their hidden states. Packed in one
row (positions restart after the pictures, a mask separates the questions), each question has exactly the states that it
has alone, for about half of the work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlavaProcessor

from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.hypotheses import draw_dark_scene
from layerwise.datasets.world.render import render
from layerwise.datasets.world.scenes import Scene, draw_scene
from layerwise.models.embedded.architecture import IMAGE_TOKENS, PROMPT
from layerwise.models.embedded.lessons import IN_THE_DARK, LESSONS, Question
from layerwise.models.embedded.tokenizer import IMAGE


@dataclass(frozen=True)
class Batch:
    """R rows of L tokens about P pictures, with T answer tokens of Q questions.

    ``pixels`` (P, 3, 64, 64) float32, row by row; ``ids`` and ``positions`` (R, L) int64; ``mask`` (R, 1, L, L) bool,
    true where a token may attend. ``at`` (T,) is the place in the flattened rows at which each answer token is
    predicted; ``targets`` (T,) the answer tokens; ``question`` (T,) the question of each; ``lessons`` (Q names) the
    lesson of each question. ``sequences``: for lessons about sequences, the one that each row shows.
    """

    pixels: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    at: torch.Tensor
    targets: torch.Tensor
    question: torch.Tensor
    lessons: tuple[str, ...]
    sequences: tuple[FrameSequence, ...] = ()


class Packer:
    """Makes batches with one processor's tokens and pixels."""

    def __init__(self, processor: LlavaProcessor) -> None:
        self.tokenizer = tokenizer = processor.tokenizer
        before, after = PROMPT.split("{text}")
        self._encode = lambda texts: [
            e.ids for e in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
        ]
        start, after_image = before.split(IMAGE)
        self._start = [tokenizer.bos_token_id, *self._encode([start])[0]]
        self._image = self._encode([IMAGE * IMAGE_TOKENS + after_image])[0]
        self._after = after
        self._pad, self._eos = tokenizer.pad_token_id, tokenizer.eos_token_id
        image = processor.image_processor
        self._mean = np.array(image.image_mean, dtype=np.float32)
        self._std = np.array(image.image_std, dtype=np.float32)
        self._factor = np.float32(image.rescale_factor)

    def pixels(self, pictures: np.ndarray) -> torch.Tensor:
        """The processor's pixels, float32 (N, 3, 64, 64), for uint8 pictures (N, 64, 64, 3)."""
        values = (pictures.astype(np.float32) * self._factor - self._mean) / self._std
        return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))

    def prefix(self, pictures: int) -> list[int]:
        """The tokens before the text when there are so many pictures."""
        return self._start + self._image * pictures

    def length(self, question: Question) -> int:
        """Number of tokens of a question with its answer and the end of that."""
        return sum(len(ids) for ids in self._encode([question.text + self._after, question.answer])) + 1

    def pack(
        self,
        pixels: torch.Tensor,
        rows: list[list[tuple[str, Question]]],
        sequences: Sequence[FrameSequence] = (),
    ) -> Batch:
        """A batch of rows: the questions of each, with their lessons' names.

        Args:
            pixels: of all pictures, row by row: (P, 3, 64, 64).
            rows: name of the lesson and question, of each question.
            sequences: what each row shows; without them, each shows one picture.
        """
        prefixes = [self.prefix(len(s.frames)) for s in sequences] or [self.prefix(1)] * len(rows)
        flat = [question for row in rows for _, question in row]
        asked = iter(self._encode([question.text + self._after for question in flat]))
        answers = iter(self._encode([question.answer for question in flat]))
        built = [[(next(asked), [*next(answers), self._eos]) for _ in row] for row in rows]
        # The last answer token is never an input.
        length = max(
            len(prefix) + sum(len(ask) + len(answer) - 1 for ask, answer in row)
            for prefix, row in zip(prefixes, built, strict=True)
        )
        ids = np.full((len(rows), length), self._pad, dtype=np.int64)
        positions = np.zeros((len(rows), length), dtype=np.int64)
        segment = np.full((len(rows), length), -1, dtype=np.int64)
        at, targets, question = [], [], []  # type: list, list, list
        number = 0
        for r, (prefix, row) in enumerate(zip(prefixes, built, strict=True)):
            where = start = len(prefix)
            ids[r, :start], positions[r, :start], segment[r, :start] = prefix, np.arange(start), 0
            for s, (ask, answer) in enumerate(row, start=1):
                tokens = [*ask, *answer[:-1]]
                end = where + len(tokens)
                ids[r, where:end] = tokens
                positions[r, where:end] = np.arange(start, start + len(tokens))
                segment[r, where:end] = s
                first = r * length + where + len(ask) - 1
                at.extend(range(first, first + len(answer)))
                targets.extend(answer)
                question.extend([number] * len(answer))
                number, where = number + 1, end
        seen = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])
        mask = seen & np.tri(length, dtype=bool)
        return Batch(
            pixels,
            torch.from_numpy(ids),
            torch.from_numpy(positions),
            torch.from_numpy(mask[:, None]),
            torch.tensor(at),
            torch.tensor(targets),
            torch.tensor(question),
            tuple(lesson for row in rows for lesson, _ in row),
            tuple(sequences),
        )

    def draw(
        self,
        rng: np.random.Generator,
        pictures: int,
        tokens: int,
        mixture: Mapping[str, float],
        dark: float = 0.0,
        noise: int = 0,
    ) -> Batch:
        """Draw scenes and, for each, questions from lessons with the chances in ``mixture``, up to ``tokens`` a row.

        In a share ``dark`` of the scenes an object is in the dark. They are only used for the lessons ``IN_THE_DARK``,
        in the same proportions.
        ``noise``: the largest change of a pixel's value (of 255); it stands for the effect of JPEG on a saved picture.
        """
        scenes, rows = self.draw_rows(rng, pictures, tokens, mixture, dark)
        return self.pack(self.pixels(noisy(scenes, rng, noise)), rows)

    def draw_rows(
        self, rng: np.random.Generator, pictures: int, tokens: int, mixture: Mapping[str, float], dark: float
    ) -> tuple[list[Scene], list[list[tuple[str, Question]]]]:
        """Scenes and the questions about each, as for :meth:`draw`."""
        unlit = {name: chance for name, chance in mixture.items() if name in IN_THE_DARK}
        unlit_pictures = round(pictures * dark) if unlit else 0
        scenes, rows = [], []  # type: list, list
        for number, lessons in ((unlit_pictures, unlit), (pictures - unlit_pictures, mixture)):
            drawn = [draw_dark_scene("train", rng) if lessons is unlit else draw_scene(rng) for _ in range(number)]
            rows += self._questions(drawn, tokens, lessons, rng)
            scenes += drawn
        return scenes, rows

    def _questions(
        self, scenes: list[Scene], tokens: int, mixture: Mapping[str, float], rng: np.random.Generator
    ) -> list[list[tuple[str, Question]]]:
        """For each scene as many questions as fit, at least one: full rows waste no work on padding."""
        room = tokens - len(self.prefix(1))
        names, chances = list(mixture), np.array(list(mixture.values()))
        limits = np.cumsum(chances / chances.sum())[:-1]
        rows, lesson = [], None
        for r, scene in enumerate(scenes):
            row, used = [], 0  # type: list, int
            while True:
                # A lesson that did not fit comes first in the next row. Otherwise long ones would be too rare.
                lesson = lesson or names[int(np.searchsorted(limits, rng.random(), side="right"))]
                # The previous scene serves lessons that compare this scene with another.
                question = LESSONS[lesson](scene, rng, scenes[r - 1])
                asked, answer = self._encode([question.text + self._after, question.answer])
                used += len(asked) + len(answer)
                if row and used > room:
                    break
                row.append((lesson, question))
                lesson = None
            rows.append(row)
        return rows


def noisy(scenes: list[Scene], rng: np.random.Generator, noise: int) -> np.ndarray:
    """Pictures of scenes, uint8 (N, 64, 64, 3), each value changed by up to ``noise``."""
    pictures = np.stack([render(scene) for scene in scenes])
    if not noise:
        return pictures
    change = rng.integers(-noise, noise + 1, size=pictures.shape, dtype=np.int16)
    return np.clip(pictures + change, 0, 255).astype(np.uint8)
