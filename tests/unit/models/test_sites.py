"""Sites within blocks: what their states add up to, on either path, in the file, and when a family has none."""

import json
import re
import subprocess

import numpy as np
import pytest
import torch
import yaml

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.models.site_names import AT_SITE
from layerwise.states.store import StatesFile
from layerwise.study import Study
from tests import families
from tests.cells import extraction, write_items
from tests.conftest import REPOSITORY
from tests.families.measure import PROMPTS, measure, pictures, relative

POSITIONS = ["last", *AT_SITE]
LAYERS = 3

# Llama's block, Qwen2's, with two key-value heads for four query heads each; and other names of the parts: OPT's, whose
# MLP sees a batch as one row of tokens, and Kosmos-2's.
each_family = pytest.mark.parametrize(
    "family",
    [families.llava, families.qwen2_vl, families.internvl, families.blip2, families.kosmos2],
    ids=lambda family: family.__name__,
)


def read(model):
    return model.states(pictures(), PROMPTS[:2], POSITIONS)


@each_family
def test_a_block_adds_attention_and_mlp_to_its_input(family):
    """tests/unit/models/test_families.py says of all families whether it does."""
    states = read(families.frozen(family))
    assert states["last-attention"].shape == states["last-mlp"].shape == (2, LAYERS, families.common.WIDTH)
    added = states["last-attention"] + states["last-mlp"]
    assert relative(states["last"][:, :-2] + added, states["last"][:, 1:-1]) < 1e-6


@pytest.mark.parametrize("name", ["Gemma 3", "GLM-4V"])
def test_some_blocks_norm_both_before_they_add_them(name):
    """As docs/formats.md says."""
    family = next(family for family in families.FAMILIES if family.name == name)
    assert measure(family).adds_up > 0.1


@each_family
def test_heads_add_up_to_the_attention(family):
    model = families.frozen(family)
    states = read(model)
    heads = states["last-heads"].unflatten(2, (model.n_heads, -1))
    assert model.n_heads == 4
    for number, block in enumerate(model.blocks):
        attention = block.self_attn
        projection = attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj
        slices = projection.weight.unflatten(1, (model.n_heads, -1))
        each = torch.einsum("bhd,whd->bhw", heads[:, number], slices)
        bias = 0 if projection.bias is None else projection.bias
        assert relative(each.sum(1) + bias, states["last-attention"][:, number]) < 1e-6


@each_family
def test_a_shared_prefix_has_the_same_at_all_sites(family):
    model, (image, _) = families.frozen(family), pictures()
    shared = model.states_shared(image, PROMPTS, POSITIONS)
    for i, prompt in enumerate(PROMPTS):
        alone = model.states([image], [prompt], POSITIONS)
        assert all(relative(shared[position][i], alone[position][0]) < 2e-5 for position in POSITIONS)


def test_blocks_without_such_parts_are_named():
    model = families.frozen(families.mllama)
    with pytest.raises(InputError, match="attention cannot be kept for this family: a MllamaCrossAttention"):
        model.states(pictures()[:1], PROMPTS[:1], ["last", "last-attention"])


@pytest.mark.parametrize("sharing", [pytest.param("never", marks=pytest.mark.whole), "always"])
def test_sites_are_in_the_file(tiny_llava, tmp_path, sharing):
    shown = []
    for i, image in enumerate(pictures()):
        image.save(tmp_path / f"{i}.png")
        shown += [(f"{i}-{j}", tmp_path / f"{i}.png", text) for j, text in enumerate(PROMPTS)]
    items = write_items(tmp_path, shown)
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    description = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    command = extraction(tmp_path, description, ["last"], tmp_path / "states.h5", sharing=sharing)
    at = command.index("--cell") + 1
    command[at] = json.dumps(json.loads(command[at]) | {"sites": ["attention", "heads"]})
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    model = generic.load(description, "cpu")
    with StatesFile(tmp_path / "states.h5") as states:
        assert (states.positions, states.sites, states.n_heads) == (["last"], ["attention", "heads"], 4)
        assert states.layers_at("last-heads") == [f"block {i}" for i in range(1, 7)]
        for position in ("last", "last-attention", "last-heads"):
            kept = np.stack([states.layer(position, layer) for layer in range(len(states.layers_at(position)))], axis=1)
            for i, item in enumerate(items.itertuples()):
                picture = pictures()[int(item.item_id[0])]
                expected = model.states([picture], [item.text], [position])[position][0]
                assert relative(torch.from_numpy(kept[states.row_of_item[i]]), expected) < 2e-5
    check = [command[0], str(REPOSITORY / "scripts/check_states.py"), str(tmp_path / "states.h5")]
    assert "last-heads" in subprocess.run(check, capture_output=True, text=True, check=True).stdout


def test_a_file_whose_heads_do_not_fit_is_refused(tmp_path):
    from layerwise.states.writing import new_states

    names = ["embeddings", "block 1", "final norm"]
    about = {"positions": ["last"], "layers": names, "rows": 1, "width": 8, "dtype": "float32", "cell": {}}
    about |= {"item_ids": ["a"], "row_of_item": [0], "sites": {"last-heads": 8}}
    with new_states(tmp_path / "states.h5", heads=3, **about):
        pass
    with pytest.raises(InputError, match="last-heads has a width of 8, which 3 heads do not share evenly"):
        StatesFile(tmp_path / "states.h5")


def configured(**states):
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    for name in ("adapters", "config"):
        config |= yaml.safe_load((REPOSITORY / f"config/{name}.yaml").read_text())
    config["states"] = states
    return Study.from_config(config).grid


def test_which_cells_keep_sites():
    assert configured().site_cells() == []
    grid = configured(sites=["block", "heads"], sites_of={"models": ["shapes-llava"], "prompts": ["agree"]})
    assert grid.site_cells() == [("shapes-llava", "entailment", "agree")]
    assert grid.sites("shapes-llava", "agree") == ["heads"]
    assert grid.sites("shapes-llava", "caption") == grid.sites("shapes-llava-untrained", "agree") == []
    everywhere = configured(sites=["block", "mlp"])
    assert everywhere.site_cells() == everywhere.probe_cells()


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"sites": ["heads"]}, "states.sites: block must be among them"),
        ({"sites": ["block", "head"]}, "'head' is not one of"),
        ({"sites_of": {"models": ["llava"]}}, "states.sites_of.models: there is no 'llava'; `models` has shapes-llava"),
        ({"sites_of": {"prompts": ["agre"]}}, "states.sites_of.prompts: there is no 'agre'; `stimuli` has agree"),
    ],
)
def test_a_study_with_a_mistake_in_its_sites_is_refused(states, message):
    with pytest.raises(InputError, match=re.escape(message)):
        configured(**states)
