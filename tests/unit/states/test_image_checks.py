"""The checks of sight and of interventions at the start of a run, each on a model in which it must fail."""

import pandas as pd
import pytest
import torch
import transformers
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from layerwise.errors import InputError
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.attention_mask import attention_cut, check_cuttable
from layerwise.models.intervening import Intervention
from layerwise.models.opening import wrap_model
from layerwise.models.registration import describe_model
from layerwise.states.checks import check_batches
from layerwise.states.image_checks import check_intervention, check_sight
from layerwise.states.plan import plan_parts
from layerwise.stimuli.modalities import BLANK
from tests import families
from tests.cells import extraction, run_here, write_items
from tests.families import short_memory
from tests.families.measure import PROMPTS, pictures

COLUMNS = ["image", "prompt", "item_id"]
CUT = {"cut-image": {"blocks": [1, 3]}}


@pytest.fixture
def inputs(tmp_path):
    pictures()[0].save(tmp_path / "0.png")
    return pd.DataFrame([(str(tmp_path / "0.png"), prompt, prompt[:4]) for prompt in PROMPTS[:2]], columns=COLUMNS)


def blinded(model):
    """A projector of zeros: whatever the tower sees, nothing of it arrives."""
    with torch.no_grad():
        for parameter in model.model.base_model.multi_modal_projector.parameters():
            parameter.zero_()
    return model


def test_a_blind_model_is_refused(inputs):
    seeing = families.frozen(families.llava)
    check_sight(seeing, "tiny", inputs, untrained=False)
    model = blinded(families.frozen(families.llava))
    with pytest.raises(InputError, match=r"models\.tiny: this model is blind: .* that of item Is t\. Its weights"):
        check_sight(model, "tiny", inputs, untrained=False)
    # An intervention that keeps the picture out does not make a model blind, nor a blind one see.
    for one, refused in ((seeing, False), (model, True)):
        one.intervention = cut = Intervention(CUT, one.blocks)
        if refused:
            with pytest.raises(InputError, match="this model is blind"):
                check_sight(one, "tiny", inputs, untrained=False)
        else:
            check_sight(one, "tiny", inputs, untrained=False)
        assert one.intervention is cut


@pytest.mark.parametrize("shown", [None, BLANK])
def test_where_no_picture_is_shown_none_must_be_seen(inputs, shown):
    check_sight(blinded(families.frozen(families.llava)), "tiny", inputs.assign(image=shown), untrained=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_twin_that_is_blind_by_its_own_first_weights_is_named(inputs, dtype):
    """Gemma 3 begins with a projection of zeros. Kosmos-2, of all families the one whose twin sees least, does see."""
    model, processor = families.gemma3()
    twin = GenericModel(model.to(dtype).eval(), processor, "auto")
    with pytest.raises(InputError, match=r"models\.twin: this twin with random weights is blind: .*; leave it out, or"):
        check_sight(twin, "twin", inputs, untrained=True)
    torch.manual_seed(0)
    model, processor = families.kosmos2()
    check_sight(wrap_model("kosmos2", model.to(dtype).eval(), processor, "auto"), "twin", inputs, untrained=True)


ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


def test_extraction_makes_these_checks(tmp_path, monkeypatch):
    model = families.frozen(families.llava)
    for folder, made in (("seeing", lambda: model), ("blind", lambda: blinded(model))):
        for part in (made().model, model.processor):
            part.save_pretrained(tmp_path / folder)
    pictures()[0].save(tmp_path / "0.png")
    write_items(tmp_path, [("a", tmp_path / "0.png", PROMPTS[0])])
    of = {name: describe_model("m", ENTRY | {"source": str(tmp_path / name)}, None, 0) for name in ("seeing", "blind")}
    idle = {"intervention": {"bypass": {"from": 1, "scale": 0.0}}}
    for description, message in ((of["blind"], "models.m: this model is blind"), (of["seeing"] | idle, "does nothing")):
        with pytest.raises(InputError, match=message):
            run_here(extraction(tmp_path, description, ["last"], tmp_path / "states.h5"), monkeypatch)
    assert not (tmp_path / "states.h5").exists()
    run_here(extraction(tmp_path, of["seeing"], ["last"], tmp_path / "states.h5"), monkeypatch)
    assert (tmp_path / "states.h5").exists()


KINDS = {
    "cut": CUT,
    "cut above": {"cut-image": {"blocks": [3, 3]}},
    "zero": {"ablate-image": {"from": 3, "with": "zero"}},
    "mean": {"ablate-image": {"from": 1, "with": "mean"}},
    "bypass": {"bypass": {"from": 1, "scale": 0.5}},
}


@pytest.mark.parametrize("intervention", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_interventions_that_do_what_they_say_pass(inputs, intervention, dtype):
    for family in (families.llava, families.gemma3):
        model = families.frozen(family)
        model = GenericModel(model.model.to(dtype), model.processor, "auto", intervention=intervention)
        check_intervention(model, inputs)
        check_intervention(model, inputs.assign(image=BLANK))
        if "bypass" in intervention:
            check_intervention(model, inputs.assign(image=None))


def test_an_intervention_that_does_nothing_is_refused(inputs):
    model = families.frozen(families.llava)
    check_intervention(model, inputs)
    model.intervention = Intervention({"bypass": {"from": 1, "scale": 0.0}}, model.blocks)
    with pytest.raises(
        InputError, match=r"all states are the same with and without the intervention bypass: .* type llava;"
    ):
        check_intervention(model, inputs)
    # Hooks that never see the blocks that run.
    model.intervention = Intervention(CUT, [torch.nn.Identity() for _ in model.blocks])
    with pytest.raises(InputError, match="all states are the same with and without the intervention cut-image"):
        check_intervention(model, inputs)


def test_an_image_that_gets_past_the_cut_is_told(inputs, monkeypatch):
    """As in Molmo2: a token before the image sees it, and the text sees that token."""
    model = families.frozen(families.gemma3)
    model.intervention = Intervention(CUT, model.blocks)
    check_intervention(model, inputs)
    prepare = model.prepare

    def with_one_more(images, prompts):
        prepared = prepare(images, prompts)
        first = int(prepared["token_type_ids"][0].argmax())
        prepared["token_type_ids"][:, first - 1] = 1
        return prepared

    monkeypatch.setattr(model, "prepare", with_one_more)
    with pytest.raises(InputError, match=r"cut-image does not keep the image out of a model of type gemma3: .* all 3"):
        check_intervention(model, inputs)
    # And where one of the image's tokens is not known to be one.
    model = families.frozen(families.llava)
    is_image = model.image_tokens
    monkeypatch.setattr(model, "image_tokens", lambda given: is_image(given) & (is_image(given).cumsum(1) > 1))
    for kind in (CUT, {"ablate-image": {"from": 2, "with": "mean"}}):
        model.intervention = Intervention(kind, model.blocks)
        with pytest.raises(InputError, match="does not keep the image out of a model of type llava"):
            check_intervention(model, inputs)
    # In 8 bits the image's tokens change how the text's are rounded.
    model.batch_invariant = False
    check_intervention(model, inputs)


def own_kernel(module, query, key, value, _mask, **more):
    """Attention that makes its own causal mask, as flash attention does."""
    more.pop("is_causal", None)
    return sdpa_attention_forward(module, query, key, value, None, is_causal=query.shape[2] > 1, **more)


@pytest.fixture
def with_own_kernel():
    AttentionInterface.register("own_kernel", own_kernel)
    made = families.frozen(families.llava)
    made.model.set_attn_implementation({"text_config": "own_kernel"})
    return GenericModel(made.model, made.processor, "auto")


def test_kernels_that_pass_over_masks_are_refused_where_one_is_needed(inputs, with_own_kernel):
    model = with_own_kernel
    # Neither for a prefix nor for a cut; and padding in a batch is found out.
    assert not model.shares_prefix
    model.intervention = Intervention(CUT, model.blocks)
    with pytest.raises(
        InputError, match=r"attention is of the kind own_kernel: this kernel takes no mask of ours; load"
    ):
        check_intervention(model, inputs)
    model.intervention = None
    with pytest.raises(InputError, match=r"set its `batch_size` to 1"):
        check_batches(model, inputs, plan_parts(inputs, 0, 2), ["last"])
    # What needs no mask runs.
    model.intervention = Intervention({"ablate-image": {"from": 1, "with": "zero"}}, model.blocks)
    check_intervention(model, inputs)


def test_masks_of_other_kinds_are_refused():
    model = families.frozen(families.llava)
    check_cuttable(model.blocks)
    model.model.set_attn_implementation({"text_config": "flex_attention"})
    with pytest.raises(InputError, match="attention is of the kind flex_attention"):
        check_cuttable(model.blocks)


LINEAR = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 20,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"],
}


def test_blocks_of_linear_attention_are_named_at_registration(tmp_path):
    # Any processor will do.
    families.frozen(families.llava).processor.save_pretrained(tmp_path)
    transformers.Qwen3_5Config(text_config=LINEAR).save_pretrained(tmp_path)
    entry = {"source": str(tmp_path), "weights": "random", "dtype": "float32", "adapter": "generic"}
    entry |= {"conversation": "auto"}
    with pytest.raises(
        InputError,
        match=r"models\.m\.intervention\.cut-image\.blocks: attention between tokens cannot be cut in block 2, which "
        r"is of the kind linear_attention \(2 of the blocks 2 to 4 are of such a kind\); it can be cut in .*: 4$",
    ):
        describe_model("m", entry | {"intervention": {"cut-image": {"blocks": [2, 4]}}}, None, seed=0)
    describe_model("m", entry | {"intervention": {"cut-image": {"blocks": [4, 4]}}}, None, seed=0)


@pytest.mark.parametrize("build", [short_memory.lfm2_vl, short_memory.nemotron_h_omni], ids=lambda f: f.__name__)
def test_blocks_without_attention_are_not_cut(build):
    """Convolutions, state spaces, experts and perceptrons, by the names that their blocks have for them."""
    model = families.frozen(build)
    for block, kind in zip(model.blocks, model.decoder.config.layer_types, strict=True):
        if kind == "full_attention":
            check_cuttable([block])
            continue
        with pytest.raises(InputError, match=f"of the kind {kind}: it has no scores between tokens"):
            check_cuttable([block])


def test_blocks_of_linear_attention_are_not_cut():
    decoder = transformers.Qwen3_5TextModel(transformers.Qwen3_5TextConfig(**LINEAR)).eval()
    seen, looking = torch.zeros(2, 1, 5, dtype=torch.bool)
    seen[0, 1], looking[0, 3] = True, True
    ids = torch.arange(5)[None]
    with (
        pytest.raises(
            InputError, match="cannot be cut in a Qwen3_5DecoderLayer of the kind linear_attention: it has no scores"
        ),
        attention_cut(decoder.layers, looking, seen),
    ):
        decoder(ids)
    with torch.inference_mode():
        free = decoder(ids).last_hidden_state
        with attention_cut([decoder.layers[3]], looking, seen):
            cut = decoder(ids).last_hidden_state
    assert torch.equal(free[:, :3], cut[:, :3])
    assert not torch.allclose(free[:, 3], cut[:, 3])
