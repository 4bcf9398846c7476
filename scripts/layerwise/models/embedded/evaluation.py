"""Measure how often the trained model is right in ordinary use: saved pictures, the processor, greedy answers."""

import io

import numpy as np
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from layerwise.datasets.world.render import render, save_jpeg
from layerwise.datasets.world.scenes import Scene
from layerwise.models.embedded.architecture import PROMPT
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
        right = [
            answer
            for start in range(0, questions, BATCH)
            for answer in answered(model, processor, scenes[start : start + BATCH], asked[start : start + BATCH])
        ]
        accuracies[name] = sum(right) / len(right)
    return accuracies


@torch.no_grad()
def answered(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, scenes: list[Scene], asked: list[Question]
) -> list[bool]:
    """Whether greedy decoding answers each question about its scene correctly.

    It does if and only if each token of the right answer is the likeliest after the tokens before it, including the
    token that ends the answer.
    """
    tokenizer = processor.tokenizer
    texts = [PROMPT.format(text=question.text) + question.answer + tokenizer.eos_token for question in asked]
    inputs = processor(images=[as_jpeg(scene) for scene in scenes], text=texts, padding=True, return_tensors="pt")
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
