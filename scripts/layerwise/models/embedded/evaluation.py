"""Measure how often the trained model is right in ordinary use: saved pictures, the processor, greedy answers."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from layerwise.datasets.frame_events import QUESTIONS
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.render import render, save_jpeg
from layerwise.datasets.world.scenes import Scene
from layerwise.models.embedded.architecture import prompt
from layerwise.models.embedded.frame_lessons import draw_frames, happened
from layerwise.models.embedded.lessons import LESSONS, Question, draw_scene_for

# The first word of the seed sequence for scenes that no model was trained on.
EVALUATION_STREAM = 5
BATCH = 64


def evaluate(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, seed: int, questions: int
) -> dict[str, float]:
    """Held-out accuracy by lesson, over ``questions`` questions each, one per scene, about pictures saved as JPEG.

    An answer counts if greedy decoding gives exactly this text, however long.
    """
    accuracies = {}
    for number, (name, lesson) in enumerate(LESSONS.items()):
        rng = np.random.default_rng(np.random.SeedSequence([EVALUATION_STREAM, seed, number]))
        scenes = [draw_scene_for(name, rng) for _ in range(questions)]
        asked = [lesson(scene, rng, scenes[i - 1]) for i, scene in enumerate(scenes)]
        accuracies[name] = _share_right(model, processor, scenes, asked)
    return accuracies


def evaluate_frames(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, seed: int, questions: int
) -> dict[str, dict[str, float]]:
    """By what is shown, the held-out accuracy on statements about each kind of sequence, as :func:`evaluate` has it.

    Half of the questions are about sequences and half about their partners. Shown are all frames in order, the same in
    random order, and one frame, any of them.
    """
    accuracies: dict[str, dict[str, float]] = {}
    for number, kind in enumerate(QUESTIONS, start=len(LESSONS)):
        rng = np.random.default_rng(np.random.SeedSequence([EVALUATION_STREAM, seed, number]))
        asked: list[Question] = []
        sequences: list[FrameSequence] = []
        while len(asked) < questions:
            pair = draw_frames(kind, rng)
            sequences += pair
            asked += happened(*pair, rng)
        frames = [sequence.frames for sequence in sequences]
        orders = [rng.permutation(len(shown)) for shown in frames]
        for name, shown in (
            ("in order", frames),
            ("random order", [[all_[i] for i in order] for all_, order in zip(frames, orders, strict=True)]),
            ("one frame", [[all_[order[0]]] for all_, order in zip(frames, orders, strict=True)]),
        ):
            accuracies.setdefault(name, {})[kind] = _share_right(model, processor, shown, asked)
    return accuracies


def _share_right(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    scenes: Sequence[Scene | Sequence[Scene]],
    asked: Sequence[Question],
) -> float:
    right = [
        answer
        for start in range(0, len(asked), BATCH)
        for answer in answered(model, processor, scenes[start : start + BATCH], asked[start : start + BATCH])
    ]
    return sum(right) / len(right)


@torch.no_grad()
def answered(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    scenes: Sequence[Scene | Sequence[Scene]],
    asked: Sequence[Question],
) -> list[bool]:
    """Whether greedy decoding answers each question correctly, which is about a scene or about several in order.

    It does if and only if each token of the right answer is the likeliest after the tokens before it, including the
    token that ends the answer.
    """
    tokenizer = processor.tokenizer
    shown = [[scene] if isinstance(scene, Scene) else scene for scene in scenes]
    texts = [
        prompt(question.text, len(pictures)) + question.answer + tokenizer.eos_token
        for question, pictures in zip(asked, shown, strict=True)
    ]
    images = [as_jpeg(scene) for pictures in shown for scene in pictures]
    inputs = processor(images=images, text=texts, padding=True, return_tensors="pt")
    lengths = [len(tokenizer.encode(question.answer, add_special_tokens=False)) + 1 for question in asked]
    # Padding is on the left, so the answers are at the end.
    longest = max(lengths)
    likeliest = model(**inputs, logits_to_keep=longest + 1).logits[:, :-1].argmax(-1)
    hits = likeliest == inputs["input_ids"][:, -longest:]
    return [bool(row[-length:].all()) for row, length in zip(hits, lengths, strict=True)]


def as_jpeg(scene: Scene) -> Image.Image:
    """A scene's picture, saved as JPEG and opened again."""
    file = io.BytesIO()
    save_jpeg(render(scene), file)
    file.seek(0)
    return Image.open(file).convert("RGB")
