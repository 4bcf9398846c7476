"""From a state to the probabilities of the next token, through the model's own output head.

Imports neither torch nor transformers, so that jobs which only read states start fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerwise.models.families import family_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from layerwise.models.frozen import AnsweringModel


# Decoders that multiply by `logits_scaling`, by which Granite's divide.
MULTIPLY_BY_SCALING = ("hyperclovax",)


@dataclass(frozen=True)
class Bending:
    """What a family does to the products of states and rows of its head before they are logits.

    Attributes:
        factor: they are multiplied by it (Cohere, Muse, HyperCLOVA X).
        divisor: they are divided by it (Granite, Inkling).
        bound: they are bounded by it, softly (Gemma); 0 for no bound.
        never: tokens that are never written (Chameleon's codes of pictures; rows that only fill up Inkling's head).
    """

    factor: float = 1
    divisor: float = 1
    bound: float = 0
    never: tuple[int, ...] = ()


def bending_of(model: nn.Module, model_type: str) -> Bending:
    """What a model of transformers, with or without its weights, does to its logits."""
    config, family = model.config.get_text_config(), family_of(model_type)
    if family.leaves_logits:
        return Bending()
    # The names are those of transformers.
    factor = getattr(config, "logit_scale", None) or getattr(config, "output_multiplier", None) or 1
    scaling = getattr(config, "logits_scaling", None) or getattr(config, "logits_mup_width_multiplier", None) or 1
    multiplies = config.model_type in MULTIPLY_BY_SCALING
    return Bending(
        factor=factor * scaling if multiplies else factor,
        divisor=1 if multiplies else scaling,
        bound=getattr(config, "final_logit_softcapping", None) or 0,
        never=tuple(map(int, model.base_model.vocabulary_mapping.image_tokens))
        if family.never_writes_image
        else _padding_of(config),
    )


def _padding_of(config: Any) -> tuple[int, ...]:
    """Rows of the head that belong to no token."""
    used = getattr(config, "unpadded_vocab_size", None)
    return () if used is None else tuple(range(used, config.vocab_size))


def bend(products: Any, bending: Bending, tanh: Callable[[Any], Any]) -> Any:
    """Logits, but for the tokens that are never written.

    Args:
        products: of states and rows of the head, with the head's bias.
        bending: of the model.
        tanh: that of the library of ``products``.
    """
    logits = products * bending.factor / bending.divisor
    return bending.bound * tanh(logits / bending.bound) if bending.bound else logits


def next_token_logits(model: AnsweringModel, states: Tensor) -> Tensor:
    """The output head's logits, with what the family does to them.

    Args:
        model: whose head is used.
        states: shape (..., width). The head expects the final norm's output.

    Returns:
        Shape (..., vocabulary); float32, where the head is.
    """
    import torch

    head, bending = model.model.get_output_embeddings(), bending_of(model.model, model.model_type)
    logits = bend(head(states.to(head.weight.device)).float(), bending, torch.tanh)
    if bending.never:
        logits[..., list(bending.never)] = -math.inf
    return logits


def next_token_probabilities(model: AnsweringModel, states: Tensor, tokens: Sequence[int] | None = None) -> Tensor:
    """Softmax over the vocabulary of :func:`next_token_logits`.

    Args:
        model: whose head is used.
        states: shape (..., width). The head expects the final norm's output.
        tokens: whose probabilities are wanted. Default - all, in order.

    Returns:
        Shape (..., tokens); float32, on the CPU.
    """
    probabilities = next_token_logits(model, states).softmax(-1)
    return (probabilities if tokens is None else probabilities[..., list(tokens)]).cpu()
