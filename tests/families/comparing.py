"""Inputs that all families are shown, and how states of two runs are compared."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.frozen import FrozenModel, hidden_in
from layerwise.models.memory import Room
from layerwise.models.prefix import together

POSITIONS = ["last", "image-mean"]
PROMPTS = [
    "Is there a circle?",
    "A much longer prompt, about a red circle left of a blue square.",
    "Hm.",
    "Is there a circle",
    "Is",
    "A blue star above a red star?",
]
# Width and height: wide, high, square and small, square and large, very wide, very high.
SIZES = ((64, 48), (40, 64), (30, 30), (96, 96), (120, 40), (36, 108))

Result = TypeVar("Result")


class Refusal(str):
    """The reason that an InputError gives for not doing something."""


def or_refusal(run: Callable[[], Result]) -> Result | Refusal:
    """What a call gives, or why it is refused. Any error but an InputError is a fault and stays one."""
    try:
        return run()
    except InputError as error:
        return Refusal(error)


def pictures(count: int = 2, seed: int = 0) -> list[Image.Image]:
    """Pictures of unlike shapes. After a wide and a high one, families that number rows and columns go on at different
    positions."""
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in SIZES[:count]
    ]


def unlike() -> tuple[list[Image.Image], list[str]]:
    """A batch of unlike inputs: pictures of all shapes, prompts of all lengths, and the first input once more."""
    images = pictures(len(SIZES))
    return [*images, images[0]], [*PROMPTS, PROMPTS[0]]


def unlike_prompts() -> list[list[str]]:
    """Prompts about each of three images: as many, as long and as much alike as in no other of them."""
    return [PROMPTS, ["Is there a circle?", "Is there a circle right of a star?"], PROMPTS[:3]]


@contextmanager
def all_at_once(model: GenericModel) -> Iterator[list[int]]:
    """Let any images run together whose inputs have the same shapes. Lists the rows of each pass of the decoder."""
    own, model.images = model.images, Room(100, "images")
    rows: list[int] = []

    def before(_block: nn.Module, args: tuple, kwargs: dict) -> None:
        rows.append(len(hidden_in(args, kwargs)))

    handle = model.blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    with patch.object(together, "TOKENS_TOGETHER", 10**9), patch.object(together, "MOST_ADDED", 10**9):
        try:
            yield rows
        finally:
            handle.remove()
            model.images = own


def relative(first: Tensor, second: Tensor) -> float:
    """The greatest norm of the difference over the norm of the second, over all vectors."""
    return float(((first.double() - second.double()).norm(dim=-1) / second.double().norm(dim=-1)).max())


def greatest(*values: float) -> float:
    """The greatest of some numbers; not a number if one is not. Python's own ``max`` passes over those."""
    return float(torch.tensor(values, dtype=torch.float64).max())


def furthest(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The greatest :func:`relative` difference over all positions of the second."""
    return greatest(*(relative(first[position], states) for position, states in second.items()))


def one_at_a_time(
    model: FrozenModel, images: list[Any], prompts: list[str], positions: list[str] | None = None
) -> dict[str, Tensor]:
    """States of each pair run by itself."""
    positions = positions or POSITIONS
    each = [model.states([image], [prompt], positions) for image, prompt in zip(images, prompts, strict=True)]
    return {position: torch.cat([states[position] for states in each]) for position in positions}
