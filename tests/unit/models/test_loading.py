"""Models that are spread over devices, quantized, or run code of their own: as those that are not."""

import json
import sys

import pytest
import torch

from layerwise.errors import InputError
from layerwise.models import loading
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from tests import families
from tests.families.measure import POSITIONS, PROMPTS, pictures, relative

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
# One block is read from disk each time it runs: on a single device, the nearest to being on another one.
SPREAD = {"model.vision_tower": "disk", "model.multi_modal_projector": "cpu", "lm_head": "disk"}
SPREAD |= {"model.language_model.embed_tokens": "disk", "model.language_model.layers.0": "cpu"}
SPREAD |= {f"model.language_model.layers.{i}": "disk" for i in range(1, 6)}
SPREAD |= {"model.language_model.norm": "disk", "model.language_model.rotary_emb": "cpu"}


def load(folder, **change):
    entry = {"source": str(folder)} | ENTRY | change
    return generic.load(describe_model("tiny", entry, None, seed=5) | {"device_map": entry.get("device_map")}, "cpu")


def states(model):
    """All paths: a batch, a shared prefix, and what the model itself reports."""
    prepared = model.prepare(pictures(), PROMPTS[:2])
    return {
        "batch": model.run(prepared, POSITIONS)["image-mean"],
        "reported": model.reported(prepared, POSITIONS)["last"],
        "shared": model.states_shared(pictures()[0], PROMPTS, POSITIONS)["last"],
    }


@pytest.fixture(scope="module")
def whole(tiny_llava):
    return states(load(tiny_llava))


@pytest.fixture(scope="module")
def blocks_of_64(tmp_path_factory):
    """A model whose weights divide into the blocks of 64 numbers that share a scale in 4 bits."""
    folder = tmp_path_factory.mktemp("blocks-of-64")
    for part in families.llava(hidden_size=64, intermediate_size=128):
        part.save_pretrained(folder)
    return folder


def test_a_spread_model_gives_the_same_states(tiny_llava, whole):
    pytest.importorskip("accelerate")
    model = load(tiny_llava, device_map=SPREAD)
    assert model.model.device.type == "meta"
    assert model.model.get_input_embeddings().weight.device.type == "meta"
    assert model.device.type == "cpu"
    for path, values in states(model).items():
        assert torch.equal(values, whole[path])


@pytest.mark.parametrize("device_map", ["auto", "balanced", "balanced_low_0", "sequential", {"": "cpu"}])
@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_device_maps_change_no_result(tiny_llava, weights, device_map):
    pytest.importorskip("accelerate")
    one, other = (load(tiny_llava, weights=weights, **more) for more in ({}, {"device_map": device_map}))
    assert torch.equal(*(states(model)["batch"] for model in (one, other)))


@pytest.mark.parametrize(("quantization", "allowed"), [("8bit", 0.1), ("4bit", 0.5)])
def test_quantized_models_are_near_the_whole_one(blocks_of_64, quantization, allowed):
    pytest.importorskip("accelerate")
    pytest.importorskip("bitsandbytes")
    model, whole = load(blocks_of_64, quantization=quantization), states(load(blocks_of_64))
    assert any("bitsandbytes" in type(module).__module__ for module in model.blocks.modules())
    # Their weights are whole numbers; masks and inputs are not.
    assert model.dtype == torch.float32
    assert model.shares_prefix is (quantization == "4bit")
    prepared = model.prepare(pictures(), PROMPTS[:2])
    read, reported = model.run(prepared, ["last"])["last"], model.reported(prepared, ["last"])["last"]
    assert relative(torch.cat([read[:, :-2], read[:, -1:]], dim=1), reported) < 1e-6
    difference = relative(reported[:, -1], whole["reported"][:, -1])
    assert 1e-5 < difference < allowed


def test_inputs_are_in_the_precision_of_the_decoder(tmp_path):
    """BLIP-2 keeps its first weights in float32."""
    for part in families.blip2():
        part.save_pretrained(tmp_path)
    model = load(tmp_path, dtype="float16")
    assert next(model.model.parameters()).dtype == torch.float32
    assert model.dtype == torch.float16
    half, full = (one.states(pictures(), PROMPTS[:2], ["last"])["last"] for one in (model, load(tmp_path)))
    assert half.dtype == torch.float16
    assert relative(half.float()[:, :2], full[:, :2]) < 0.01


def test_quantization_is_another_model_and_a_device_map_is_not(tiny_llava):
    def digest(**change):
        return describe_model("tiny", {"source": str(tiny_llava)} | ENTRY | change, None, seed=5)["digest"]

    assert digest(quantization="none") == digest()
    assert len({digest(quantization=how) for how in ("none", "8bit", "4bit")}) == 3
    assert digest(device_map="auto") == digest()


@pytest.mark.parametrize(
    ("change", "package", "key"),
    [
        ({"device_map": "auto"}, "accelerate", "device_map"),
        ({"quantization": "8bit"}, "accelerate", "quantization"),
        ({"quantization": "4bit"}, "bitsandbytes", "quantization"),
    ],
)
def test_a_missing_package_is_named(tiny_llava, monkeypatch, change, package, key):
    there = loading.importlib.util.find_spec("json")
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == package else there)
    with pytest.raises(InputError, match=f"models.tiny.{key} needs the package {package}; install it"):
        load(tiny_llava, **change)


def test_weights_that_the_memory_does_not_hold_are_an_error_that_says_what_to_do(tiny_llava, tmp_path):
    for file in tiny_llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    description = describe_model("tiny", ENTRY | {"source": str(tmp_path), "weights": "random"}, None, seed=1)
    config = json.loads((tmp_path / "config.json").read_text())
    # More than any machine has.
    config["text_config"]["vocab_size"] = 2**42
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"models.tiny: .* hold the weights \(DefaultCPU.* bytes\); .* bfloat16"):
        loading.load_model(description, "cpu")


CONFIGURATION = """
from transformers import LlavaConfig

class OwnConfig(LlavaConfig):
    model_type = "own_llava"
"""
MODEL = """
from transformers import LlavaForConditionalGeneration
from .configuration_own import OwnConfig

class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


@pytest.fixture
def own_code(tiny_llava, tmp_path, monkeypatch):
    """A model whose classes come as code beside its weights."""
    for file in tiny_llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    classes = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForImageTextToText": "modeling_own.OwnModel"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "own_llava", "auto_map": classes}))
    (tmp_path / "configuration_own.py").write_text(CONFIGURATION)
    (tmp_path / "modeling_own.py").write_text(MODEL)
    # transformers copies such code to where it may be imported.
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def test_code_that_comes_with_weights_runs_only_where_it_is_trusted(own_code, whole):
    with pytest.raises(InputError, match="code that comes with it runs with `trust_remote_code: true`"):
        load(own_code)
    description = describe_model("tiny", {"source": str(own_code)} | ENTRY | {"trust_remote_code": True}, None, seed=5)
    with pytest.raises(InputError, match=r"models.tiny: cannot load"):
        generic.load(description | {"trust_remote_code": False}, "cpu")
    model = generic.load(description, "cpu")
    assert type(model.model).__name__ == "OwnModel"
    assert torch.equal(states(model)["batch"], whole["batch"])
    # Its code is part of what the model is.
    (own_code / "modeling_own.py").write_text(MODEL + "\n# another\n")
    changed = describe_model("tiny", {"source": str(own_code)} | ENTRY | {"trust_remote_code": True}, None, seed=5)
    assert changed["digest"] != description["digest"]
