"""Train the embedded model: a warm-up of the vision tower, then naming objects, then all lessons together.

A model that sees sequences has a second warm-up, of its first block, and lessons about sequences at the end.
"""

import logging
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from layerwise.datasets.frame_events import QUESTIONS
from layerwise.datasets.world.hypotheses import draw_dark_scene
from layerwise.datasets.world.scenes import draw_crowded_scene, draw_scene
from layerwise.models.embedded import frame_batches
from layerwise.models.embedded.architecture import PROMPT, make_model, make_processor
from layerwise.models.embedded.batches import Batch, Packer, noisy
from layerwise.models.embedded.event_words import WORDS, EventWords, first_block
from layerwise.models.embedded.forward import (
    answer_logits,
    answered_rightly,
    by_lesson,
    packed_accuracy,
    question_losses,
)
from layerwise.models.embedded.frame_lessons import FRAME_LESSONS, draw_frames
from layerwise.models.embedded.lessons import IN_THE_DARK, LESSONS
from layerwise.models.embedded.objectives import FRAMES, MIXTURES, Frames
from layerwise.models.embedded.optimizers import Optimizers
from layerwise.models.embedded.plans import Phase, Plan
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.models.embedded.warm_up import SIZES, PatchWords

# First words of the seed sequences. The world that make_world.py writes has another.
TRAINING_STREAM, HELD_OUT_STREAM, TOKENIZER_STREAM = 2, 3, 4
# JPEG changes a pixel by about so much.
PIXEL_NOISE = 6

Record = Callable[[int, str, str, str, float], None]
"""Takes the step, phase, lesson, metric and value of each measurement."""


def train(seed: int, plan: Plan, record: Record) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Train a model from scratch on new scenes. The same seed and thread count give the same weights."""
    rng = np.random.default_rng(np.random.SeedSequence([TRAINING_STREAM, seed]))
    texts = sample_texts(1500)
    if plan.objective in FRAMES:
        texts += frame_texts(1500)
    processor = make_processor(train_tokenizer(texts))
    model = make_model(processor.tokenizer, seed)
    packer = Packer(processor)
    warm_up(model, packer, rng, plan, record)
    # Training it further would take half of the lessons' time for nothing.
    model.model.vision_tower.requires_grad_(False)
    events = None
    if plan.objective in FRAMES:
        events = EventWords(model, packer.tokenizer)
        warm_up_events(model, events, packer, rng, plan, record)
    teach(model, events, packer, rng, plan, record)
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


def frame_texts(sequences: int) -> list[str]:
    """Text of every lesson about sequences, and all words for patches, which are to be single tokens."""
    rng = np.random.default_rng(np.random.SeedSequence([TOKENIZER_STREAM]))
    words = (*WORDS, *SIZES)
    texts = []
    for number in range(sequences):
        pair = draw_frames(QUESTIONS[number % len(QUESTIONS)], rng)
        for lesson in FRAME_LESSONS.values():
            texts += [PROMPT.format(text=question.text) + question.answer for question in lesson(*pair, rng)]
        # In another order each time, so that no two words become one token.
        texts.append("".join(f" {words[i]}" for i in rng.permutation(len(words))))
    return texts


def warm_up(
    model: LlavaForConditionalGeneration,
    packer: Packer,
    rng: np.random.Generator,
    plan: Plan,
    record: Record,
) -> None:
    """Teach the vision tower and the projector to express each patch in words."""
    words = PatchWords(model, packer.tokenizer, sequences=plan.objective in FRAMES)
    parameters = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    optimizers = Optimizers(parameters, plan.warm_up_steps, plan.warm_up_rate, plan.other_rate)
    for step in range(plan.warm_up_steps):
        # Most patches of an ordinary scene are empty and teach little.
        scenes = [draw_crowded_scene(rng) for _ in range(plan.warm_up_pictures)]
        loss = words.loss(model, packer.pixels(noisy(scenes, rng, PIXEL_NOISE)), scenes)
        optimizers.step(loss)
        if (step + 1) % plan.report_every == 0 or step + 1 == plan.warm_up_steps:
            record(step + 1, "warm-up", "patches", "loss", loss.item())


def warm_up_events(
    model: LlavaForConditionalGeneration,
    events: EventWords,
    packer: Packer,
    rng: np.random.Generator,
    plan: Plan,
    record: Record,
) -> None:
    """Teach the first block to say at each patch what happened there since the picture before."""
    optimizers = Optimizers([*first_block(model).parameters()], plan.event_steps, plan.event_rate, plan.word_rate)
    for step in range(plan.event_steps):
        loss = events.loss(model, _draw_events(packer, rng, plan, plan.event_rows))
        optimizers.step(loss)
        if (step + 1) % plan.report_every == 0 or step + 1 == plan.event_steps:
            record(step + 1, "event warm-up", "patches", "loss", loss.item())


def teach(
    model: LlavaForConditionalGeneration,
    events: EventWords | None,
    packer: Packer,
    rng: np.random.Generator,
    plan: Plan,
    record: Record,
) -> None:
    """Teach the lessons phase by phase. Every question has the same weight, however long its answer.

    A model that sees sequences is told all the while what happens at each patch. Otherwise lessons blur within fifty
    steps what its first block says, and the other blocks learn nothing from it.
    """
    held_out = _held_out(packer, plan)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = sum(phase.steps for phase in plan.phases)
    optimizers = Optimizers(parameters, steps, plan.matrix_rate, plan.word_rate, shared=_word_vectors(model))
    step, left = 0, 0
    for phase in plan.phases:
        learned = Learned(phase.until)
        more = 0 if phase.until else left
        left -= more
        for number in range(phase.steps + more):
            step += 1
            batch = _draw(packer, rng, plan, phase)
            logits = answer_logits(model, batch)
            losses = question_losses(logits, batch.targets, batch.question)
            loss = losses.mean()
            if events is not None:
                shown = _draw_events(packer, rng, plan, plan.event_sequences)
                loss = loss + plan.event_weight * events.loss(model, shown, text=False)
            optimizers.step(loss)
            if step % plan.report_every == 0 or step == steps:
                for lesson, value in by_lesson(batch, losses.detach()).items():
                    record(step, phase.name, lesson, "loss", value)
                for part in held_out:
                    for lesson, value in packed_accuracy(model, part).items():
                        record(step, phase.name, lesson, "accuracy", value)
            if learned.after(by_lesson(batch, answered_rightly(logits, batch))):
                left += phase.steps - number - 1
                break


class Learned:
    """Whether a lesson is learned: of late, nine of ten questions of it in training were answered rightly.

    Args:
        lesson: its name; empty for none, which is never learned.
    """

    ENOUGH, WEIGHT = 0.9, 0.1

    def __init__(self, lesson: str) -> None:
        self._lesson, self._mean = lesson, 0.0

    def after(self, right: Mapping[str, float]) -> bool:
        """Take the shares of right answers in one more batch, by lesson."""
        if self._lesson in right:
            self._mean += self.WEIGHT * (right[self._lesson] - self._mean)
        return self._mean >= self.ENOUGH


def _draw(packer: Packer, rng: np.random.Generator, plan: Plan, phase: Phase) -> Batch:
    mixture = MIXTURES[plan.objective][phase.name]
    if plan.objective not in FRAMES:
        return packer.draw(rng, plan.pictures, plan.tokens, mixture, phase.dark, PIXEL_NOISE)
    frames = FRAMES[plan.objective][phase.name]
    return frame_batches.draw(packer, rng, plan.pictures, plan.tokens, mixture, frames, phase.dark, PIXEL_NOISE)


def _draw_events(packer: Packer, rng: np.random.Generator, plan: Plan, rows: int) -> Batch:
    """Sequences of all kinds, alike often."""
    frames = Frames(1.0, dict.fromkeys(QUESTIONS, 1.0), dict.fromkeys(FRAME_LESSONS, 1.0))
    return frame_batches.draw(packer, rng, rows, plan.event_tokens, {}, frames, noise=PIXEL_NOISE)


def _held_out(packer: Packer, plan: Plan) -> list[Batch]:
    """Batches whose accuracies the curve shows: of every lesson, and of those about sequences."""
    rng = np.random.default_rng(np.random.SeedSequence([HELD_OUT_STREAM, 0]))
    held_out = [packer.draw(rng, 48, 240, dict.fromkeys(LESSONS, 1.0), 1 / 3, PIXEL_NOISE)]
    if plan.objective in FRAMES:
        frames = Frames(1.0, dict.fromkeys(QUESTIONS, 1.0), dict.fromkeys(FRAME_LESSONS, 1.0))
        held_out.append(frame_batches.draw(packer, rng, 64, 160, {}, frames, noise=PIXEL_NOISE))
    return held_out


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
