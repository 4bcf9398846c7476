"""The end of a model in torch: from the last block's output to its answers, so that gradients pass through."""

import torch
from torch import Tensor

from layerwise.answers.head_file import Head
from layerwise.answers.lens import Answering
from layerwise.answers.tokens import ClassTokens
from layerwise.models.head import bend


class AnswerHead:
    """The final norm, and those rows of the output head that the answers to a prompt need, as constants in float32.

    Args:
        head: the end of the model.
        tokens: those of each class's answers.
        device: where states are.
    """

    def __init__(self, head: Head, tokens: ClassTokens, device: str = "cpu"):
        of_answers = Answering(head, tokens)
        self._head, self._classes, self._silent = head, of_answers.classes, of_answers.silent
        self._rows = torch.tensor(of_answers.rows, device=device)
        self._bias = torch.as_tensor(of_answers.bias, dtype=torch.float32, device=device)
        self._scale, self._shift = (torch.tensor(part, device=device) for part in (head.norm.scale, head.norm.shift))

    def __call__(self, states: Tensor) -> Tensor:
        """For each state and class, the logarithm of the sum of its answers' exponentiated logits.

        Args:
            states: outputs of the last block at the last token, shape (n, width), float32.

        Returns:
            Shape (n, classes).
        """
        norm = self._head.norm
        if norm.centred:
            states = states - states.mean(-1, keepdim=True)
        normed = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + norm.eps) * self._scale + self._shift
        logits = bend(normed @ self._rows.T + self._bias, self._head.bending, torch.tanh)
        if self._silent:
            logits = logits.index_fill(-1, torch.tensor(self._silent, device=logits.device), float("-inf"))
        return torch.stack([logits[:, places].logsumexp(-1) for places in self._classes], dim=-1)
