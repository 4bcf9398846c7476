"""Which picture each image token of a text belongs to, where a text has several."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from layerwise.several_pictures import place, places

# What is written between pictures to count their tokens: two texts that differ in one word between each two pictures.
WORDS = (("a", "b"), ("one", "two"), ("0", "1"))


def in_text_order(prompt: str, pictures: int) -> list[int]:
    """The numbers of a prompt's pictures, in the order in which its text has them."""
    return places(prompt) or list(range(1, pictures + 1))


def numbered(image: Tensor, counts: Sequence[int], order: Sequence[int]) -> Tensor:
    """Whose tokens they are: a picture's number, or 0.

    Args:
        image: true at the tokens of all pictures, shape (tokens,).
        counts: how many each picture has, in the order of the text.
        order: the pictures' numbers in the same order.

    Returns:
        Shape (tokens,).
    """
    numbers = torch.zeros_like(image, dtype=torch.long)
    numbers[image] = torch.tensor(order, device=image.device).repeat_interleave(
        torch.tensor(counts, device=image.device)
    )
    return numbers


def run_lengths(image: Tensor) -> list[int]:
    """How many tokens each unbroken run of image tokens has, from the first on; ``image``: shape (tokens,)."""
    edges = torch.nn.functional.pad(image.long(), (1, 1)).diff()
    return ((edges == -1).nonzero() - (edges == 1).nonzero())[:, 0].tolist()


def one_run_each(image: Tensor, text: str, token: str, pictures: int) -> list[int] | None:
    """How many tokens each picture has, if the text itself keeps them apart, each in one run; None if not.

    With something written between any two pictures there are at least as many runs as pictures. As many runs are
    one for each.

    Args:
        image: true at the tokens of all pictures, shape (tokens,).
        text: with a token for each picture, as the processor gets it.
        token: that token.
        pictures: how many there are.
    """
    between = text.split(token)[1:-1]
    runs = run_lengths(image)
    apart = len(between) == pictures - 1 and all(between)
    return runs if apart and len(runs) == pictures else None


def with_words_between(pictures: int, word: str) -> str:
    """A prompt with its pictures in order, and a word between any two of them."""
    return f" {word} ".join(place(number) for number in range(1, pictures + 1))


def counted_between(first: Tensor, second: Tensor, image: Tensor, pictures: int) -> list[int] | None:
    """How many tokens each picture has, from two texts that differ in the words between any two pictures alone.

    Args:
        first, second: token ids of the two texts, each of shape (tokens,).
        image: true at the image tokens of the first, shape (tokens,).
        pictures: how many there are.

    Returns:
        None if the texts differ otherwise, so that it is not certain.
    """
    if first.shape != second.shape:
        return None
    words = (first != second).nonzero()[:, 0].tolist()
    if len(words) != pictures - 1 or image[words].any():
        return None
    return [int(image[start:stop].sum()) for start, stop in pairwise([0, *words, len(first)])]


def touching(numbers: Tensor) -> tuple[int, int] | None:
    """The first two pictures with no token between them; ``numbers`` as of :func:`numbered`, shape (tokens,)."""
    here, there = numbers[:-1], numbers[1:]
    found = ((here != there) & (here > 0) & (there > 0)).nonzero()[:, 0].tolist()
    return (int(here[found[0]]), int(there[found[0]])) if found else None
