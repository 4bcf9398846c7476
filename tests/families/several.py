"""Check several pictures in one text on a family: every path against one input at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from PIL import Image
from torch import Tensor, nn

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.families import ACROSS
from layerwise.models.frozen import hidden_in, picture_position
from layerwise.several_pictures import place
from tests.families.comparing import (
    PROMPTS,
    Refusal,
    all_at_once,
    furthest,
    greatest,
    one_at_a_time,
    or_refusal,
    pictures,
    relative,
)
from tests.families.intervened import given

POSITIONS = ["last", "image-mean", *map(picture_position, (1, 2))]
FIRST, SECOND = place(1), place(2)
# How texts have two pictures: before the text, in it, in it the other way round, and with nothing between them.
ADJACENT = f"{SECOND}{FIRST}"
STARTS = ("", f"First {FIRST} and then {SECOND} ", f"Look: {SECOND} is behind {FIRST}.", ADJACENT)
# The same of three pictures.
THREE = (f"{place(3)}{FIRST} or {SECOND}?", f"{place(3)} or {FIRST} or {SECOND}?")

Pair = tuple[Image.Image, Image.Image]


@dataclass(frozen=True)
class OnePicture:
    """What an intervention does that is about one of two pictures.

    Attributes:
        exact: the greatest difference of states in a batch and over a shared prefix from one input at a time.
        leak: how far the last token's states differ between two pictures in its place.
        left: how far they differ between two pictures in the place of the other one, at least.
    """

    exact: float
    leak: float
    left: float


@dataclass(frozen=True)
class Several:
    """What a family does with two pictures in a text.

    Attributes:
        own: the greatest difference from what the whole model reports on what its own processor makes.
        batch: that of a padded batch of unlike inputs from each alone.
        shared: that of prompts over a shared prefix, of one pair of pictures and of several at once, from each alone;
            None where they are not shared.
        seen: how far the last token's topmost state differs when one of the pictures is another, at least.
        cut: attention to one picture cut in all blocks; a refusal where it is not allowed.
        emptied: the tokens of one picture emptied before the first block; likewise.
    """

    own: float
    batch: float
    shared: float | None
    seen: float
    cut: OnePicture | Refusal
    emptied: OnePicture | Refusal

    @property
    def exact(self) -> float:
        """The greatest difference of all that must be equal."""
        one_picture = [found.exact for found in (self.cut, self.emptied) if isinstance(found, OnePicture)]
        return greatest(self.own, self.batch, self.shared or 0, *one_picture)


def several(model: GenericModel) -> Several | Refusal:
    """Two pictures of unlike sizes in one text, or why the model refuses them."""
    return or_refusal(partial(_several, model))


def pair(seed: int = 0) -> Pair:
    """Two pictures of unlike sizes, the same for all seeds."""
    first, second = pictures(2, seed)
    return first, second


def _several(model: GenericModel) -> Several:
    check_whose(model)
    cut, emptied = ({"blocks": [1, model.n_layers]}, {"from": 1, "with": "zero"})
    return Several(
        own=_own(model),
        batch=_batch(model),
        shared=_shared(model) if model.shares_prefix else None,
        seen=min(_changes(model, start)[1] for start in STARTS[:2]),
        cut=or_refusal(partial(_one_picture, model, "cut-image", cut)),
        emptied=or_refusal(partial(_one_picture, model, "ablate-image", emptied)),
    )


def _own(model: GenericModel) -> float:
    """Against ``output_hidden_states`` of the whole model, without this project's preparation."""
    differences, processor = [], model.processor
    for prompt in PROMPTS[:2]:
        content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": prompt}]
        if model.conversation == "chat":
            text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        else:
            text = f"{model.image_token}\n{model.image_token}\n{prompt}"
        inputs = own_inputs(model, text, pair())
        ours = model.prepare([pair()], [prompt])
        whose = model.picture_tokens(ours)[0]
        assert torch.equal(inputs["input_ids"], ours["input_ids"]), "the text is not that of the family"
        with torch.inference_mode():
            output = model.model(**inputs.to(model.device, model.dtype), output_hidden_states=True)
        hidden = torch.stack(output.hidden_states, dim=1)
        expected = {"last": hidden[:, :, -1], "image-mean": hidden[:, :, whose > 0].mean(2)}
        expected |= {picture_position(k): hidden[:, :, whose == k].mean(2) for k in (1, 2)}
        states = model.run(ours, POSITIONS)
        own = {position: torch.cat([read[:, :-2], read[:, -1:]], dim=1) for position, read in states.items()}
        differences.append(furthest(own, expected))
    return greatest(*differences)


def starts(model: GenericModel) -> list[str]:
    """The starts of texts that a family takes. Some cannot tell pictures apart that have nothing between them."""
    adjacent = or_refusal(lambda: model.prepare([pair()], [ADJACENT + PROMPTS[0]]))
    return [start for start in STARTS if start != ADJACENT or not isinstance(adjacent, Refusal)]


def own_inputs(model: GenericModel, text: str, images: Pair) -> Mapping[str, Tensor]:
    """What a family's own processor makes of a text and its pictures."""
    begun = model.family.writes_begin or text.startswith(model.processor.tokenizer.bos_token or "\0")
    if model.model_type == "idefics":
        first, *others = text.split(model.image_token)
        rows = [[first, *chain.from_iterable(zip(images, others, strict=True))]]
        return model.processor(text=rows, return_tensors="pt", add_special_tokens=not begun)
    shown = list(images) if model.family.flat_images else [list(images)]
    return model.processor(text=[text], images=shown, return_tensors="pt", add_special_tokens=not begun)


def check_whose(model: GenericModel) -> None:
    """Another picture in a place changes what enters the decoder at its own tokens and nowhere else.

    Also of three pictures, two of them with nothing between them.
    """
    cases = [(pair(), pair(1), f"{start}{PROMPTS[0]}") for start in starts(model)]
    cases.append(((*pair(), pair()[0]), (*pair(1), pair(1)[0]), THREE[ADJACENT not in starts(model)]))
    for shown, others, prompt in cases:
        prepared = model.prepare([shown], [prompt])
        whose, before = model.picture_tokens(prepared)[0], _embeddings(model, prepared)
        assert sorted(set(whose.tolist()) - {0}) == list(range(1, len(shown) + 1))
        assert torch.equal(whose > 0, model.image_tokens(prepared)[0])
        for k in range(len(shown)):
            instead = model.prepare([(*shown[:k], others[k], *shown[k + 1 :])], [prompt])
            changed = (_embeddings(model, instead) != before).any(-1)
            if model.family.image_out_of_reach == ACROSS:
                # What enters the decoder is the same for all pictures, or has read them before the first block.
                continue
            assert changed.any()
            assert not (changed & (whose != k + 1)).any(), "a token changes that is not this picture's"


def _embeddings(model: GenericModel, prepared: Mapping[str, Tensor]) -> Tensor:
    """What enters the first block, shape (tokens, width). The pass ends there."""

    class Read(Exception):
        pass

    def read(_block: nn.Module, args: tuple, kwargs: dict) -> None:
        raise Read(hidden_in(args, kwargs)[0].clone())

    handle = model.blocks[0].register_forward_pre_hook(read, with_kwargs=True)
    try:
        model.run(prepared, ["last"])
    except Read as found:
        return found.args[0]
    finally:
        handle.remove()
    raise ValueError("the first block did not run")


def _batch(model: GenericModel) -> float:
    """Unlike inputs, padded on either side."""
    prompts = [start + prompt for start, prompt in zip(starts(model), PROMPTS, strict=False)]
    first, second = pair()
    images = [(first, second), (second, first), (second, pair(1)[0]), (first, pair(2)[0])][: len(prompts)]
    alone, tokenizer = one_at_a_time(model, images, prompts, POSITIONS), model.processor.tokenizer
    side_before, differences = tokenizer.padding_side, []
    for side in ("right", "left"):
        tokenizer.padding_side = side
        differences.append(furthest(model.states(images, prompts, POSITIONS), alone))
    tokenizer.padding_side = side_before
    return greatest(*differences)


def _shared(model: GenericModel) -> float:
    differences = []
    for start in STARTS[:3]:
        prompts = [start + prompt for prompt in PROMPTS[:3]]
        alone = one_at_a_time(model, [pair()] * len(prompts), prompts, POSITIONS)
        differences.append(furthest(model.states_shared(pair(), prompts, POSITIONS), alone))
    if model.joins_images:
        prompts = [STARTS[1] + prompt for prompt in PROMPTS[:2]]
        with all_at_once(model) as rows:
            groups = [model.prepare_shared(pair(seed), prompts) for seed in (0, 1)]
            together = model.run_several(groups, POSITIONS)
        assert rows == [2, 2]
        for seed, states in enumerate(together):
            alone = one_at_a_time(model, [pair(seed)] * len(prompts), prompts, POSITIONS)
            differences.append(furthest(states, alone))
    return greatest(*differences)


def _one_picture(model: GenericModel, kind: str, how: dict) -> OnePicture:
    exact, leak, left = [], [], []
    prompts, positions = [STARTS[1] + prompt for prompt in PROMPTS[:2]], ["last", "image-mean"]
    for k in (1, 2):
        with given(model, {kind: how | {"image": k}}):
            alone = one_at_a_time(model, [pair()] * 2, prompts, positions)
            exact.append(furthest(model.states([pair()] * 2, prompts, positions), alone))
            if model.shares_prefix:
                exact.append(furthest(model.states_shared(pair(), prompts, positions), alone))
            for start in STARTS[:2]:
                by_picture = _changes(model, start)[0]
                leak.append(by_picture[k - 1])
                left.append(by_picture[2 - k])
    return OnePicture(greatest(*exact), greatest(*leak), min(left))


def _changes(model: GenericModel, start: str) -> tuple[list[float], float]:
    """How far the last token's states, and the least topmost one, differ when the first or the second is another."""
    prompt = start + PROMPTS[0]
    states = model.states([pair()], [prompt], ["last"])["last"]
    first, second = pair()
    others = [(pair(1)[0], second), (first, pair(1)[1])]
    found = [model.states([other], [prompt], ["last"])["last"] for other in others]
    return [relative(one, states) for one in found], min(relative(one[:, -1], states[:, -1]) for one in found)
