"""Runs with nothing blocked, from which blocked runs continue.

Before the first position whose attention is blocked, and below the first block in which it is, a blocked run equals the
free one. So the free run's keys and values are kept, and each block's inputs from the first such position on. Several
questions about one image, or about the same images, share one run of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from layerwise.errors import InputError
from layerwise.flow.block_calls import BlockCall, Calls, Followed, reading, reading_first
from layerwise.models.attention_mask import TAKES_MASKS, kernels
from layerwise.models.block_kinds import WITHOUT_SCORES
from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel
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
class Prefix:
    """The tokens that some questions begin with, with their images.

    Attributes:
        cache: their keys and values, with room after them.
        length: how many they are.
        position: the position that follows in the decoder's count.
        start: the first of them that is kept in ``calls``.
        calls: the blocks' inputs from there on; None if no run begins so early.
    """

    cache: Cache
    length: int
    position: int
    start: int
    calls: Calls | None


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
    """Runs of several questions about one image, or about the same images. They are run once.

    Args:
        model: one that :func:`check_served` lets pass.
        prepared: per question the model's inputs, each a batch of one, with the same images.
        starts: per question the first position that is wanted. It may lie among the images' tokens, if no token before
            it sees it.
        row: how many tokens a row of runs that go on from one of these has, if a single run is not longer. Default - as
            many as suit the device.
        with_image: whether the inputs have an image. Texts without one share the tokens that they begin with.

    Yields:
        Each question's run. Use it before asking for the next one.

    Raises:
        InputError: when a text has a token of the image's type; or, for positions among the images' tokens, when tokens
            before them see them, or blocks are told something of these tokens alone.
        ValueError: when the inputs are not about the same images.
    """
    of_image = {k: v for k, v in prepared[0].items() if k not in PER_TOKEN}
    if not all(_same(inputs[k], v) for inputs in prepared for k, v in of_image.items()):
        raise ValueError("the questions are not about one image")
    rows = [inputs["input_ids"][0].tolist() for inputs in prepared]
    image_end = int(model.image_tokens(prepared[0])[0].nonzero()[-1]) + 1 if with_image else 1
    length = _common(rows, max(min(starts), image_end))
    if length < image_end:
        # Without a begin token, texts need not begin with the same one, and there may be text between two images. Each
        # runs by itself then.
        for inputs, start in zip(prepared, starts, strict=True):
            yield from free_runs(model, [inputs], [start], row, with_image)
        return
    _check_types(model, prepared, length)
    # A token more than is kept: Qwen's omni models cannot count positions in a text that ends with its image.
    first = of_image | {k: v[:, : length + 1] for k, v in prepared[0].items() if k in PER_TOKEN}
    row = row or row_room(model.device)
    own = [len(ids) - length for ids in rows]
    whole = [len(ids) - start for ids, start in zip(rows, starts, strict=True)]

    def run_prefix(packed: int) -> Prefix:
        # The longest of each question's own tokens with its packed runs.
        room = max(tokens + max(packed, one) for tokens, one in zip(own, whole, strict=True))
        return _run_prefix(model, first, length, room, min(starts))

    with torch.inference_mode():
        # Where memory does not hold the longest rows, shorter ones do as well.
        prefix = (
            row.fitted(run_prefix, max(whole))
            or Room(1, "images with the start of their prompts").over(1, lambda *_: run_prefix(0))[0]
        )
    for ids, start in zip(rows, starts, strict=True):
        with torch.inference_mode():
            run = _run_rest(model, torch.tensor(ids[length:]), prefix, start, row)
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


def _run_prefix(model: AnsweringModel, inputs: dict[str, Any], length: int, room: int, start: int) -> Prefix:
    """Run the inputs, and keep their first ``length`` tokens with room after them."""
    inputs = inputs_to(inputs, model.device, model.dtype)
    cache, positions = DynamicCache(), DecoderPositions(length)
    wanted = reading_first(model.blocks, start, length) if start < length else nullcontext()
    with positions.read(model.decoder), wanted as calls:
        model.forward(**inputs, past_key_values=cache, use_cache=True)
    position = length if positions.next is None else int(positions.next)
    return Prefix(prefix_cache(cache, room), length, position, start, calls)


def _run_rest(model: AnsweringModel, ids: Tensor, prefix: Prefix, start: int, row: Room) -> FreeRun:
    """Run a question's own tokens over the image, and keep the inputs of the blocks from ``start`` on."""
    set_length(prefix.cache, prefix.length)
    ids = ids[None].to(model.device)
    packed = PackedTexts(ids, torch.tensor([[ids.shape[1]]]), prefix.length, prefix.position)
    with reading(model.blocks, max(start - prefix.length, 0)) as calls:
        model.continue_texts(packed, prefix.cache)
    if prefix.calls is not None and start < prefix.length:
        calls = Followed(prefix.calls, start - prefix.start).by(calls)
    logits = next_token_logits(model, model.final_norm(calls.top[0, -1])).cpu()
    return FreeRun(model, start, calls.blocks, prefix.cache, calls.top, logits, row)
