"""Run the model on a batch: the losses of its answers, and how many are right."""

import math

import torch
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration

from layerwise.datasets.frame_events import QUESTIONS
from layerwise.models.embedded.batches import Batch
from layerwise.models.embedded.frame_lessons import FRAME_LESSONS
from layerwise.models.embedded.lessons import LESSONS

# In the order of the curve.
NAMES = (*LESSONS, *QUESTIONS, *FRAME_LESSONS)


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
    logits = answer_logits(model, batch)
    model.train()
    return by_lesson(batch, answered_rightly(logits, batch))


@torch.no_grad()
def answered_rightly(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """1 for each question (Q,) whose answer tokens are all the likeliest, else 0."""
    right = (logits.argmax(-1) == batch.targets).float()
    return torch.ones(len(batch.lessons)).scatter_reduce(0, batch.question, right, "amin")


def by_lesson(batch: Batch, values: torch.Tensor) -> dict[str, float]:
    """Mean of the questions' values for each lesson in the batch."""
    collected: dict[str, list[float]] = {}
    for lesson, value in zip(batch.lessons, values.tolist(), strict=True):
        collected.setdefault(lesson, []).append(value)
    return {lesson: math.fsum(collected[lesson]) / len(collected[lesson]) for lesson in NAMES if lesson in collected}
