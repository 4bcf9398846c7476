"""Which images run together, with a row each in one batch, and their inputs as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from layerwise.models.prefix.packing import TOKENS_PER_CHUNK
from layerwise.models.prefix.split import PER_TOKEN, PromptGroup, inputs_to

# Images run together until they have so many tokens, texts included. With fewer, starting a card's kernels takes longer
# than running them: a 7B model in bfloat16 took 67 ms per image with 892 tokens alone, 30 ms with four images together
# and no less with eight, on an H200. At most half of it is packed in a row, which is not more than a chunk of texts.
TOKENS_TOGETHER = 2 * TOKENS_PER_CHUNK
# How many tokens a batch may have, compared with those of its images alone. What is more is padding, and starts of
# texts that are in the prefix of one image but not in that of another.
MOST_ADDED = 1.25


@dataclass(frozen=True)
class PromptGroups:
    """Prompts about each of several images whose prefixes have the same number of tokens, P.

    Attributes:
        prefix: the model's inputs for the prefixes, as its own processor makes them for a batch.
        pictures: whose tokens those of the prefixes are: a picture's number, or 0; shape (images, P).
        rests: per image and prompt the token ids after the prefix, at least one, on the host.
    """

    prefix: dict[str, Any]
    pictures: Tensor
    rests: list[list[Tensor]]

    @property
    def image_tokens(self) -> Tensor:
        """True where the prefixes hold tokens of an image, shape (images, P)."""
        return self.pictures > 0

    def to(self, device: torch.device, dtype: torch.dtype) -> "PromptGroups":
        """The groups with their prefixes on a device, and floating-point inputs in the model's precision.

        The rests stay: those that run together are copied together.
        """
        return replace(self, prefix=inputs_to(self.prefix, device, dtype), pictures=self.pictures.to(device))


def joined(groups: Sequence[PromptGroup]) -> PromptGroups:
    """Groups that run together as one; see :func:`batches_of`."""
    length = min(_length(group) for group in groups)
    cut = [_cut(group, length) for group in groups]
    return PromptGroups(
        prefix={key: _joined([group.prefix[key] for group in cut]) for key in cut[0].prefix},
        pictures=torch.cat([group.pictures for group in cut]),
        rests=[group.rests for group in cut],
    )


def batches_of(groups: Sequence[PromptGroup], most: int) -> list[list[int]]:
    """Which groups run together, as numbers of groups.

    Their inputs are of the same shapes, their image's tokens in the same places, and no row is much shorter than
    another.

    Args:
        groups: on the host.
        most: how many may run together.
    """
    if most == 1 or len(groups) == 1:
        return [[i] for i in range(len(groups))]
    kinds = [_kind(group) for group in groups]
    batches: list[list[int]] = []
    # Groups of a kind in a row, the shortest first.
    for i in sorted(range(len(groups)), key=lambda i: (kinds.index(kinds[i]), _tokens(groups[i]))):
        with_last = [*batches[-1], i] if batches else []
        if (
            1 < len(with_last) <= most
            and kinds[i] is not None
            and kinds[i] == kinds[with_last[0]]
            and _fit([groups[member] for member in with_last])
        ):
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _fit(groups: Sequence[PromptGroup]) -> bool:
    """Whether groups of a kind have few enough tokens together, and few enough that they would not have alone."""
    length = min(_length(group) for group in groups)
    longest = max(_tokens(group) + (_length(group) - length) * (len(group.rests) - 1) for group in groups)
    return len(groups) * longest <= min(TOKENS_TOGETHER, MOST_ADDED * sum(_tokens(group) for group in groups))


def _kind(group: PromptGroup) -> tuple | None:
    """What groups that run together have in common; None for a group that runs alone."""
    if not all(
        isinstance(value, list) or (isinstance(value, Tensor) and value.dim()) for value in group.prefix.values()
    ):
        return None
    shapes = tuple(
        (key, value.dtype, value.shape[2:] if key in PER_TOKEN else value.shape)
        if isinstance(value, Tensor)
        else (key, len(value))
        for key, value in group.prefix.items()
    )
    return shapes, tuple((i, number) for i, number in enumerate(group.pictures[0].tolist()) if number)


def _length(group: PromptGroup) -> int:
    return group.pictures.shape[1]


def _tokens(group: PromptGroup) -> int:
    """Tokens of the prefix and the texts behind it."""
    return _length(group) + sum(map(len, group.rests))


def _cut(group: PromptGroup, length: int) -> PromptGroup:
    """A group whose prefix ends earlier, so that each text begins with what is cut off."""
    if length == _length(group):
        return group
    moved = group.prefix["input_ids"][0, length:]
    return replace(
        group,
        prefix={key: value[:, :length] if key in PER_TOKEN else value for key, value in group.prefix.items()},
        pictures=group.pictures[:, :length],
        rests=[torch.cat([moved, rest]) for rest in group.rests],
    )


def _joined(values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    return torch.cat(list(values)) if isinstance(values[0], Tensor) else [one for value in values for one in value]
