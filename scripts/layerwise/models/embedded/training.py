"""Train the embedded model: a warm-up of the vision tower, then naming objects, then all lessons together."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from layerwise.datasets.world.hypotheses import draw_dark_scene
from layerwise.datasets.world.scenes import draw_crowded_scene, draw_scene
from layerwise.models.embedded.architecture import PROMPT, make_model, make_processor
from layerwise.models.embedded.batches import Batch, Packer, noisy
from layerwise.models.embedded.lessons import IN_THE_DARK, LESSONS
from layerwise.models.embedded.objectives import MIXTURES
from layerwise.models.embedded.optimizers import Optimizers
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.models.embedded.warm_up import PatchWords

# First words of the seed sequences. The world that make_world.py writes has another.
TRAINING_STREAM, HELD_OUT_STREAM, TOKENIZER_STREAM = 2, 3, 4
# JPEG changes a pixel by about so much.
PIXEL_NOISE = 6

Record = Callable[[int, str, str, str, float], None]
"""Takes the step, phase, lesson, metric and value of each measurement."""


@dataclass(frozen=True)
class Phase:
    """A number of steps, and the share of pictures with an object in the dark. The objective decides the lessons."""

    name: str
    steps: int
    dark: float


@dataclass(frozen=True)
class Plan:
    """Objective, numbers of steps, batch sizes and the largest learning rates.

    Naming objects comes first and alone: its texts are short, and all other lessons need the model to find in the
    picture what a text names. It stays in the mixture afterwards, because it would be forgotten.
    """

    objective: str = "both"
    warm_up_steps: int = 350
    warm_up_pictures: int = 48
    phases: tuple[Phase, ...] = (Phase("objects", 220, 0.0), Phase("lessons", 300, 0.3))
    pictures: int = 24
    tokens: int = 120
    report_every: int = 50
    warm_up_rate: float = 2e-2
    matrix_rate: float = 1e-2
    other_rate: float = 4e-3

    def scaled(self, scale: float) -> "Plan":
        """The plan with all numbers of steps multiplied; each stays at least 1."""
        return replace(
            self,
            warm_up_steps=max(1, round(self.warm_up_steps * scale)),
            phases=tuple(replace(phase, steps=max(1, round(phase.steps * scale))) for phase in self.phases),
        )


def train(seed: int, plan: Plan, record: Record) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Train a model from scratch on new scenes. The same seed and thread count give the same weights."""
    rng = np.random.default_rng(np.random.SeedSequence([TRAINING_STREAM, seed]))
    processor = make_processor(train_tokenizer(sample_texts(1500)))
    model = make_model(processor.tokenizer, seed)
    packer = Packer(processor)
    warm_up(model, packer, rng, plan, record)
    # Training it further would take half of the lessons' time for nothing.
    model.model.vision_tower.requires_grad_(False)
    teach(model, packer, rng, plan, record)
    model.requires_grad_(True)
    model.eval()
    return model, processor


def sample_texts(scenes: int) -> list[str]:
    """Text of every lesson, for the tokenizer. It does not depend on the seed, so that token ids do not either."""
    rng = np.random.default_rng(np.random.SeedSequence([TOKENIZER_STREAM]))
    texts = []
    for _ in range(scenes):
        scene, other, dark = draw_scene(rng), draw_scene(rng), draw_dark_scene("train", rng)
        asked = [lesson(scene, rng, other) for lesson in LESSONS.values()]
        asked += [LESSONS[name](dark, rng, dark) for name in IN_THE_DARK]
        for question in asked:
            texts.append(PROMPT.format(text=question.text) + question.answer)
    return texts


def warm_up(
    model: LlavaForConditionalGeneration,
    packer: Packer,
    rng: np.random.Generator,
    plan: Plan,
    record: Record,
) -> None:
    """Teach the vision tower and the projector to express each patch in words."""
    words = PatchWords(model, packer.tokenizer)
    parameters = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    optimizers = Optimizers(parameters, plan.warm_up_steps, plan.warm_up_rate, plan.other_rate)
    for step in range(plan.warm_up_steps):
        # Most patches of an ordinary scene are empty and teach little.
        scenes = [draw_crowded_scene(rng) for _ in range(plan.warm_up_pictures)]
        loss = words.loss(model, packer.pixels(noisy(scenes, rng, PIXEL_NOISE)), scenes)
        optimizers.step(loss)
        if (step + 1) % plan.report_every == 0 or step + 1 == plan.warm_up_steps:
            record(step + 1, "warm-up", "patches", "loss", loss.item())


def teach(
    model: LlavaForConditionalGeneration, packer: Packer, rng: np.random.Generator, plan: Plan, record: Record
) -> None:
    """Teach the lessons phase by phase. Every question has the same weight, however long its answer."""
    held_out_rng = np.random.default_rng(np.random.SeedSequence([HELD_OUT_STREAM, 0]))
    held_out = packer.draw(held_out_rng, 48, 240, dict.fromkeys(LESSONS, 1.0), 1 / 3, PIXEL_NOISE)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = sum(phase.steps for phase in plan.phases)
    optimizers = Optimizers(parameters, steps, plan.matrix_rate, plan.other_rate, shared=_word_vectors(model))
    step = 0
    for phase in plan.phases:
        mixture = MIXTURES[plan.objective][phase.name]
        for _ in range(phase.steps):
            step += 1
            batch = packer.draw(rng, plan.pictures, plan.tokens, mixture, phase.dark, PIXEL_NOISE)
            losses = question_losses(answer_logits(model, batch), batch.targets, batch.question)
            optimizers.step(losses.mean())
            if step % plan.report_every == 0 or step == steps:
                for lesson, value in by_lesson(batch, losses.detach()).items():
                    record(step, phase.name, lesson, "loss", value)
                for lesson, value in packed_accuracy(model, held_out).items():
                    record(step, phase.name, lesson, "accuracy", value)


def answer_logits(model: LlavaForConditionalGeneration, batch: Batch) -> torch.Tensor:
    """Logits (T, vocabulary) only where answer tokens are predicted."""
    states = model.model(
        input_ids=batch.ids,
        pixel_values=batch.pixels,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state
    return model.lm_head(states.flatten(0, 1)[batch.at])


def question_losses(logits: torch.Tensor, targets: torch.Tensor, question: torch.Tensor) -> torch.Tensor:
    """Each question's loss (Q,): the mean cross-entropy of its answer tokens.

    Their mean is the loss to minimise. In a mean over tokens, a "yes" would have little weight beside captions.
    ``logits`` (T, vocabulary), ``targets`` (T,), ``question`` (T,): 0 ... Q - 1, each at least once.
    """
    tokens = cross_entropy(logits, targets, reduction="none")
    lengths = torch.bincount(question)
    return torch.zeros(len(lengths)).index_add(0, question, tokens) / lengths


@torch.no_grad()
def packed_accuracy(model: LlavaForConditionalGeneration, batch: Batch) -> dict[str, float]:
    """By lesson, the share of questions whose answer tokens are all the likeliest: greedy decoding's exact match."""
    model.eval()
    right = (answer_logits(model, batch).argmax(-1) == batch.targets).float()
    model.train()
    whole = torch.ones(len(batch.lessons)).scatter_reduce(0, batch.question, right, "amin")
    return by_lesson(batch, whole)


def by_lesson(batch: Batch, values: torch.Tensor) -> dict[str, float]:
    """Mean of the questions' values for each lesson in the batch."""
    collected: dict[str, list[float]] = {}
    for lesson, value in zip(batch.lessons, values.tolist(), strict=True):
        collected.setdefault(lesson, []).append(value)
    return {lesson: math.fsum(collected[lesson]) / len(collected[lesson]) for lesson in LESSONS if lesson in collected}


def _word_vectors(model: LlavaForConditionalGeneration) -> torch.nn.Parameter:
    return model.get_input_embeddings().weight


class Stopwatch:
    """Seconds since its creation."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def wall(self) -> float:
        """Seconds by the clock."""
        return time.perf_counter() - self._wall

    def cpu(self) -> float:
        """Seconds of processor time, of all threads together."""
        return time.process_time() - self._cpu


def log_measurements(rows: list[Mapping[str, object]], watch: Stopwatch) -> Record:
    """A recorder that appends to ``rows`` (the columns of the curve) and logs."""

    def record(step: int, phase: str, lesson: str, metric: str, value: float) -> None:
        rows.append(
            {
                "seconds": round(watch.wall(), 2),
                "step": step,
                "phase": phase,
                "lesson": lesson,
                "metric": metric,
                "value": round(value, 5),
            }
        )
        logging.info("%s step %d: %s %s %.3f", phase, step, lesson, metric, value)

    return record
