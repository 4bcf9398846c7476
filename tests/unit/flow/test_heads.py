"""Attention blocked in single heads and groups of them: in the attention's own weights, and fast against the loop."""

import pytest
import torch

from layerwise.errors import InputError
from layerwise.flow import free
from layerwise.flow.flows import FLOWS
from layerwise.flow.free import free_runs
from layerwise.flow.heads import group_of, heads_of, single_heads
from layerwise.flow.knockout import blocked_runs, first_target, knockout, naive_knockout
from layerwise.models.attention_mask import attention_cut
from layerwise.models.memory import Room
from tests import families
from tests.families import FAMILIES
from tests.unit.flow.test_knockout import ANSWER, BY_NAME, asked, off

# To a single position and to many.
SOME = [BY_NAME["image->last"], BY_NAME["image->question"]]
GROUPS = [{0: (0, 2), 2: (1,)}, {1: (0, 1, 2, 3)}, {0: (3,), 1: (3,), 2: (3,)}]
UNEVEN = next(family.build for family in FAMILIES if family.name == "Step 3.7")
LATENT = next(family.build for family in FAMILIES if family.name == "Kimi K2.5")

# The others with sliding windows and norms of queries; with keys of few numbers; with unlike numbers of heads.
some_families = pytest.mark.parametrize(
    "family",
    [families.llava, families.gemma3, LATENT, UNEVEN],
    ids=lambda f: f.__name__,
)


@some_families
def test_each_head_and_groups_of_them_are_as_whole_passes(family):
    model = families.frozen(family)
    prepared, sets = asked(model)
    # All of them in one family.
    heads = single_heads(heads_of(model))[:: 1 if family is families.llava else 3]
    arguments = (model, prepared, sets, SOME, [*heads, *GROUPS], ANSWER)
    fast, naive = knockout(*arguments), naive_knockout(*arguments)
    assert fast.blocked.shape == (2, len(heads) + len(GROUPS))
    assert float((fast.blocked - naive.blocked).abs().max()) < 1e-6
    assert off(fast, naive) < 1e-5
    # Or equality would say nothing. In layers that see a window the image may be out of reach.
    changes = (naive.blocked / naive.free - 1).abs().amax(0)
    assert (changes > 1e-4).float().mean() > 0.5


def test_the_weights_of_cut_heads_alone_are_zero():
    model = families.frozen(families.llava)
    model.model.set_attn_implementation("eager")
    prepared, sets = asked(model)
    weights = []
    hooks = [
        block.self_attn.register_forward_hook(lambda _module, _args, output: weights.append(output[1]))
        for block in model.blocks
    ]
    cut = torch.tensor([False, True, False, True])
    with torch.inference_mode(), attention_cut([model.blocks[1]], sets.mask("last"), sets.mask("image"), [cut]):
        model.model(**prepared, use_cache=False)
    for hook in hooks:
        hook.remove()
    for block, seen in enumerate(weights):
        of_image = seen[0, :, -1, sets["image"]]
        assert of_image.shape[0] == 4
        assert ((of_image == 0).all(1) == (cut if block == 1 else torch.zeros(4, dtype=torch.bool))).all()
        torch.testing.assert_close(seen.sum(-1), torch.ones(seen.shape[:3]))


def test_all_heads_of_a_window_are_the_window():
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    every = {block: range(4) for block in (1, 2)}
    for run in (knockout, naive_knockout):
        found = run(model, prepared, sets, SOME, [every, range(1, 3)], ANSWER).blocked
        torch.testing.assert_close(found[:, 0], found[:, 1], rtol=1e-5, atol=0)


def test_sdpa_is_as_eager():
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    found = []
    for attention in ("eager", "sdpa"):
        model.model.set_attn_implementation(attention)
        found.append(knockout(model, prepared, sets, SOME, [*single_heads(heads_of(model)), *GROUPS], ANSWER))
    assert off(*found) < 1e-5


def test_rows_of_any_length_give_the_same(monkeypatch):
    """With windows beside heads in one row."""
    model = families.frozen(families.llava_mixed_windows)
    prepared, sets = asked(model)
    where = [*single_heads(heads_of(model)), range(0, 2), *GROUPS, range(1, 2), range(2, 3)]
    arguments = (model, prepared, sets, [*SOME, BY_NAME["last->last"]], where, ANSWER)
    expected = naive_knockout(*arguments)
    for tokens in (1, 70, 10**4):
        monkeypatch.setitem(free.TOKENS_PER_ROW, "cpu", tokens)
        assert off(knockout(*arguments), expected) < 1e-5


def test_only_what_blocking_changes_is_run_again():
    """A token for each head, in its block and those above; masks have heads in blocks where some are cut."""
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    (run,) = free_runs(model, [prepared], [first_target(sets, FLOWS)])
    seen = [[] for _ in model.blocks]

    def note(place):
        def before(_module, args, kwargs):
            seen[place].append((args[0].shape[1], kwargs["attention_mask"].shape[1]))

        return before

    for place, block in enumerate(model.blocks):
        block.register_forward_pre_hook(note(place), with_kwargs=True)
    blocked_runs(run, sets, [BY_NAME["image->last"]], [{1: (0,)}, {1: (2,)}, {2: (0,)}, range(0, 1)], ANSWER)
    assert seen == [[(1, 1)], [(3, 4)], [(4, 4)]]


def test_rows_of_heads_have_a_room_of_their_own(monkeypatch):
    """Their masks are larger, and where memory does not hold them, rows of windows stay as long."""
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    where = single_heads(heads_of(model))
    (run,) = free_runs(model, [prepared], [first_target(sets, FLOWS)])
    expected = blocked_runs(run, sets, SOME[:1], where, ANSWER)
    own, lengths = model.blocks[0].forward, []

    def small(hidden, *args, **kwargs):
        lengths.append(hidden.shape[1])
        if hidden.shape[1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return own(hidden, *args, **kwargs)

    monkeypatch.setattr(model.blocks[0], "forward", small)
    row = Room(16, "tokens")
    assert off(blocked_runs(run, sets, SOME[:1], where, ANSWER, row=row), expected) < 1e-6
    assert max(lengths) > 3
    assert (row.size, run.row.size) == (3, free.TOKENS_PER_ROW["cpu"])


def test_groups_are_counted_from_one_and_must_be_there():
    assert group_of([[2, 1], [1, 4], [2, 3]], [4, 3], "flow.heads.groups.some") == {0: (3,), 1: (0, 2)}
    with pytest.raises(InputError, match=r"flow.heads.groups.some: there is no block 3; the model has blocks 1 to 2"):
        group_of([[3, 1]], [4, 3], "flow.heads.groups.some")
    with pytest.raises(InputError, match="block 2 has no head 4; it has heads 1 to 3"):
        group_of([[2, 4]], [4, 3], "flow.heads.groups.some")
