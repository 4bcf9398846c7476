"""Attention that is cut: seen in the attention's own weights, and in what eager and sdpa give."""

import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.attention_mask import attention_cut, without_pairs
from tests import families
from tests.families.measure import PROMPTS, pictures

BLOCKS = (0, 1)
CUT = 1

# Kosmos-2's blocks take their mask by its place, all others by its name.
each_family = pytest.mark.parametrize(
    "family",
    [families.llava, families.llava_next, families.qwen2_vl, families.internvl, families.kosmos2],
    ids=lambda f: f.__name__,
)


def made(family, attention="sdpa"):
    """A tiny model, a padded batch for it, and where the batch's image and last tokens are."""
    model = families.frozen(family)
    model.model.set_attn_implementation(attention)
    inputs = model.prepare(pictures(), PROMPTS[:2])
    last = torch.zeros_like(inputs["attention_mask"], dtype=torch.bool)
    last[torch.arange(2), inputs["attention_mask"].shape[1] - 1 - inputs["attention_mask"].flip(1).argmax(1)] = True
    return model, inputs, model.image_tokens(inputs), last


def states(model, inputs):
    return model.run(inputs, ["last", "image-mean"])


@each_family
def test_weights_of_cut_pairs_are_zero_in_the_cut_block_alone(family):
    model, inputs, image, last = made(family, "eager")
    weights = []
    hooks = [
        block.self_attn.register_forward_hook(lambda _module, _args, output: weights.append(output[1]))
        for block in model.blocks
    ]
    with attention_cut([model.blocks[CUT]], last, image):
        states(model, inputs)
    for hook in hooks:
        hook.remove()
    pairs = last[:, None, :, None] & image[:, None, None, :]
    for block, seen in enumerate(weights):
        cut = seen[pairs.expand_as(seen)]
        assert (cut == 0).all() if block == CUT else (cut > 0).all()
        torch.testing.assert_close(seen[last[:, None].expand(seen.shape[:3])].sum(-1), torch.ones(2 * seen.shape[1]))


@each_family
def test_sdpa_is_as_eager(family):
    """One with a mask of numbers, one with a mask of truths, or none at all where nothing is padded."""
    by_attention = []
    for attention in ("eager", "sdpa"):
        model, inputs, image, last = made(family, attention)
        alone = model.prepare(pictures()[:1], PROMPTS[:1])
        with attention_cut([model.blocks[CUT]], last, image):
            padded = states(model, inputs)["last"]
        with attention_cut([model.blocks[CUT]], *one_image(model, alone)):
            by_attention.append((padded, states(model, alone)["last"]))
        free = states(model, inputs)["last"]
        # Unchanged up to the cut block, and changed behind it.
        torch.testing.assert_close(padded[:, : CUT + 1], free[:, : CUT + 1], rtol=1e-5, atol=1e-6)
        assert (padded[:, CUT + 1] - free[:, CUT + 1]).abs().max() > 1e-3
    for eager, sdpa in zip(*by_attention, strict=True):
        torch.testing.assert_close(eager, sdpa, rtol=1e-5, atol=1e-5)
    padded, alone = by_attention[0]
    torch.testing.assert_close(padded[:1], alone, rtol=1e-5, atol=1e-5)


def one_image(model, inputs):
    """The last token of an input that is not padded, and its image."""
    last = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    last[:, -1] = True
    return last, model.image_tokens(inputs)


@each_family
def test_without_a_pair_nothing_changes(family):
    model, inputs, image, last = made(family)
    free = states(model, inputs)
    with attention_cut(model.blocks, last, torch.zeros_like(image)):
        same = states(model, inputs)
    assert all(torch.equal(free[position], same[position]) for position in free)
    assert not any(block._forward_pre_hooks for block in model.blocks)


def test_a_token_that_would_see_nothing_is_refused():
    model, inputs, _, last = made(families.llava)
    with (
        pytest.raises(ValueError, match="see nothing at all"),
        attention_cut([model.blocks[CUT]], last, torch.ones_like(last)),
    ):
        states(model, inputs)
    assert not any(block._forward_pre_hooks for block in model.blocks)


def test_padding_that_sees_nothing_anyway_is_let_pass():
    """Behind a text, further away than a window reaches."""
    saw = torch.ones(5, 5, dtype=torch.bool).tril().triu(-1)
    # Two tokens of padding; the window has two tokens.
    saw[:, 3:] = False
    pairs = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    pairs[..., 1:, 0] = True
    mask = without_pairs(saw[None, None], pairs, torch.float32)[0, 0]
    assert mask.sum(1).tolist() == [1, 1, 2, 1, 0]


def test_blocks_that_take_no_mask_of_ours_are_refused():
    block = torch.nn.Linear(4, 4)
    last = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(InputError, match="cannot be cut in a Linear"), attention_cut([block], last, last):
        block(torch.zeros(1, 2, 4))


def test_tokens_behind_a_cache():
    pairs = torch.zeros(1, 1, 2, 5, dtype=torch.bool)
    pairs[..., 1, 0] = True
    mask = without_pairs(None, pairs, torch.float32)[0, 0]
    assert (mask == 0).tolist() == [[True, True, True, True, False], [False, True, True, True, True]]
