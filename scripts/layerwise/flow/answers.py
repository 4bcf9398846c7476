"""What a model answers: its greedy continuation of the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import GenerationConfig

from layerwise.models.adapters.generic import GenericModel

# Answers of GQA are a word or a short phrase. One that goes on for longer equals none of them.
MOST_TOKENS = 12


@dataclass(frozen=True)
class Answer:
    """A greedy answer.

    Attributes:
        text: without special tokens and the spaces around it.
        first_id: its first token.
    """

    text: str
    first_id: int

    def is_right(self, gold: str) -> bool:
        """Whether it is the gold answer, whatever the case of its letters."""
        return self.text.lower() == gold.strip().lower()


@torch.inference_mode()
def greedy_answers(
    model: GenericModel, images: Sequence[Image.Image], prompts: Sequence[str], most_tokens: int = MOST_TOKENS
) -> list[Answer]:
    """Answers to a batch of prompts about images, by the model's own ``generate``.

    Args:
        model: whose tokenizer may pad on either side: here it pads on the left, as an answer follows the text.
        images, prompts: the batch.
        most_tokens: where an answer is cut off that has not ended by itself.
    """
    tokenizer = model.processor.tokenizer
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    try:
        prepared = model.prepare(images, prompts)
    finally:
        tokenizer.padding_side = side
    rows: list[Tensor] = []
    for inputs in prepared if isinstance(prepared, list) else [prepared]:
        rows += _continued(model, inputs, most_tokens)
    return [Answer(tokenizer.decode(row, skip_special_tokens=True).strip(), int(row[0])) for row in rows]


def _continued(model: GenericModel, prepared: Any, most_tokens: int) -> list[Tensor]:
    """Token ids behind each prompt of a batch."""
    own = model.model.generation_config
    inputs = prepared.to(model.device, model.dtype)
    end = own.eos_token_id if own.eos_token_id is not None else model.processor.tokenizer.eos_token_id
    # Not the model's own settings: they may sample, or push away from words of the question.
    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=most_tokens,
        eos_token_id=end,
        pad_token_id=own.pad_token_id if own.pad_token_id is not None else model.processor.tokenizer.pad_token_id,
    )
    ids = model.model.generate(**inputs, generation_config=greedy).cpu()
    given = inputs["input_ids"].cpu()
    # BLIP-2 gives the answer alone.
    answers = ids[:, given.shape[1] :] if torch.equal(ids[:, : given.shape[1]], given) else ids
    return list(answers)
