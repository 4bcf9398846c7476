"""The fast sweep, against whole forward passes with hooks."""

from functools import partial

import pytest
import torch

from layerwise.errors import InputError
from layerwise.flow.free import check_served, free_runs
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.head import next_token_probabilities
from layerwise.models.memory import Room
from layerwise.used.changes import Changes
from layerwise.used.checks import SWEEP
from layerwise.used.naive import changed_at_last, hooked
from layerwise.used.sweep import swept
from tests import families
from tests.families import FAMILIES
from tests.families.comparing import PROMPTS, Refusal, or_refusal, pictures, relative
from tests.families.gemma4 import gemma4
from tests.families.text_models import LANGUAGE_MODELS

# Families whose images enter in unlike ways, with windows (Gemma 3) and shared keys and values (Gemma 4).
QUICK = (
    *(families.llava, families.llava_next, families.qwen2_vl, families.qwen3_vl, families.internvl, families.gemma3),
    gemma4,
)
every_family = pytest.mark.parametrize(
    "family",
    [pytest.param(f, id=f.name, marks=[] if f.build in QUICK else pytest.mark.whole) for f in FAMILIES],
)


def some_changes(model, seed=0, draws=2):
    """Behind every block: erasers of ranks 1 and 2, and steps; all of them move the state a good way."""
    draw = torch.Generator().manual_seed(seed)
    blocks = torch.arange(1, model.n_layers + 1).repeat(draws)
    runs = len(blocks)

    def normal(*shape):
        return torch.randn(*shape, model.width, generator=draw)

    changes, none = [], torch.zeros(runs, model.width)
    for rank in (1, 2):
        frames = torch.linalg.qr(normal(runs, rank).mT)[0].mT
        changes.append(Changes(blocks, frames, frames, 0.1 * normal(runs), none, torch.full((runs,), rank == 1)))
    nothing = torch.zeros(runs, 0, model.width)
    return [*changes, Changes(blocks, nothing, nothing, none, normal(runs), torch.zeros(runs, dtype=torch.bool))]


def single(block, rank, model):
    """A change behind one block that adds nothing."""
    nothing, zeros = torch.zeros(1, rank, model.width), torch.zeros(1, model.width)
    return Changes(torch.tensor([block]), nothing, nothing, zeros + 0.5, zeros, torch.tensor([False]))


def prepared(model, prompt=PROMPTS[0], image=0):
    return model.prepare([pictures()[image]], [prompt])


def free(model, inputs, **options):
    (run,) = free_runs(model, [inputs], [inputs["input_ids"].shape[1] - 1], **options)
    return run


def of_hooks(model, inputs, changes):
    """By whole passes: logits after each change, and the states behind all blocks."""
    singles = [group.one(i) for group in changes for i in range(len(group))]
    logits, states = zip(*(hooked(model, inputs, single) for single in singles), strict=True)
    return torch.stack(logits), torch.stack(states)


def check_exact(model, inputs, changes, run, read=lambda _block, states: states, room=None):
    """Log probabilities, and all states from the changed block up, are those of whole passes."""
    fast = swept(run, changes, read, room)
    logits, states = of_hooks(model, inputs, changes)
    with torch.inference_mode():
        mine = next_token_probabilities(model, model.final_norm(fast.top)).log()
    expected = logits.log_softmax(-1)
    # Of tokens that might be said; of others even a whole pass has no more digits.
    likely = expected > expected.amax(-1, keepdim=True) - 10
    assert float(((mine - expected).abs() / expected.abs().clamp_min(1))[likely].max()) < 1e-6
    assert relative(fast.top, states[:, -1]) < 2e-6
    read_of = [(int(b), bool(r)) for group in changes for b, r in zip(group.blocks, group.reads, strict=True)]
    places = [place for place, (_, reads) in enumerate(read_of) if reads]
    assert len(fast.above) == len(places)
    for above, place in zip(fast.above, places, strict=True):
        below = read_of[place][0] - 1
        assert above[:below].isnan().all()
        assert relative(above[below:], states[place, below:]) < 2e-6
    # Or equality would say nothing. A random eraser may by chance find next to nothing to erase.
    plain, _ = hooked(model, inputs, None)
    effects = ((expected - plain.log_softmax(-1)).abs() * likely).amax(-1)
    assert float(effects.min()) > 0
    assert float(effects.median()) > 1e-3
    assert (fast.moved > 0).all()
    return fast


@every_family
def test_the_sweep_is_as_hooked_passes(family):
    """In all families but those that are refused."""
    model = family.frozen()
    if isinstance(or_refusal(partial(check_served, model, SWEEP)), Refusal):
        return
    inputs = prepared(model)
    check_exact(model, inputs, some_changes(model), free(model, inputs))


@pytest.mark.parametrize(
    "language_model",
    [pytest.param(f, id=f.name, marks=[] if i in (0, 3) else pytest.mark.whole) for i, f in enumerate(LANGUAGE_MODELS)],
)
def test_texts_without_an_image(language_model):
    """Qwen2 here has a window, which hides most of the text."""
    model = language_model.served()
    if isinstance(or_refusal(partial(check_served, model, SWEEP, with_image=False)), Refusal):
        return
    inputs = model.prepare([None], [PROMPTS[1]])
    check_exact(model, inputs, some_changes(model), free(model, inputs, with_image=False))


def test_texts_without_an_image_need_not_begin_alike():
    """As those of a tokenizer without a begin token."""
    model = families.frozen(families.llava)
    texts = [model.prepare([None], [prompt]) for prompt in PROMPTS[:2]]
    first = next(
        place
        for place, (one, other) in enumerate(zip(*(text["input_ids"][0] for text in texts), strict=False))
        if one != other
    )
    inputs = [type(text)({key: value[:, first:] for key, value in text.items()}) for text in texts]
    lasts = [text["input_ids"].shape[1] - 1 for text in inputs]
    runs = free_runs(model, inputs, lasts, with_image=False)
    for text, run in zip(inputs, runs, strict=True):
        check_exact(model, text, some_changes(model), run)


def test_a_multimodal_model_reads_a_text_without_an_image():
    model = families.frozen(families.llava)
    inputs = model.prepare([None], [PROMPTS[1]])
    check_exact(model, inputs, some_changes(model), free(model, inputs, with_image=False))


@pytest.mark.parametrize("family", [families.llava_mixed_windows, gemma4], ids=lambda f: f.__name__)
def test_neither_rows_nor_order_change_anything(family):
    """Also where a row begins at a block that takes the keys and values of an earlier one (Gemma 4's last)."""
    model = families.frozen(family)
    inputs, changes = prepared(model), some_changes(model)
    run, whole = free(model, inputs), swept(free(model, inputs), changes)
    for rows in (1, 5):
        fast = check_exact(model, inputs, changes, run, room=Room(rows, "runs"))
        torch.testing.assert_close(fast.top, whole.top, rtol=1e-5, atol=1e-5)
    turned = changes[::-1]
    check_exact(model, inputs, turned, run, room=Room(4, "runs"))
    top = swept(run, turned).top
    start = len(top) - len(changes[0])
    torch.testing.assert_close(top[start:], whole.top[: len(changes[0])], rtol=1e-5, atol=1e-5)


def test_rows_that_memory_does_not_hold_are_halved(monkeypatch):
    model = families.frozen(families.llava)
    inputs, changes, tried = prepared(model), some_changes(model), []
    block = model.blocks[-1]

    def lacking(_block, args):
        tried.append(args[0].shape[1])
        if args[0].shape[1] > 4:
            raise torch.OutOfMemoryError("no room")

    run, room = free(model, inputs), Room(1000, "runs")
    handle = block.register_forward_pre_hook(lacking)
    fast = swept(run, changes, room=room)
    handle.remove()
    assert room.size <= 6
    assert max(tried) > 4
    torch.testing.assert_close(fast.top, swept(run, changes).top, rtol=1e-5, atol=1e-5)


def test_texts_about_one_image_share_its_run(monkeypatch):
    model = families.frozen(families.qwen2_vl)
    changes, passes = some_changes(model), []
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(1) or GenericModel.forward(model, **inputs))
    texts = [prepared(model, prompt, image=1) for prompt in (*PROMPTS, PROMPTS[0])]
    runs = free_runs(model, texts, [inputs["input_ids"].shape[1] - 1 for inputs in texts])
    for run, inputs in zip(runs, texts, strict=True):
        check_exact(model, inputs, changes, run)
        # A run can be swept again.
        check_exact(model, inputs, some_changes(model, seed=1), run)
    assert len(passes) == 1


def test_only_the_last_token_is_run_again_above_the_changed_block():
    model = families.frozen(families.llava)
    run, tokens = free(model, prepared(model)), [[] for _ in model.blocks]
    for block, seen in zip(model.blocks, tokens, strict=True):
        block.register_forward_pre_hook(lambda _module, args, seen=seen: seen.append(args[0].shape[1]))
    changes = some_changes(model)
    swept(run, changes)
    # Six changes behind each block; behind the last one there is nothing to run.
    assert tokens == [[], [6], [12]]
    swept(run, [single(model.n_layers, 1, model)])
    assert tokens == [[], [6], [12]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", [families.llava, families.gemma3], ids=lambda f: f.__name__)
def test_a_change_that_adds_nothing_changes_no_bit(family, dtype):
    model = families.frozen(family)
    model.model.to(dtype)
    model.dtype = dtype
    inputs = prepared(model)
    logits, states = hooked(model, inputs, None)
    for rank in (0, 1):
        for block in range(1, model.n_layers + 1):
            same = single(block, rank, model)
            found, found_states = hooked(model, inputs, same)
            assert torch.equal(found, logits)
            assert torch.equal(found_states, states)
            assert torch.equal(same.states(states[block - 1 : block]), states[block - 1 : block])
            # What the measurement reports of a change that moves nothing, so that it can be refused.
            assert float(swept(free(model, inputs), [same]).moved) == 0


def test_half_precision_is_no_further_from_the_truth_than_whole_passes():
    model = families.frozen(families.llava)
    inputs, changes = prepared(model), some_changes(model)
    truth = of_hooks(model, inputs, changes)[1][:, -1]
    model.model.to(torch.bfloat16)
    model.dtype = torch.bfloat16
    naive = of_hooks(model, inputs, changes)[1][:, -1]
    fast = swept(free(model, inputs), changes).top
    assert relative(fast, truth) < 2 * relative(naive, truth)
    assert relative(fast, truth) < 0.05


def test_a_hook_that_never_ran_is_an_error():
    model = families.frozen(families.llava)
    change = some_changes(model)[0].one(0)
    with pytest.raises(InputError, match="block 1 was run 0 times"), changed_at_last(model.blocks, change):
        pass
    inputs = prepared(model)
    with (
        pytest.raises(InputError, match="block 1 was run 2 times"),
        torch.inference_mode(),
        changed_at_last(model.blocks, change),
    ):
        for _ in range(2):
            model.forward(**inputs, use_cache=False)
    assert not model.blocks[0]._forward_hooks


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("PaliGemma", "not causal from image to text"),
        ("Llama 3.2 Vision (mllama)", "by cross-attention, which changed runs leave out"),
        ("Kosmos-2", "adapter of its own, and changed runs are made for the generic one"),
        ("Qwen3.5", "of the kind linear_attention, which keeps no keys and values"),
    ],
)
def test_families_that_are_refused(name, why):
    model = next(family for family in FAMILIES if family.name == name).frozen()
    with pytest.raises(InputError, match=f"whether a concept is used cannot .*{why}.*leave it out of `used.models`"):
        check_served(model, SWEEP)


def test_a_model_with_an_intervention_is_refused():
    model = GenericModel(*families.llava(), "auto", intervention={"bypass": {"from": 1, "scale": 1.0}})
    with pytest.raises(InputError, match="changes the runs that changed runs are compared with; ask the model without"):
        check_served(model, SWEEP)


def test_only_a_models_own_blocks_are_changed():
    model = families.frozen(families.llava)
    run = free(model, prepared(model))
    for block in (0, model.n_layers + 1):
        with pytest.raises(ValueError, match=f"there is no block {block}"):
            swept(run, [single(block, 1, model)])
