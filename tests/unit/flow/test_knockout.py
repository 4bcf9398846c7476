"""Attention knockout: against masks written by hand, between kinds of attention, and the fast path against the loop."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import ImageOps
from transformers import BatchFeature

from layerwise.errors import InputError
from layerwise.flow import checks, free
from layerwise.flow import knockout as module
from layerwise.flow.checks import TOLERANCE, check_knockout
from layerwise.flow.flows import FLOWS, Flow, windows
from layerwise.flow.free import check_served, free_runs
from layerwise.flow.knockout import blocked_runs, first_target, knockout, naive_knockout
from layerwise.flow.positions import position_sets
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.head import next_token_probabilities
from tests import families
from tests.families import FAMILIES, cohere, granite, of_each_way
from tests.families.comparing import Refusal, or_refusal
from tests.families.gemma4 import gemma4
from tests.families.measure import measure, pictures

PROMPTS = ["A much longer prompt, about a red circle left of a blue square.", "Is there a red circle left of it?"]
QUESTION = "red circle left"
ANSWER = 17
BY_NAME = {flow.name: flow for flow in FLOWS}

four_families = pytest.mark.parametrize(
    "family", [families.llava, families.llava_next, families.qwen2_vl, families.internvl], ids=lambda f: f.__name__
)
# And why.
REFUSED = {
    "PaliGemma": "not causal",
    "InstructBLIP": "not causal",
    "InstructBLIP on OPT": "not causal",
    "Llama 3.2 Vision (mllama)": "by cross-attention",
    "Kosmos-2": "adapter of its own",
    "Qwen3.5": "of the kind linear_attention, which has no scores",
    "Qwen3.5 with experts": "of the kind linear_attention",
    "MiniCPM-OCR": "of the kind linear_attention",
    "LFM2-VL": "of the kind conv, which has no scores",
    "LFM3-VL": "of the kind conv",
    "Nemotron 3 Omni": "of the kind linear_attention",
    "Inkling": "does not block the image: its convolutions",
    "Inkling 2": "does not block the image: its convolutions",
    "Molmo 2": "does not block the image: tokens before the image",
    "Dots 3 Note": "of the kind indexed_attention",
    "Mistral Large 4": "of the kind indexed_attention",
    "MiniCPM-V 4.6": "of the kind linear_attention",
    "MiniCPM-V 4.7": "of the kind linear_attention",
}


def asked(model, prompt=PROMPTS[0], image=0, shown=(1, 2), takes="text"):
    """A question's inputs and sets."""
    prepared = model.prepare([pictures()[image]], [prompt])
    return prepared, position_sets(model, prepared, prompt, QUESTION, {1: shown}, takes)


def by_hand(model, prepared, sets, flow, window):
    """The answer's probability with a mask written out in full and given to the window's blocks."""
    n = sets.n_tokens
    least = torch.finfo(torch.float32).min
    mask = torch.full((n, n), least).triu(1)
    for target in sets[flow.target].tolist():
        for source in sets[flow.source].tolist():
            mask[target, source] = least

    def give(_block, args, kwargs):
        return args, kwargs | {"attention_mask": mask[None, None]}

    hooks = [model.blocks[i].register_forward_pre_hook(give, with_kwargs=True) for i in window]
    with torch.inference_mode():
        logits = model.model(**prepared, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return float(logits[0, -1].softmax(-1)[ANSWER])


def off(ours, theirs):
    """The greatest difference of probabilities, as a share of the probability."""
    return float(((ours.blocked - theirs.blocked) / theirs.blocked).abs().max())


@four_families
def test_an_empty_source_changes_nothing(family):
    model = families.frozen(family)
    prepared, sets = asked(model, shown=())
    flow = [BY_NAME["object->question"]]
    spans = windows(model.n_layers, 2)
    with torch.inference_mode():
        whole = float(model.model(**prepared, use_cache=False).logits[0, -1].softmax(-1)[ANSWER])
    naive = naive_knockout(model, prepared, sets, flow, spans, ANSWER)
    # To the last bit.
    assert naive.free == whole
    assert (naive.blocked == whole).all()
    fast = knockout(model, prepared, sets, flow, spans, ANSWER)
    assert (fast.blocked == fast.free).all()


@four_families
def test_blocking_is_as_a_mask_written_by_hand(family):
    model = families.frozen(family)
    prepared, sets = asked(model)
    spans = windows(model.n_layers, 2)
    naive = naive_knockout(model, prepared, sets, FLOWS, spans, ANSWER)
    for i, flow in enumerate(FLOWS):
        for j, window in enumerate(spans):
            expected = by_hand(model, prepared, sets, flow, window)
            assert float(naive.blocked[i, j]) == pytest.approx(expected, rel=1e-5)
            # Or equality would say nothing.
            assert abs(expected / naive.free - 1) > 1e-4, (flow, window)


@four_families
def test_blocking_all_to_the_last_leaves_it_itself(family):
    """In all blocks, what is last sees but itself and is a text of one token, whose answer depends on no image."""
    model = families.frozen(family)
    found = []
    for image in (0, 1):
        prepared, sets = asked(model, image=image)
        before = torch.arange(sets.n_tokens - 1)
        everything = module.PositionSets(sets.n_tokens, {"image": before, "last": sets["last"]})
        flow = Flow("image", "last")
        whole = [range(model.n_layers)]
        naive = naive_knockout(model, prepared, everything, [flow], whole, ANSWER)
        assert float(naive.blocked) == pytest.approx(by_hand(model, prepared, everything, flow, whole[0]), rel=1e-5)
        fast = knockout(model, prepared, everything, [flow], whole, ANSWER)
        assert float(fast.blocked) == pytest.approx(float(naive.blocked), rel=1e-5)
        found.append(fast)
    first, second = found
    assert abs(first.free / second.free - 1) > 1e-3
    # Attention to itself alone does not depend on the position either.
    assert float(first.blocked) == pytest.approx(float(second.blocked), rel=1e-5)


TILED = next(family for family in FAMILIES if family.name == "Idefics3")


@pytest.mark.parametrize("family", [families.llava_next, TILED.build], ids=lambda f: f.__name__)
def test_nothing_passes_on_what_blocked_tokens_cannot_see(family):
    """With the image blocked from all behind it in all blocks, the answer is the same whatever the picture shows."""
    model = families.frozen(family)
    picture, found = pictures()[0], []
    for image in (picture, ImageOps.invert(picture)):
        prepared = model.prepare([image], [PROMPTS[0]])
        sets = position_sets(model, prepared, PROMPTS[0], QUESTION)
        behind = torch.arange(int(sets["image"][-1]) + 1, sets.n_tokens)
        sets = replace(sets, positions={"image": sets["image"], "question": behind})
        arguments = (model, prepared, sets, [BY_NAME["image->question"]], [range(model.n_layers)], ANSWER)
        found.append((knockout(*arguments), naive_knockout(*arguments)))
    (first, first_naive), (second, second_naive) = found
    assert abs(first.free / second.free - 1) > 1e-3
    assert float(first.blocked) == pytest.approx(float(second.blocked), rel=1e-5)
    assert float(first_naive.blocked) == pytest.approx(float(second_naive.blocked), rel=1e-5)


@four_families
def test_sdpa_is_as_eager(family):
    found = []
    for attention in ("eager", "sdpa"):
        model = families.frozen(family)
        model.model.set_attn_implementation(attention)
        prepared, sets = asked(model)
        for run in (naive_knockout, knockout):
            found.append(run(model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER))
    assert max(off(one, found[0]) for one in found[1:]) < 1e-5


@pytest.mark.parametrize("family", of_each_way(FAMILIES))
def test_the_fast_path_is_as_the_loop(family):
    """In all families but those that are refused; some have layers that see a window."""
    model = family.frozen()
    if isinstance(why := or_refusal(partial(check_served, model)), Refusal):
        assert measure(family).knockout == why
        return
    prepared, sets = asked(model, takes="words")
    arguments = (model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    fast, naive = knockout(*arguments), naive_knockout(*arguments)
    assert fast.blocked.shape == (len(FLOWS), model.n_layers)
    assert fast.blocked.dtype == torch.float32
    assert fast.free == pytest.approx(naive.free, rel=1e-5)
    assert float((fast.blocked - naive.blocked).abs().max()) < 1e-6
    assert off(fast, naive) < 1e-5
    check_knockout(*arguments)


def test_blocks_that_take_an_earlier_ones_keys_and_values_go_on():
    """Gemma 4's last block here takes those of the one before it, in which some of the runs are not in the row yet."""
    model = families.frozen(gemma4)
    assert model.decoder.config.kv_sharing_modes == ["store", "store", "reuse"]
    prepared, sets = asked(model)
    for spans in ([range(2, 3)], [range(1, 2), range(2, 3)], windows(model.n_layers, 2)):
        arguments = (model, prepared, sets, FLOWS, spans, ANSWER)
        fast, naive = knockout(*arguments), naive_knockout(*arguments)
        torch.testing.assert_close(fast.blocked, naive.blocked, rtol=1e-5, atol=1e-9)
        assert (naive.blocked / naive.free - 1).abs().max() > 1e-2


def test_a_family_that_counts_positions_only_past_its_image():
    """The run of the image has a token more than is kept of it."""
    model = families.frozen(families.omni.qwen2_5_omni)
    prepared, sets = asked(model)
    assert first_target(sets, FLOWS) == int(model.image_tokens(prepared)[0].nonzero()[-1]) + 1
    arguments = (model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    assert off(knockout(*arguments), naive_knockout(*arguments)) < 1e-5


@four_families
def test_questions_about_one_image_share_its_run(family, monkeypatch):
    model = families.frozen(family)
    spans = windows(model.n_layers, 3)
    asked_of = [asked(model, prompt, image=1, takes="words") for prompt in (*PROMPTS, PROMPTS[0])]
    passes = []
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(1) or GenericModel.forward(model, **inputs))
    starts = [first_target(sets, FLOWS) for _, sets in asked_of]
    runs = free_runs(model, [prepared for prepared, _ in asked_of], starts)
    for run, (prepared, sets) in zip(runs, asked_of, strict=True):
        expected = naive_knockout(model, prepared, sets, FLOWS, spans, ANSWER)
        assert off(blocked_runs(run, sets, FLOWS, spans, ANSWER), expected) < 1e-5
        # A run can be blocked again, one flow after the other.
        for i in (2, 0):
            again = blocked_runs(run, sets, [FLOWS[i]], spans, ANSWER)
            torch.testing.assert_close(again.blocked[0], expected.blocked[i], rtol=1e-5, atol=0)
    assert len(passes) == 1


def test_chunks_change_nothing(monkeypatch):
    model = families.frozen(families.llava_mixed_windows)
    prepared, sets = asked(model)
    arguments = (model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    expected = naive_knockout(*arguments)
    for tokens in (1, 40, 10**4):
        monkeypatch.setitem(free.TOKENS_PER_ROW, "cpu", tokens)
        assert off(knockout(*arguments), expected) < 1e-5


def test_windows_may_end_in_any_order():
    model = families.frozen(families.llava_mixed_windows)
    prepared, sets = asked(model)
    spans = [range(0, 3), range(0, 1), range(1, 2), range(0, 2), range(1, 3), range(2, 3)]
    arguments = (model, prepared, sets, FLOWS, spans, ANSWER)
    assert off(knockout(*arguments), naive_knockout(*arguments)) < 1e-5


def test_rows_are_shorter_where_memory_does_not_hold_long_ones(monkeypatch):
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    start = first_target(sets, FLOWS)
    arguments = (sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    expected = knockout(model, prepared, *arguments)
    own, tried = free.prefix_cache, []

    def small(cache, room):
        tried.append(room)
        if room > 200:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return own(cache, room)

    monkeypatch.setattr(free, "prefix_cache", small)
    (run,) = free_runs(model, [prepared], [start])
    assert len(tried) == 3
    assert run.row.size == 128
    assert off(blocked_runs(run, *arguments), expected) < 1e-5
    monkeypatch.setattr(free, "prefix_cache", lambda cache, room: small(cache, 201))
    with pytest.raises(InputError, match="too small for a single one of the images with the start of their prompts"):
        next(free_runs(model, [prepared], [start]))


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 0.1), (torch.float16, 0.0125)])
def test_half_precision_is_within_its_rounding(dtype, rounding):
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    flows, spans = [BY_NAME["question->last"], BY_NAME["image->question"]], windows(model.n_layers, 2)
    truth = naive_knockout(model, prepared, sets, flows, spans, ANSWER)
    model.model.to(dtype)
    model.dtype = dtype
    fast, naive = (run(model, prepared, sets, flows, spans, ANSWER) for run in (knockout, naive_knockout))
    assert off(fast, naive) < rounding
    # Neither path is further from the truth than the other.
    assert off(fast, truth) < 2 * off(naive, truth)
    check_knockout(model, prepared, sets, flows, spans, ANSWER)


def test_only_what_blocking_changes_is_run_again(monkeypatch):
    """A token for flows to the last position, in the blocks from the window's first on; no whole pass at all."""
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    (run,) = free_runs(model, [prepared], [first_target(sets, FLOWS)])
    tokens = [[] for _ in model.blocks]
    for block, seen in zip(model.blocks, tokens, strict=True):
        block.register_forward_pre_hook(lambda _module, args, seen=seen: seen.append(args[0].shape[1]))
    blocked_runs(run, sets, [BY_NAME["image->last"], BY_NAME["last->last"]], [range(1, 2), range(2, 3)], ANSWER)
    assert tokens == [[], [2], [4]]
    blocked_runs(run, sets, [BY_NAME["image->question"]], [range(1, 2)], ANSWER)
    assert tokens == [[], [2, len(sets["question"]) + 1], [4, len(sets["question"]) + 1]]


def test_windows_are_cut_off_at_both_ends():
    assert windows(5, 3) == [range(0, 2), range(0, 3), range(1, 4), range(2, 5), range(3, 5)]
    assert windows(4, 1) == [range(0, 1), range(1, 2), range(2, 3), range(3, 4)]
    # One more below than above.
    assert windows(5, 4) == [range(0, 2), range(0, 3), range(0, 4), range(1, 5), range(2, 5)]
    assert windows(3, 9) == [range(0, 3)] * 3
    assert windows(20, 9)[10] == range(6, 15)


def test_free_probability_is_that_of_the_whole_model():
    """With what a family does behind its head: Gemma bends logits, Chameleon writes no image, Granite and one of
    Cohere's families scale logits, and another leaves out the scale that its decoder's configuration names.
    """
    chameleon = next(f.build for f in FAMILIES if f.name == "Chameleon")
    scaling = (granite.granite4_vision, cohere.cohere_compass, cohere.aya_vision)
    for family in (families.llava, families.gemma3, chameleon, *scaling):
        model = families.frozen(family, gain=1.0)
        if family is families.gemma3:
            model.model.config.text_config.final_logit_softcapping = 0.5
        prepared, sets = asked(model)
        with torch.inference_mode():
            logits = model.model(**prepared, use_cache=False).logits[0, -1]
            if family is families.gemma3:
                logits = 0.5 * torch.tanh(logits / 0.5)
        (run,) = free_runs(model, [prepared], [first_target(sets, FLOWS)])
        torch.testing.assert_close(run.probabilities, logits.softmax(-1), rtol=1e-5, atol=1e-9)


def test_cohere_scales_its_logits():
    model = families.frozen(families.llava)
    states = torch.randn(2, model.width)
    logits = model.model.get_output_embeddings()(states)
    model.model.config.get_text_config().logit_scale = 0.0625
    torch.testing.assert_close(next_token_probabilities(model, states), (logits * 0.0625).softmax(-1))


@pytest.mark.parametrize("name", REFUSED)
def test_families_that_are_refused(name):
    model = next(family for family in FAMILIES if family.name == name).frozen()
    with pytest.raises(InputError, match=REFUSED[name]):
        check_served(model)


def test_attention_that_takes_no_mask_is_refused():
    model = families.frozen(families.llava)
    model.decoder.config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="flash_attention_2, which takes no mask"):
        check_served(model)


def test_a_model_with_an_intervention_is_refused():
    model = GenericModel(*families.llava(), "auto", intervention={"bypass": {"from": 1, "scale": 1.0}})
    with pytest.raises(InputError, match="ask the model without one"):
        check_served(model)


def test_a_family_that_goes_on_otherwise_is_found_out(monkeypatch):
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    arguments = (model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    check_knockout(*arguments)
    # As a head that does something unknown.
    model.model.lm_head.register_forward_hook(lambda _head, args, logits: logits * (1.1 if logits.dim() == 3 else 1))
    with pytest.raises(InputError, match=r"differs by .* from that of a whole forward pass"):
        check_knockout(*arguments)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rounding_is_no_fault_and_a_cut_that_is_ignored_is_one(dtype, monkeypatch):
    """Of a probability that blocking all but removes, half precision rounds the logarithm by more than any bound."""

    def found(free, *blocked):
        return lambda *_: module.Knockouts(free, torch.tensor([blocked]))

    model = SimpleNamespace(dtype=dtype, model_type="llava")
    arguments = (model, {}, None, FLOWS[:1], [range(1), range(2)], ANSWER)
    almost = 1 + 0.9 * TOLERANCE[dtype]
    monkeypatch.setattr(checks, "naive_knockout", found(0.05, 0.5, 1e-7))
    monkeypatch.setattr(checks, "knockout", found(0.05 * almost, 0.5 * almost, 3e-7))
    check_knockout(*arguments)
    monkeypatch.setattr(checks, "knockout", found(0.05, 0.5, 0.05))
    with pytest.raises(InputError, match=r"with question->last blocked in blocks 1 to 2, .* by 1.0e\+00 of itself"):
        check_knockout(*arguments)
    monkeypatch.setattr(checks, "knockout", found(float("nan"), 0.5, 1e-7))
    with pytest.raises(InputError, match="with nothing blocked"):
        check_knockout(*arguments)


def test_what_cannot_go_on_from_a_run_is_an_error():
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    other = BatchFeature(prepared | {"pixel_values": prepared["pixel_values"] + 1})
    with pytest.raises(ValueError, match="not about one image"):
        list(free_runs(model, [prepared, other], [sets.n_tokens - 1] * 2))
    # Nothing is left for the last token to see.
    alone = module.PositionSets(1, {"last": torch.tensor([0])})
    text = BatchFeature({key: prepared[key][:, :1] for key in ("input_ids", "attention_mask")})
    with pytest.raises(ValueError, match="see nothing at all"):
        naive_knockout(model, text, alone, [BY_NAME["last->last"]], [range(1)], ANSWER)


def test_a_token_behind_the_image_that_counts_as_the_images_is_refused():
    """ERNIE's experts of images read it, which the rest of the text would not know."""
    model = families.frozen(families.experts.ernie4_5_vl_moe)
    prompt = PROMPTS[0]
    prepared = model.prepare(pictures()[:1], [prompt])
    image_end = int(model.image_tokens(prepared)[0].nonzero()[-1]) + 1
    with pytest.raises(InputError, match=r"tokens right behind the image.*question_tokens: words"):
        next(free_runs(model, [prepared], [image_end]))
    run = next(free_runs(model, [prepared], [image_end + 1]))
    with torch.inference_mode():
        logits = model.model(**prepared).logits[0, -1].float()
    torch.testing.assert_close(run.probabilities, logits.softmax(-1), rtol=1e-5, atol=1e-9)
