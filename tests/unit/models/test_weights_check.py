"""A model whose files lack weights, or hold others, is refused when it is registered and when it is loaded."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.conversion import convert
from layerwise.models.registration import describe_model
from layerwise.models.weights_check import check_weights
from tests import families
from tests.families.measure import pictures

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A tiny LLaVA as its class saves it."""
    folder = tmp_path_factory.mktemp("good")
    for part in families.llava():
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def changed(good, tmp_path):
    """A copy of the model with other weights in its file."""

    def change(make):
        for file in good.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        save_file(make(load_file(good / WEIGHTS)), tmp_path / WEIGHTS, metadata={"format": "pt"})
        return tmp_path

    return change


def described(folder, **change):
    return describe_model("tiny", ENTRY | {"source": str(folder)} | change, None, seed=3)


def top_states(description):
    return generic.load(description, "cpu").states(pictures()[:1], ["Is there?"], ["last"])["last"]


def renamed(old, new, within=""):
    return lambda weights: {key.replace(old, new) if within in key else key: held for key, held in weights.items()}


def without(part):
    return lambda weights: {key: held for key, held in weights.items() if part not in key}


WRONG = {
    "a renamed tower": (
        renamed("vision_tower", "visual"),
        "{folder} lacks weights of the model (39): model.vision_tower.embeddings.class_embedding, ",
    ),
    "no projector": (without("projector"), "{folder} lacks weights of the model (4): model.multi_modal_projector."),
    "no MLP in a block": (without("layers.1.mlp"), "{folder} lacks weights of the model (7): "),
    "two renamed weights": (
        renamed("q_proj", "query", within="vision_tower.encoder.layers.0"),
        "holds weights that the model has no place for (2): model.vision_tower.encoder.layers.0.self_attn.query.bias, ",
    ),
    "no output head": (without("lm_head"), "{folder} lacks weights of the model (1): lm_head.weight."),
    "no final norm": (without("model.norm"), "{folder} lacks weights of the model (1): model.language_model.norm"),
    "a prefix": (lambda weights: {f"module.{key}": held for key, held in weights.items()}, "and 70 more"),
    "another shape": (
        lambda weights: {k: torch.zeros(3, 3) if "linear_1.weight" in k else v for k, v in weights.items()},
        "{folder} holds weights of another shape than config.json says (1): model.multi_modal_projector.linear_1."
        "weight is 3 x 3, the model's 64 x 32",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_missing_and_mismatched_weights_are_named_at_registration_and_at_loading(good, changed, make, message):
    description = described(good)
    folder = changed(make)
    for act in (lambda: described(folder), lambda: generic.load(description | {"folder": str(folder)}, "cpu")):
        with pytest.raises(InputError, match=r"^models\.tiny: .* They would be drawn at random") as raised:
            act()
        assert message.format(folder=folder) in str(raised.value)
    # An untrained twin draws all of them.
    assert described(folder, weights="random")["weights"] == "random"


RIGHT = {
    "as saved": lambda weights: weights,
    "names of transformers 4": renamed("vision_tower.", "vision_tower.vision_model."),
    "names of transformers 5": lambda weights: {
        (
            key.replace("language_model.lm_head", "lm_head")
            if "lm_head" in key
            else f"model.{key.replace('language_model.model', 'language_model')}"
        ): held
        for key, held in weights.items()
    },
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_names_that_transformers_knows_are_the_same_model(good, changed, make):
    assert torch.equal(top_states(described(changed(make))), top_states(described(good)))


def test_weights_that_the_model_has_no_place_for_are_told(changed, caplog):
    folder = changed(lambda weights: weights | {"something.else": torch.zeros(3)})
    generic.load(described(folder), "cpu")
    told = f"models.tiny: {folder} holds weights that the model has no place for (1): something.else. They are ignored"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("layerwise")] == [told] * 2


def test_a_tied_head_is_not_missing(changed):
    folder = changed(without("lm_head"))
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    model = generic.load(described(folder), "cpu").model
    assert torch.equal(model.lm_head.weight, model.get_input_embeddings().weight)


def shard(folder):
    """Divide the weights in two files, with an index."""
    weights = list(load_file(folder / WEIGHTS).items())
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, part in zip(names, (weights[::2], weights[1::2]), strict=True):
        save_file(dict(part), folder / name, metadata={"format": "pt"})
    index = {key: name for name, part in zip(names, (weights[::2], weights[1::2]), strict=True) for key, _ in part}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / WEIGHTS).unlink()
    return folder / names[1]


def test_sharded_weights(good, changed):
    folder = changed(lambda weights: weights)
    second = shard(folder)
    assert torch.equal(top_states(described(folder)), top_states(described(good)))
    second.write_bytes(second.read_bytes()[:50])
    with pytest.raises(InputError, match=rf"{second} is damaged or no safetensors file"):
        described(folder)
    second.unlink()
    with pytest.raises(InputError, match=rf"1 of the 2 files that .*index.json lists are not there: {second.name}; "):
        described(folder)
    index = folder / f"{WEIGHTS}.index.json"
    index.write_text("[]")
    with pytest.raises(InputError, match="is no index of weights"):
        described(folder)
    index.unlink()
    with pytest.raises(InputError, match=r"has neither model\.safetensors nor model\.safetensors\.index\.json"):
        described(folder)


def test_converted_weights_that_are_not_whole(good, tmp_path):
    for file in good.iterdir():
        if file.name != WEIGHTS:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(without("projector")(load_file(good / WEIGHTS)), tmp_path / "pytorch_model.bin")
    entry = ENTRY | {"source": str(tmp_path), "convert": {"pytorch_model.bin": "unpinned"}}
    with pytest.raises(InputError, match="not pinned yet") as raised:
        convert("old", entry, tmp_path / "converted")
    entry["convert"] = {"pytorch_model.bin": str(raised.value).split()[-1]}
    convert("old", entry, tmp_path / "converted")
    with pytest.raises(
        InputError, match=r"models\.old: .*/converted lacks weights of the model \(4\): model.multi_mod"
    ):
        describe_model("old", entry, tmp_path / "converted", seed=1)


@pytest.mark.parametrize("how", [{"quantization": "4bit"}, {"device_map": "auto"}], ids=str)
def test_weights_are_compared_where_they_are_quantized_or_spread(good, changed, how):
    """That a whole model passes is shown in test_loading.py."""
    pytest.importorskip("accelerate")
    pytest.importorskip("bitsandbytes")
    folder = changed(without("layers.1.mlp"))
    with pytest.raises(InputError, match=r"lacks weights of the model \(7\): "):
        generic.load(described(good) | how | {"folder": str(folder)}, "cpu")


def test_no_more_than_the_headers_is_read(good, tmp_path):
    """A file of 100 GB, which is one hole behind its header."""
    config = json.loads((good / "config.json").read_text())
    words = config["text_config"]["vocab_size"] = 2**28
    for file in good.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    header, size = {}, 0
    for key, held in load_file(good / WEIGHTS).items():
        shape = [words, *held.shape[1:]] if "embed_tokens" in key or "lm_head" in key else list(held.shape)
        end = size + 4 * torch.Size(shape).numel()
        header[key], size = {"dtype": "F32", "shape": shape, "data_offsets": [size, end]}, end
    text = json.dumps(header).encode()
    with open(tmp_path / WEIGHTS, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)
    assert (tmp_path / WEIGHTS).stat().st_size > 1e11
    check_weights("huge", tmp_path, trust=False)
