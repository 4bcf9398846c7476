"""Decoders whose blocks differ in heads, choose what they see, or pass on several states: read exactly, or refused."""

import json

import pandas as pd
import pytest
import torch
import transformers

from layerwise.errors import InputError
from layerwise.models.head import next_token_probabilities
from layerwise.models.interventions.model_checks import check_scores
from layerwise.models.registration import describe_model
from layerwise.states.checks import check_hooks
from tests import families
from tests.families.gemma4 import gemma4, gemma4_experts
from tests.families.measure import POSITIONS, PROMPTS, one_at_a_time, pictures, relative
from tests.families.native_dense import hyperclovax_vision_v2, muse_glimmer
from tests.families.native_experts import minimax_m3_vl, minimax_m3_vl_sparse, step3p7

ENTRY = {"weights": "random", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


def items(folder):
    """One input, as a run begins with."""
    pictures()[0].save(folder / "0.png")
    return pd.DataFrame([("item-0", str(folder / "0.png"), PROMPTS[0])], columns=["item_id", "image", "prompt"])


@pytest.mark.parametrize(
    ("build", "n_heads", "sizes"),
    # Heads of 16 and 32, four in each block; and four or eight heads of 16.
    [(gemma4, 4, "64 numbers in block 1 and 128 in block 2"), (step3p7, 0, "128 numbers in block 1 and 64 in block 2")],
)
def test_heads_of_unequal_blocks_are_refused_before_the_run(build, n_heads, sizes, tmp_path):
    model = families.frozen(build)
    assert model.n_heads == n_heads
    with pytest.raises(
        InputError, match=f"item-0.* heads cannot be kept for this family: .* {sizes}, .*leave heads out"
    ):
        check_hooks(model, items(tmp_path), [*POSITIONS, "last-heads"])
    check_hooks(model, items(tmp_path), [*POSITIONS, "last-attention", "last-mlp"])


def test_unequal_numbers_of_heads_are_refused_even_if_they_are_as_wide_together(tmp_path):
    model = families.frozen(families.llava)
    model.n_heads = 0
    with pytest.raises(InputError, match="its blocks have different numbers of heads; leave heads out"):
        check_hooks(model, items(tmp_path), ["last", "last-heads"])


def test_experts_beside_an_mlp_are_no_site(tmp_path):
    model = families.frozen(gemma4_experts)
    with pytest.raises(
        InputError, match="mlp cannot be kept for this family: a Gemma4TextDecoderLayer has experts beside"
    ):
        check_hooks(model, items(tmp_path), ["last", "last-mlp"])


def test_blocks_that_choose_what_they_see_run_inputs_alone():
    model = families.frozen(minimax_m3_vl_sparse)
    assert not model.shares_prefix
    images, texts = pictures(), PROMPTS[:2]
    alone = one_at_a_time(model, images, texts)
    assert all(torch.equal(states, alone[at]) for at, states in model.states(images, texts, POSITIONS).items())
    none = [None, None]
    text = torch.cat([model.states([None], [one], ["last"])["last"] for one in texts])
    assert torch.equal(model.states(none, texts, ["last"])["last"], text)
    # Rightly so: padding before the shorter one moves the runs of tokens among which they choose.
    model.runs_alone = False
    assert relative(model.states(images, texts, ["last"])["last"], alone["last"]) > 1e-2
    assert relative(model.states(none, texts, ["last"])["last"], text) > 1e-2
    # With full attention in all blocks, neither is needed.
    full = families.frozen(minimax_m3_vl)
    assert full.shares_prefix
    assert not full.runs_alone


def test_attention_is_not_cut_where_a_cut_token_has_a_say():
    kinds = minimax_m3_vl_sparse()[0].config.text_config.layer_types
    check_scores("m", {"cut-image": {"blocks": [1, 1]}}, kinds)
    with pytest.raises(
        InputError, match=r"cannot be cut in block 2, which is of the kind minimax_m3_sparse .*model: 1$"
    ):
        check_scores("m", {"cut-image": {"blocks": [1, 3]}}, kinds)


@pytest.mark.parametrize("build", [hyperclovax_vision_v2, muse_glimmer])
def test_probabilities_are_those_of_the_whole_model(build):
    """HyperCLOVA X multiplies by what others divide by, and Muse has its own name for the factor."""
    model = families.frozen(build)
    inputs = model.prepare(pictures()[:1], PROMPTS[:1])
    with torch.inference_mode():
        expected = model.model(**inputs, use_cache=False).logits[0, -1].softmax(-1)
    states = model.run(inputs, ["last"])["last"][0, -1]
    torch.testing.assert_close(next_token_probabilities(model, states), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("config", [transformers.Gemma3nConfig, transformers.Glm5NextConfig])
def test_blocks_that_pass_on_several_states_of_a_token_are_refused_by_name(config, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": config.model_type}))
    with pytest.raises(InputError, match=f"models.tiny: a model of type {config.model_type} is not served: its blocks"):
        describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0)
