"""What the blocks of a decoder are given while it runs, and the same of two runs that follow each other."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.attention_mask import added_to_scores, aligned_rows
from layerwise.models.frozen import hidden_out

# Arguments of a block that a blocked run replaces.
REPLACED = ("hidden_states", "attention_mask", "past_key_values", "use_cache")
POSITIONS = "position_ids"


@dataclass(frozen=True)
class BlockCall:
    """The inputs of one block at some tokens, those from the first that is kept on.

    Attributes:
        hidden: states, shape (1, tokens, width).
        mask: what each of these tokens sees of the whole input, as numbers added to the scores; shape (tokens, all
            tokens).
        more: the block's other arguments, without its cache.
        added: what the decoder itself adds to the output of the block before (Qwen3-VL adds features of the image), of
            the shape of ``hidden``; None if nothing.
    """

    hidden: Tensor
    mask: Tensor
    more: dict[str, Any]
    added: Tensor | None = None


@dataclass
class Calls:
    """What was kept of a run.

    Attributes:
        blocks: the inputs, by block.
        top: the last block's output at the same tokens, shape (1, tokens, width).
    """

    blocks: list[BlockCall] = field(default_factory=list)
    top: Tensor = field(default_factory=lambda: torch.empty(1, 0, 0))


@contextmanager
def reading(blocks: Sequence[nn.Module], skip: int) -> Iterator[Calls]:
    """While the decoder goes on from a cache, with masks of numbers, keep each block's inputs after ``skip`` tokens."""
    kept = Calls()

    def before(_block: nn.Module, given: dict[str, Any]) -> None:
        hidden, mask = given["hidden_states"], given["attention_mask"]
        kept.blocks.append(BlockCall(hidden[:, skip:], mask[0, 0, skip:], _more(given, skip, hidden.shape[1])))

    def after(block: nn.Module, output: Tensor) -> None:
        if block is blocks[-1]:
            kept.top = output[:, skip:]

    with _hooked(blocks, before, after):
        yield kept


@contextmanager
def reading_first(blocks: Sequence[nn.Module], start: int, stop: int) -> Iterator[Calls]:
    """While the decoder runs the first tokens of an input, keep each block's inputs at the tokens from start to stop.

    Masks have as many columns as there are tokens up to ``stop``.

    Raises:
        InputError: when a token before ``start`` sees one from there on, so that nothing can go on from it.
    """
    kept, last = Calls(), list[Tensor]()
    masks: dict[Any, Tensor] = {}

    def before(block: nn.Module, given: dict[str, Any]) -> None:
        hidden, mask = given["hidden_states"], given["attention_mask"]
        # All blocks of one kind share a mask, and those that go on from them do, too.
        key = None if mask is None else mask.data_ptr()
        if key not in masks:
            masks[key] = _rows(block, mask, hidden, start, stop)
        added = None
        if last:
            difference = hidden[:, start:stop].float() - last[-1].to(hidden.device).float()
            added = difference if difference.any() else None
        more = _more(given, start, hidden.shape[1], stop)
        kept.blocks.append(BlockCall(hidden[:, start:stop], masks[key], more, added))

    def after(block: nn.Module, output: Tensor) -> None:
        # A copy, because a decoder may add to it in its place.
        last[:] = [output[:, start:stop].clone()]
        if block is blocks[-1]:
            kept.top = output[:, start:stop]

    with _hooked(blocks, before, after):
        yield kept


class Followed:
    """The first run of an input, continued by runs of what follows. Tensors that blocks share are joined once."""

    def __init__(self, first: Calls, skip: int):
        """
        Args:
            first: the first tokens' run.
            skip: how many of its tokens to leave out.
        """
        self._first, self._skip = first, skip
        self._known: dict[tuple[Any, ...], Tensor] = {}

    def by(self, rest: Calls) -> Calls:
        """The calls of both as of one run.

        Raises:
            InputError: when a block is given something about the first tokens that it is not given about the rest.
        """
        pairs = zip(self._first.blocks, rest.blocks, strict=True)
        blocks = [self._joined(first, then) for first, then in pairs]
        return Calls(blocks, torch.cat([self._first.top[:, self._skip :], rest.top], dim=1))

    def _joined(self, first: BlockCall, rest: BlockCall) -> BlockCall:
        tokens, more_tokens = first.hidden.shape[1], rest.hidden.shape[1]
        added = None
        if first.added is not None:
            own = first.added[:, self._skip :]
            added = torch.cat([own, own.new_zeros(1, more_tokens, own.shape[2])], dim=1)
        return BlockCall(
            torch.cat([first.hidden[:, self._skip :], rest.hidden], dim=1),
            self._once(_masks, self._skip, first.mask, rest.mask),
            {key: self._both(key, first.more.get(key), value, tokens, more_tokens) for key, value in rest.more.items()},
            added,
        )

    def _both(self, key: str, first: Any, rest: Any, tokens: int, more_tokens: int) -> Any:
        if isinstance(rest, (tuple, list)) and isinstance(first, (tuple, list)) and len(first) == len(rest):
            parts = zip(first, rest, strict=True)
            return type(rest)(self._both(key, one, other, tokens, more_tokens) for one, other in parts)
        if not isinstance(first, Tensor) and not isinstance(rest, Tensor):
            return rest
        if key == POSITIONS and (first is None or rest is None):
            # Qwen3-VL counts them in its own way, and tells its blocks of sines and cosines only.
            return None
        if isinstance(first, Tensor) and isinstance(rest, Tensor):
            of_first, of_rest = _dim_of_tokens(first, tokens), _dim_of_tokens(rest, more_tokens)
            if of_first is not None and of_first == of_rest and first.dim() == rest.dim():
                return self._once(_cat, self._skip, first, rest, of_rest)
            if of_first is None and of_rest is None and torch.equal(first, rest):
                return rest
        raise InputError(
            f"attention from one picture to another cannot be blocked in this model: its blocks are told something of "
            f"the pictures' tokens ({key}) that they are not told of the text behind them; leave the model out"
        )

    def _once(self, join: Callable[..., Tensor], skip: int, first: Tensor, rest: Tensor, *how: Any) -> Tensor:
        # Both runs hold their tensors, so that no other comes to lie in the same place.
        key = (*how, *((part.data_ptr(), part.device, part.dtype, part.shape, part.stride()) for part in (first, rest)))
        if key not in self._known:
            self._known[key] = join(skip, first, rest, *how)
        return self._known[key]


def per_token(value: Any, tokens: int, change: Callable[[Tensor, int], Tensor]) -> Any:
    """Apply ``change`` to a block's argument if it is given per token: (tensor, its dimension of tokens) -> tensor.

    Positions are whole numbers of shape (..., tokens), and their sines and cosines real or complex numbers of shape
    (..., tokens, size). Everything else stays.
    """
    if isinstance(value, (tuple, list)):
        return type(value)(per_token(part, tokens, change) for part in value)
    if not isinstance(value, Tensor) or (dim := _dim_of_tokens(value, tokens)) is None:
        return value
    return change(value, dim)


def _dim_of_tokens(value: Tensor, tokens: int) -> int | None:
    """The dimension of tokens of what is given per token, counted from the end; None for all else."""
    dim = -2 if value.is_floating_point() or value.is_complex() else -1
    return dim if value.dim() >= -dim and value.shape[dim] == tokens else None


def _more(given: dict[str, Any], skip: int, tokens: int, stop: int | None = None) -> dict[str, Any]:
    """A block's other arguments at the tokens from ``skip`` to ``stop``."""
    length = (tokens if stop is None else stop) - skip
    return {
        key: per_token(value, tokens, lambda v, dim: v.narrow(dim, skip, length))
        for key, value in given.items()
        if key not in REPLACED
    }


def _rows(block: nn.Module, mask: Tensor | None, hidden: Tensor, start: int, stop: int) -> Tensor:
    """What the tokens from ``start`` to ``stop`` see of those before ``stop``, as numbers added to the scores."""
    if mask is not None and mask.dim() != 4:
        raise InputError(
            f"attention between pictures cannot be blocked in a {type(block).__name__}: it takes no mask of tokens by "
            "tokens, as attention of the kinds eager and sdpa does"
        )
    whole = added_to_scores(mask, hidden.shape[1], hidden.dtype, hidden.device)[0, 0]
    least = torch.finfo(hidden.dtype).min
    if bool((whole[:start, start:stop] > least / 2).any()):
        raise InputError(
            "attention cannot be blocked at these tokens: tokens before them see them, so that all that follows would "
            "have to run again; block it at whole pictures that see no later one"
        )
    return whole[start:stop, :stop]


def _masks(skip: int, first: Tensor, rest: Tensor) -> Tensor:
    """The mask of both; a token sees none of those that follow it in another run."""
    both = aligned_rows(rest, len(first) - skip + len(rest), rest.shape[1]).fill_(torch.finfo(rest.dtype).min)
    both[: len(first) - skip, : first.shape[1]] = first[skip:]
    both[len(first) - skip :] = rest
    return both


def _cat(skip: int, first: Tensor, rest: Tensor, dim: int) -> Tensor:
    first = first.narrow(dim, skip, first.shape[dim] - skip)
    # What is the same for all rows of a batch may be given once.
    shape = [max(sizes) for sizes in zip(first.shape, rest.shape, strict=True)]
    shapes = [shape[:dim] + [part.shape[dim]] + (shape[dim + 1 :] if dim < -1 else []) for part in (first, rest)]
    return torch.cat([part.expand(size) for part, size in zip((first, rest), shapes, strict=True)], dim=dim)


@contextmanager
def _hooked(
    blocks: Sequence[nn.Module],
    before: Callable[[nn.Module, dict[str, Any]], None],
    after: Callable[[nn.Module, Tensor], None],
) -> Iterator[None]:
    def given_to(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        # Gemma 4's get an input of their own by its place.
        names = list(inspect.signature(block.forward).parameters)[: len(args)]
        before(block, dict(zip(names, args, strict=True)) | kwargs)

    def given_by(block: nn.Module, _args: tuple, output: Any) -> None:
        after(block, hidden_out(output))

    handles = [block.register_forward_pre_hook(given_to, with_kwargs=True) for block in blocks]
    handles += [block.register_forward_hook(given_by) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
