"""Cut attention between chosen tokens in chosen blocks, through the mask of the model's own attention.

Attention knockout as in Geva et al. 2023 (arXiv 2304.14767, section 3): in all heads of a block, the scores from some
tokens to others are masked before the softmax, so that the remaining weights still sum to one.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.block_kinds import WITHOUT_SCORES

# Attention kernels that use a mask of tokens by tokens. Others ignore it and make their own.
TAKES_MASKS = ("eager", "sdpa")
# Rows of masks that are added to scores begin at multiples of so many numbers. Otherwise a card's kernel copies the
# mask in each block.
ALIGNED = 16
# The attribute in which families name the kind of a block, on the block or on a part of it.
KIND_OF_BLOCK = ("layer_type", "block_type", "attention_type")


def check_cuttable(blocks: Iterable[nn.Module]) -> None:
    """Refuse blocks in which attention cannot be cut between tokens.

    Raises:
        InputError: saying why.
    """
    for block in blocks:
        named = (getattr(part, name, None) for part in (block, *block.children()) for name in KIND_OF_BLOCK)
        if kind := next((kind for kind in named if kind in WITHOUT_SCORES), None):
            raise InputError(
                f"attention cannot be cut in a {type(block).__name__} of the kind {kind}: it has no scores between "
                "tokens that could be masked; choose other blocks"
            )
        if other := kernels(block) - set(TAKES_MASKS):
            raise InputError(
                f"attention cannot be cut in a {type(block).__name__} whose attention is of the kind {min(other)}: "
                f"this kernel takes no mask of ours; load the model with {' or '.join(TAKES_MASKS)}, by "
                "`_attn_implementation` in its config.json"
            )


def kernels(module: nn.Module) -> set[str]:
    """The kernels that compute the attention in a module, as transformers names them; empty if it names none."""
    configs = (getattr(part, "config", None) for part in module.modules())
    named = (getattr(config, "_attn_implementation", None) for config in configs)
    return {kernel for kernel in named if isinstance(kernel, str)}


@contextmanager
def attention_cut(
    blocks: Iterable[nn.Module], targets: Tensor, sources: Tensor, heads: Sequence[Tensor] | None = None
) -> Iterator[None]:
    """While the context lasts, targets do not attend to sources in these blocks, in any head or in some.

    It is exact for attention of the kinds ``eager`` and ``sdpa``. Without a pair to cut, the forward pass is the same
    to the last bit.

    Args:
        blocks: decoder blocks, which take their mask as ``attention_mask``, by its name or by its place.
        targets: true at the tokens that attend, shape (batch or 1, tokens of the forward pass).
        sources: true at the tokens that must not be attended to, shape (batch or 1, tokens kept in a cache + tokens of
            the forward pass).
        heads: for each of the blocks true at the heads that are cut, shape (heads that ask,). Default - all.

    Raises:
        InputError: when a block takes no such mask.
        ValueError: when a target would attend to nothing.
    """
    blocks = list(blocks)
    check_cuttable(blocks)
    pairs = targets[:, None, :, None] & sources[:, None, None, :]
    of_block = None if heads is None else dict(zip(blocks, heads, strict=True))

    def cut(block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        names = list(inspect.signature(block.forward).parameters)[: len(args)]
        given = dict(zip(names, args, strict=False)) | kwargs
        mask = given.get("attention_mask")
        if "attention_mask" not in given or (mask is not None and mask.dim() != 4):
            raise InputError(
                f"attention cannot be cut in a {type(block).__name__}: it takes no mask of tokens by tokens, as "
                "attention of the kinds eager and sdpa does"
            )
        hidden = given["hidden_states"]
        cut = pairs if of_block is None else pairs & of_block[block][None, :, None, None]
        given["attention_mask"] = without_pairs(mask, cut.to(hidden.device), hidden.dtype)
        return tuple(given.pop(name) for name in names), given

    handles = [block.register_forward_pre_hook(cut, with_kwargs=True) for block in blocks] if pairs.any() else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def without_pairs(mask: Tensor | None, pairs: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask without some pairs of tokens.

    Args:
        mask: the mask that a block was given: true or 0 where a token is seen, shape (batch or 1, 1, tokens, seen
            tokens); None where each token sees itself and all before it.
        pairs: true where a token (row) must not see another (column), of the same shape, or with all heads in the
            second dimension.
        dtype: of the hidden states.

    Returns:
        The same kind of mask, with a dimension of heads if ``pairs`` has one. None becomes numbers that are added to
        the scores, which both kinds of attention take.

    Raises:
        ValueError: when a token of ``pairs`` would see nothing.
    """
    if mask is None:
        tokens, seen = pairs.shape[-2:]
        mask = _causal(tokens, seen, dtype, pairs.device)
    # A mask may have columns for tokens that do not exist yet.
    mask = mask[..., : pairs.shape[-1]]
    hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    saw = mask if mask.dtype == torch.bool else mask > hidden / 2
    # Padding that is further from the text than a window sees nothing in the first place.
    if bool((saw.any(-1) & ~(saw & ~pairs).any(-1)).any()):
        raise ValueError("a token would see nothing at all: leave it something to attend to, if only itself")
    return mask.masked_fill(pairs, hidden)


def added_to_scores(mask: Tensor | None, tokens: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A mask that a block was given without a cache, as numbers that are added to the scores.

    Args:
        mask: true or 0 where a token is seen, shape (batch or 1, 1, tokens, tokens); None where each token sees itself
            and all before it.
        tokens: of the input.
        dtype, device: of the hidden states.
    """
    if mask is None:
        return _causal(tokens, tokens, dtype, device)
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


def _causal(tokens: int, seen: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    later = torch.ones(tokens, seen, dtype=torch.bool, device=device).triu(seen - tokens + 1)
    mask = torch.zeros(tokens, seen, dtype=dtype, device=device)
    return mask.masked_fill_(later, torch.finfo(dtype).min)[None, None]


def aligned_rows(like: Tensor, *shape: int) -> Tensor:
    """An empty mask of this shape for numbers like those of ``like``, with its rows aligned in memory."""
    *rows, columns = shape
    return like.new_empty(*rows, -(-columns // ALIGNED) * ALIGNED)[..., :columns]
