"""A model's answers: its greedy continuation of the prompt."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig

from layerwise.models.frozen import PICTURES, AnsweringModel, Shown

# GQA's answers are a word or a short phrase. A longer answer equals none of them.
MOST_TOKENS = 12


@dataclass(frozen=True)
class Answer:
    """A greedy answer.

    Attributes:
        text: without special tokens and surrounding spaces.
        first_id: its first token.
    """

    text: str
    first_id: int

    def is_right(self, gold: str) -> bool:
        """Whether it is the gold answer, ignoring case."""
        return self.text.lower() == gold.strip().lower()


@torch.inference_mode()
def greedy_answers(
    model: AnsweringModel, images: Sequence[Shown], prompts: Sequence[str], most_tokens: int = MOST_TOKENS
) -> list[Answer]:
    """Answers to a batch of prompts about images, by the model's own ``generate``.

    Args:
        model: its tokenizer pads on the left here, because the answer follows the text.
        images, prompts: the batch.
        most_tokens: longer answers are cut off.
    """
    tokenizer = model.processor.tokenizer
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    try:
        prepared = model.prepare(images, prompts)
    finally:
        tokenizer.padding_side = side
    ends = _end_tokens(model)
    answers = []
    for inputs in prepared if isinstance(prepared, list) else [prepared]:
        for row in _continued(model, inputs, most_tokens, ends):
            written = list(takewhile(lambda token: token not in ends, row))
            answers.append(Answer(tokenizer.decode(written, skip_special_tokens=True).strip(), row[0]))
    return answers


def _end_tokens(model: AnsweringModel) -> list[int]:
    """Tokens with which the model ends its answer."""
    own = model.model.generation_config.eos_token_id
    end = model.processor.tokenizer.eos_token_id if own is None else own
    return end if isinstance(end, list) else [end]


def _continued(model: AnsweringModel, prepared: Any, most_tokens: int, ends: list[int]) -> list[list[int]]:
    """Token ids after each prompt of a batch, with padding after the token that ends them."""
    own = model.model.generation_config
    plain = GenerationConfig(
        do_sample=False,
        max_new_tokens=most_tokens,
        eos_token_id=ends,
        pad_token_id=model.processor.tokenizer.pad_token_id if own.pad_token_id is None else own.pad_token_id,
    )
    inputs = {key: value for key, value in prepared.to(model.device, model.dtype).items() if key != PICTURES}
    with _set_aside_own_settings(model.model, plain):
        ids = model.model.generate(**inputs, generation_config=plain).cpu()
    given = inputs["input_ids"].cpu()
    # BLIP-2 returns the answer without the prompt.
    return (ids[:, given.shape[1] :] if torch.equal(ids[:, : given.shape[1]], given) else ids).tolist()


@contextmanager
def _set_aside_own_settings(model: nn.Module, plain: GenerationConfig) -> Iterator[None]:
    """Generate with ``plain`` alone. Otherwise transformers fills its gaps from the model's own settings.

    Some published settings make words of the question less probable (``repetition_penalty``), forbid them, or sample.
    """
    parts = {part: part.generation_config for part in model.modules() if hasattr(part, "generation_config")}
    try:
        for part in parts:
            part.generation_config = plain
        yield
    finally:
        for part, own in parts.items():
            part.generation_config = own
