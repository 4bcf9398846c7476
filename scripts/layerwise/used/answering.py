"""How probable a loaded model's answers are after given outputs of its last block.

The numbers are those of :mod:`layerwise.answers.lens` for the top layer, computed in the same precision: the final norm
as the model computes it, then products of its output with rows of the head in float32. In half precision the model's
own logits would be too coarse: they are rounded to an eighth at 25.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerwise.answers.head_file import Conversation
from layerwise.answers.tokens import ClassTokens
from layerwise.errors import InputError
from layerwise.models.frozen import AnsweringModel
from layerwise.models.head import bend, bending_of

# Rows of the head that are multiplied at a time: 67 MB of products for a thousand states.
ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class Speaker:
    """How a loaded model reads prompts, see :func:`layerwise.answers.tokens.tokens_of`."""

    model_type: str
    conversation: Conversation


class Answering:
    """A loaded model's answers to a prompt.

    Args:
        model: the model.
        tokens: those of each class's answers.

    Raises:
        InputError: when its output head is not one matrix.
    """

    def __init__(self, model: AnsweringModel, tokens: ClassTokens):
        head = model.model.get_output_embeddings()
        if not isinstance(head, nn.Linear) or not head.weight.is_floating_point():
            raise InputError(
                f"the output head of this model of type {model.model_type} is a {type(head).__name__}, not one matrix "
                "of plain numbers: its answers cannot be read; leave it out of `used.models`"
            )
        self.model, self.head, self.bending = model, head, bending_of(model.model, model.model_type)
        self.classes = [[token["id"] for token in of_class] for of_class in tokens.values()]
        self._ids = sorted({token for of_class in self.classes for token in of_class})
        self._places = [[self._ids.index(token) for token in of_class] for of_class in self.classes]
        self._rows = head.weight[self._ids].float()
        self._bias = None if head.bias is None else head.bias[self._ids].float()

    @torch.inference_mode()
    def of_states(self, top: Tensor) -> tuple[Tensor, Tensor]:
        """Answers after outputs of the last block.

        Args:
            top: shape (runs, width), in the model's precision.

        Returns:
            ``scores``, shape (runs, K), for each class the log probability of its answers among the answers of all
            classes; and ``mass``, shape (runs,), the probability of all answers. float32, on the CPU.
        """
        normed = self.model.final_norm(top).to(self.head.weight.device)
        logits = self._bent(nn.functional.linear(normed.float(), self._rows, self._bias), self._ids)
        total = torch.full((len(normed),), -torch.inf, dtype=torch.float64, device=logits.device)
        for first in range(0, self.head.out_features, ROWS_AT_ONCE):
            rows = range(first, min(first + ROWS_AT_ONCE, self.head.out_features))
            part = self._bent(self._products(normed, rows), rows)
            # A card's product of half precision rounds otherwise, and then all answers would be more probable than 1.
            own = [place for place, token in enumerate(self._ids) if token in rows]
            if own:
                part[:, [self._ids[place] - first for place in own]] = logits[:, own]
            total = torch.logaddexp(total, part.logsumexp(-1).double())
        return _answers(logits, self._places, total)

    def of_logits(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the logits of all tokens, shape (runs, vocabulary)."""
        return _answers(logits, self.classes, logits.double().logsumexp(-1))

    def _products(self, normed: Tensor, rows: range) -> Tensor:
        """Products with some rows of the head in float32, with its bias, shape (runs, rows)."""
        weight = self.head.weight[rows.start : rows.stop]
        bias = None if self.head.bias is None else self.head.bias[rows.start : rows.stop].float()
        if weight.is_cuda and weight.dtype != torch.float32 and weight.dtype == normed.dtype:
            # A card adds products of half precision in float32, and can give them out so.
            products = torch.mm(normed, weight.T, out_dtype=torch.float32)
            return products if bias is None else products + bias
        return nn.functional.linear(normed.float(), weight.float(), bias)

    def _bent(self, products: Tensor, ids: Sequence[int]) -> Tensor:
        logits = bend(products, self.bending, torch.tanh)
        never = set(self.bending.never)
        if never and (silent := [place for place, token in enumerate(ids) if token in never]):
            logits[:, silent] = -torch.inf
        return logits


def _answers(logits: Tensor, classes: Sequence[Sequence[int]], total: Tensor) -> tuple[Tensor, Tensor]:
    of_classes = torch.stack([logits[:, list(places)].double().logsumexp(-1) for places in classes], dim=1)
    of_all = of_classes.logsumexp(-1)
    return (of_classes - of_all[:, None]).float().cpu(), (of_all - total).exp().float().cpu()
