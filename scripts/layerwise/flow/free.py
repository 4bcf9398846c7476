"""Runs with nothing blocked, from which blocked runs continue.

Before the first position whose attention is blocked, and below the first block in which it is, a blocked run equals the
free one. So the free run's keys and values are kept, and each block's inputs at the positions after the image. Several
questions about one image share one run of it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache

from layerwise.errors import InputError
from layerwise.models.attention_mask import TAKES_MASKS, kernels
from layerwise.models.block_kinds import WITHOUT_SCORES
from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel, hidden_out
from layerwise.models.head import next_token_logits
from layerwise.models.memory import Room
from layerwise.models.prefix.cache import prefix_cache, set_length
from layerwise.models.prefix.decoder import DecoderPositions
from layerwise.models.prefix.packing import PackedTexts, can_pack
from layerwise.models.prefix.split import PER_TOKEN, inputs_to

# Runs that go on from a free one are packed in rows, as prompts are in layerwise.models.prefix. A row has at most so
# many tokens, unless a single run is longer. A token looks at all others of its row although most are masked, so on a
# processor a row is best about as long as the input itself. A card reads all weights of a block for a row of any
# length, and in short ones the host starts kernels more slowly than they run, so there rows are long: one holds three
# flows to a question of 32 tokens in all windows of a model of 32 blocks.
TOKENS_PER_ROW = {"cpu": 512, "cuda": 3072}


@dataclass(frozen=True)
class BlockCall:
    """The inputs of one block at the positions of a free run.

    Attributes:
        hidden: states, shape (1, tokens, width).
        mask: what each of these tokens sees of the whole input, as numbers added to the scores; shape (tokens, all
            tokens).
        more: the block's other arguments, without its cache.
    """

    hidden: Tensor
    mask: Tensor
    more: dict[str, Any]


@dataclass(frozen=True)
class FreeRun:
    """One question's run with nothing blocked.

    Attributes:
        model: the model that ran.
        start: the first position that is kept, P; every possible target is at P or later.
        calls: per block its inputs from P on.
        prefix: per block the keys and values of all tokens, with room after them. Questions about one image share it,
            so use a run before asking for the next one.
        top: the last block's output from P on, shape (1, tokens, width).
        logits: of the token after the last position, shape (vocabulary,); float32, on the CPU.
        row: for how many tokens of runs that go on from this one there is room.
    """

    model: AnsweringModel
    start: int
    calls: list[BlockCall]
    prefix: Cache
    top: Tensor
    logits: Tensor
    row: Room

    @property
    def probabilities(self) -> Tensor:
        """Of the token after the last position, shape (vocabulary,); float32, on the CPU."""
        return self.logits.softmax(-1)

    @property
    def n_tokens(self) -> int:
        """Tokens of the whole input."""
        return self.start + self.top.shape[1]

    @property
    def last_states(self) -> Tensor:
        """States at the last position: the embeddings and every block's output, shape (L + 1, width)."""
        layers = [*(call.hidden for call in self.calls), self.top]
        return torch.stack([layer[0, -1].to(self.top.device) for layer in layers])


@dataclass(frozen=True)
class Wanted:
    """What is done with runs that go on from a free one, in the words of a refusal.

    Attributes:
        what: such as "information flow".
        runs: the runs, such as "blocked runs".
        blocks: whether attention is blocked in them, which needs blocks and tokens in which that stops the image.
        advice: how to leave a model out; empty for no advice.
    """

    what: str
    runs: str
    blocks: bool = True
    advice: str = ""


FLOW = Wanted("information flow", "blocked runs")


def row_room(device: torch.device) -> Room:
    """How many tokens are packed in one row on a device."""
    return Room(TOKENS_PER_ROW.get(device.type, TOKENS_PER_ROW["cpu"]), "tokens of runs that go on from a free one")


def check_served(model: AnsweringModel, wanted: Wanted = FLOW, with_image: bool = True) -> None:
    """Refuse a model in which no runs can go on from a free one.

    Args:
        model: the model.
        wanted: what the runs are for.
        with_image: whether its inputs have an image.

    Raises:
        InputError: saying why.
    """
    other = {kernel for block in model.blocks for kernel in kernels(block)} - set(TAKES_MASKS)
    blocking = "blocking is" if wanted.blocks else f"{wanted.runs} are"
    if other:
        why = f"its attention is of the kind {min(other)}, which takes no mask; load it with {' or '.join(TAKES_MASKS)}"
    elif model.intervention is not None:
        why = f"its `intervention` changes the runs that {blocking} compared with; ask the model without one"
    elif not model.goes_on:
        why = f"it needs an adapter of its own, and {wanted.runs} are made for the generic one"
    elif model.across:
        misses = "which blocking attention to its tokens misses" if wanted.blocks else f"which {wanted.runs} leave out"
        why = f"some of its blocks read the image by cross-attention, {misses}"
    elif wanted.blocks and (leaks := family_of(model.model_type).cut_leaks):
        why = f"blocking the image's tokens does not block the image: {leaks}"
    elif without := sorted(set(getattr(model.decoder.config, "layer_types", None) or ()) & set(WITHOUT_SCORES)):
        lacks = "has no scores between tokens to block" if wanted.blocks else "keeps no keys and values to go on from"
        why = f"some of its blocks are of the kind {without[0]}, which {lacks}"
    elif with_image and not model.shares_prefix:
        why = (
            "its decoder is not causal from image to text, its conversation puts text before the image, or its states "
            "depend on what else is in a batch (docs/families.md)"
        )
    elif not with_image and not (
        model.batch_invariant and family_of(model.model_type).shares_prefix and can_pack(model.decoder.config)
    ):
        why = "its decoder is not causal, or its states depend on what else is in a batch (docs/families.md)"
    else:
        return
    advice = f"; {wanted.advice}" if wanted.advice else ""
    raise InputError(f"{wanted.what} cannot be measured in this model of type {model.model_type}: {why}{advice}")


def free_runs(
    model: AnsweringModel,
    prepared: Sequence[Mapping[str, Tensor]],
    starts: Sequence[int],
    row: Room | None = None,
    with_image: bool = True,
) -> Iterator[FreeRun]:
    """Runs of several questions about one image. The image is run once.

    Args:
        model: one that :func:`check_served` lets pass.
        prepared: per question the model's inputs, each a batch of one, with the same image.
        starts: per question the first position that is wanted, after the image.
        row: how many tokens a row of runs that go on from one of these has, if a single run is not longer. Default - as
            many as suit the device.
        with_image: whether the inputs have an image. Texts without one share the tokens that they begin with.

    Yields:
        Each question's run. Use it before asking for the next one.

    Raises:
        InputError: when a text has a token of the image's type.
        ValueError: when a wanted position lies in the image or before it, or the inputs are not about one image.
    """
    of_image = {k: v for k, v in prepared[0].items() if k not in PER_TOKEN}
    if not all(_same(inputs[k], v) for inputs in prepared for k, v in of_image.items()):
        raise ValueError("the questions are not about one image")
    rows = [inputs["input_ids"][0].tolist() for inputs in prepared]
    image_end = int(model.image_tokens(prepared[0])[0].nonzero()[-1]) + 1 if with_image else 1
    length = _common(rows, min(starts))
    if length < image_end and not with_image and len(rows) > 1:
        # Without a begin token, texts need not begin with the same one. Each runs by itself then.
        for inputs, start in zip(prepared, starts, strict=True):
            yield from free_runs(model, [inputs], [start], row, with_image)
        return
    if length < image_end:
        raise ValueError("a position of the image or before it is wanted, or the texts differ before the image ends")
    _check_types(model, prepared, length)
    # A token more than is kept: Qwen's omni models cannot count positions in a text that ends with its image.
    first = of_image | {k: v[:, : length + 1] for k, v in prepared[0].items() if k in PER_TOKEN}
    row = row or row_room(model.device)
    own = [len(ids) - length for ids in rows]
    whole = [len(ids) - start for ids, start in zip(rows, starts, strict=True)]

    def run_prefix(packed: int) -> tuple[Cache, int]:
        # The longest of each question's own tokens with its packed runs.
        room = max(tokens + max(packed, one) for tokens, one in zip(own, whole, strict=True))
        return _run_prefix(model, first, length, room)

    with torch.inference_mode():
        # Where memory does not hold the longest rows, shorter ones do as well.
        prefix, position = (
            row.fitted(run_prefix, max(whole))
            or Room(1, "images with the start of their prompts").over(1, lambda *_: run_prefix(0))[0]
        )
    for ids, start in zip(rows, starts, strict=True):
        with torch.inference_mode():
            run = _run_rest(model, torch.tensor(ids[length:]), prefix, length, position, start, row)
        yield run


def _check_types(model: AnsweringModel, prepared: Sequence[Mapping[str, Tensor]], length: int) -> None:
    """Refuse texts with a token of the image's type: what runs after the image is told of no types.

    In ERNIE 4.5 VL the token that ends an image is one, and goes through the experts of images.
    """
    for inputs in prepared:
        for key in PER_TOKEN:
            if key.endswith("token_type_ids") and key in inputs and bool(inputs[key][:, length:].any()):
                raise InputError(
                    f"information flow cannot be measured in this model of type {model.model_type} at tokens right "
                    f"behind the image, which its processor counts as the image's ({key}); set `question_tokens: words`"
                )


def _common(rows: Sequence[Sequence[int]], most: int) -> int:
    """Length of the common start of all rows, at most ``most``."""
    return next((i for i, tokens in enumerate(zip(*rows, strict=False)) if i == most or len(set(tokens)) > 1), most)


def _same(first: Any, second: Any) -> bool:
    # Some families' processors give lists beside tensors.
    return torch.equal(first, second) if isinstance(first, Tensor) else bool(first == second)


def _run_prefix(model: AnsweringModel, inputs: dict[str, Any], length: int, room: int) -> tuple[Cache, int]:
    """Keys and values of the inputs, with room after them, and the position that follows their first ``length``."""
    inputs = inputs_to(inputs, model.device, model.dtype)
    cache, positions = DynamicCache(), DecoderPositions(length)
    with positions.read(model.decoder):
        model.forward(**inputs, past_key_values=cache, use_cache=True)
    return prefix_cache(cache, room), length if positions.next is None else int(positions.next)


def _run_rest(
    model: AnsweringModel, ids: Tensor, prefix: Cache, length: int, position: int, start: int, row: Room
) -> FreeRun:
    """Run a question's own tokens over the image, and keep the inputs of the blocks from ``start`` on."""
    set_length(prefix, length)
    ids = ids[None].to(model.device)
    packed = PackedTexts(ids, torch.tensor([[ids.shape[1]]]), length, position)
    with _reading(model.blocks, start - length) as (calls, outputs):
        model.continue_texts(packed, prefix)
    top = outputs[0]
    logits = next_token_logits(model, model.final_norm(top[0, -1])).cpu()
    return FreeRun(model, start, calls, prefix, top, logits, row)


# Arguments of a block that a blocked run replaces.
_REPLACED = ("hidden_states", "attention_mask", "past_key_values", "use_cache")


@contextmanager
def _reading(blocks: Sequence[nn.Module], skip: int) -> Iterator[tuple[list[BlockCall], list[Tensor]]]:
    """While the decoder runs, keep each block's inputs and the last block's output after ``skip`` tokens."""
    calls: list[BlockCall] = []
    outputs: list[Tensor] = []

    def before(block, args, kwargs):
        # Gemma 4's get an input of their own by its place.
        names = list(inspect.signature(block.forward).parameters)[: len(args)]
        given = dict(zip(names, args, strict=True)) | kwargs
        hidden, mask = given["hidden_states"], given["attention_mask"]
        more = {k: _behind(v, skip, hidden.shape[1]) for k, v in given.items() if k not in _REPLACED}
        calls.append(BlockCall(hidden[:, skip:], mask[0, 0, skip:], more))

    def after(_block, _args, output):
        outputs.append(hidden_out(output)[:, skip:])

    handles = [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks]
    handles.append(blocks[-1].register_forward_hook(after))
    try:
        yield calls, outputs
    finally:
        for handle in handles:
            handle.remove()


def per_token(value: Any, tokens: int, change: Callable[[Tensor, int], Tensor]) -> Any:
    """Apply ``change`` to a block's argument if it is given per token: (tensor, its dimension of tokens) -> tensor.

    Positions are whole numbers of shape (..., tokens), and their sines and cosines real or complex numbers of shape
    (..., tokens, size). Everything else stays.
    """
    if isinstance(value, (tuple, list)):
        return type(value)(per_token(part, tokens, change) for part in value)
    if not isinstance(value, Tensor):
        return value
    dim = -2 if value.is_floating_point() or value.is_complex() else -1
    return change(value, dim) if value.dim() >= -dim and value.shape[dim] == tokens else value


def _behind(value: Any, skip: int, tokens: int) -> Any:
    return per_token(value, tokens, lambda v, dim: v.narrow(dim, skip, tokens - skip))
