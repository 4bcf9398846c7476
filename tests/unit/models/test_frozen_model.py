"""The generic adapter against transformers' own hidden states, one sample at a time."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration, ResNetConfig

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.files import SAMPLE_BYTES, SAMPLES, fingerprint
from layerwise.models.frozen import last_token, layer_names, mean_over, read_layers
from layerwise.models.registration import describe_model
from tests import families

PROMPTS = ["Is there a circle?", "A much longer prompt, about a red circle left of a blue square.", "Hm."]
ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


def described(folder, **change):
    return describe_model("tiny", {"source": str(folder)} | ENTRY | change, None, seed=5)


@pytest.fixture(scope="module")
def model(tiny_llava):
    return generic.load(described(tiny_llava), "cpu")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in PROMPTS]


def relative(first, second) -> float:
    return float(((first - second).norm(dim=-1) / second.norm(dim=-1)).max())


@pytest.mark.parametrize("side", ["left", "right"])
def test_states_equal_transformers_own_one_at_a_time(model, images, side):
    model.processor.tokenizer.padding_side = side
    states = model.states(images, PROMPTS, ["last", "image-mean"])
    assert states["last"].shape == (3, model.n_layers + 2, model.width)
    for i, (image, prompt) in enumerate(zip(images, PROMPTS, strict=True)):
        inputs = model.processor(text=[model.render(prompt)], images=[image], return_tensors="pt")
        with torch.inference_mode():
            reference = model.model(**inputs, output_hidden_states=True).hidden_states
        # transformers gives embeddings, blocks 1 to L - 1 and the final norm's output; block L itself it hides.
        assert len(reference) == model.n_layers + 1
        last = torch.stack([layer[0, -1] for layer in reference])
        ours = states["last"][i]
        assert relative(torch.cat([ours[:-2], ours[-1:]]), last) < 1e-5
        assert relative(model.final_norm(ours[-2]), ours[-1]) < 1e-5
        tokens = inputs["input_ids"][0] == model.image_token_id
        assert int(tokens.sum()) == 16
        mean = torch.stack([layer[0, tokens].mean(0) for layer in reference])
        ours = states["image-mean"][i]
        assert relative(torch.cat([ours[:-2], ours[-1:]]), mean) < 1e-5


def test_image_and_prompt_both_matter(model, images):
    states = model.states([images[0], images[1], images[0]], [PROMPTS[0], PROMPTS[0], PROMPTS[1]], ["last"])["last"]
    assert relative(states[0, 2:], states[1, 2:]) > 1e-3
    assert relative(states[0, 2:], states[2, 2:]) > 1e-3


def test_hooks_are_gone_after_an_error(model):
    count = len(model.blocks[0]._forward_hooks)
    with pytest.raises(RuntimeError, match="on purpose"), read_layers(model.blocks, model.final_norm, {}):
        assert len(model.blocks[0]._forward_hooks) == count + 1
        raise RuntimeError("on purpose")
    assert len(model.blocks[0]._forward_hooks) == count


def test_last_token_ignores_padding_on_either_side():
    hidden = torch.arange(8.0).view(2, 4, 1)
    assert last_token(torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]))(hidden).flatten().tolist() == [1, 7]


def test_mean_over_tokens():
    hidden = torch.arange(8.0).view(2, 4, 1)
    tokens = torch.tensor([[True, False, True, False], [False, False, False, True]])
    assert mean_over(tokens)(hidden).flatten().tolist() == [1, 7]


def test_layer_names():
    assert layer_names(2) == ["embeddings", "block 1", "block 2", "final norm"]


def test_untrained_twin_is_another_model_of_the_same_shape(tiny_llava, model, images):
    description = described(tiny_llava, weights="random")
    twin, again = generic.load(description, "cpu"), generic.load(description, "cpu")
    states = [m.states(images[:1], PROMPTS[:1], ["last"])["last"] for m in (model, twin, again)]
    assert states[0].shape == states[1].shape
    assert relative(states[1], states[0]) > 0.1
    assert torch.equal(states[1], states[2])
    assert description["digest"] != described(tiny_llava)["digest"]


def test_conversations(tiny_llava, model):
    assert model.render("Hm?") == "USER: <image>\nHm? ASSISTANT:"
    raw = generic.load(described(tiny_llava, conversation="<image> {prompt}"), "cpu")
    assert raw.render("{prompt} $x") == "<image> {prompt} $x"
    with pytest.raises(InputError, match="holds the model's image token <image>"):
        raw.render("an <image> in the text")


def test_a_model_that_would_not_see_the_image_is_stopped(tiny_llava, images):
    with pytest.raises(InputError, match=r"conversation 'Look: \{prompt\}' has no place for the image"):
        generic.load(described(tiny_llava, conversation="Look: {prompt}"), "cpu")
    blind = generic.load(described(tiny_llava), "cpu")
    blind.image_token_id = 10**6
    with pytest.raises(InputError, match=r"would not see the image of 'USER: .* ASSISTANT:'.* 1000000 that"):
        blind.prepare(images[:1], ["Hm."])
    blind.image_token_id = None
    with pytest.raises(InputError, match=r"llava names no image token: it is from before .* take a newer revision"):
        blind.prepare(images[:1], ["Hm."])


def test_older_files_of_blip2_are_told_how_many_tokens_an_image_has(images):
    model, processor = families.blip2()
    processor.num_query_tokens = None
    prepared = generic.GenericModel(model, processor, "auto").prepare(images[:1], ["Hm."])
    assert int((prepared["input_ids"] == model.config.image_token_id).sum()) == 8


def test_half_precision(tiny_llava, images, model):
    half = generic.load(described(tiny_llava, dtype="bfloat16"), "cpu")
    states = half.states(images, PROMPTS, ["last"])["last"]
    assert states.dtype == torch.bfloat16
    full = model.states(images, PROMPTS, ["last"])["last"]
    assert relative(states.float()[:, :3], full[:, :3]) < 0.05


def test_description(tiny_llava, tmp_path):
    description = described(tiny_llava)
    assert description["n_layers"] == 6
    assert description["width"] == 128
    assert description["model_type"] == "llava"
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tiny_llava.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    # Moved files are the same model; changed files are another one.
    moved = described(copy)
    assert moved["folder"] != description["folder"]
    assert moved["digest"] == description["digest"]
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"vision_feature_layer": -2}))
    assert described(copy)["digest"] != description["digest"]


def test_model_complaints(tmp_path, tiny_llava):
    with pytest.raises(InputError, match=r"models.tiny: there is no .safetensors file"):
        described(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"has no config.json that transformers knows"):
        described(tmp_path)
    ResNetConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"models.tiny: .* type resnet .*config.json\) names no text decoder: "):
        described(tmp_path)
    for file in tiny_llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"models.tiny: .*model.safetensors is damaged or no safetensors file"):
        described(tmp_path)
    # And where a file was damaged only after it was registered.
    with pytest.raises(InputError, match=r"models.tiny: cannot load"):
        generic.load(described(tiny_llava) | {"folder": str(tmp_path)}, "cpu")


def test_a_family_that_the_adapter_does_not_serve_says_so(tiny_llava, monkeypatch):
    # get_decoder() of BLIP-2 and others gives a module of another shape.
    monkeypatch.setattr(LlavaForConditionalGeneration, "get_decoder", lambda self: self.lm_head)
    with pytest.raises(InputError, match="'generic' does not find its way in a model of type llava"):
        generic.load(described(tiny_llava), "cpu")

    def raises(self):
        raise NotImplementedError("no decoder")

    monkeypatch.setattr(LlavaForConditionalGeneration, "get_decoder", raises)
    with pytest.raises(InputError, match=r"of type llava \(NotImplementedError: no decoder \(.*line \d+\)\)"):
        generic.load(described(tiny_llava), "cpu")


def test_a_package_that_a_processor_needs_is_named(tiny_llava, monkeypatch):
    def missing(folder, **_):
        raise ImportError("requires the Torchvision library")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", missing)
    with pytest.raises(InputError, match="needs a package that is not here: requires the Torchvision"):
        described(tiny_llava)


def test_fingerprints_follow_content_not_place(tiny_llava, tmp_path):
    for file in tiny_llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert fingerprint(tmp_path, weights=True) == fingerprint(tiny_llava, weights=True)
    (tmp_path / "evaluation.json").write_text("{}")
    assert fingerprint(tmp_path, weights=True) == fingerprint(tiny_llava, weights=True)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    assert len(weights) > SAMPLES * SAMPLE_BYTES
    weights[len(weights) // 2 :] = bytes(len(weights) - len(weights) // 2)
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert fingerprint(tmp_path, weights=True) != fingerprint(tiny_llava, weights=True)
    # One tensor that was trained on, wherever in the file.
    tensors = load_file(tiny_llava / "model.safetensors")
    for name in tensors:
        save_file(tensors | {name: tensors[name] + 1}, tmp_path / "model.safetensors", {"format": "pt"})
        assert fingerprint(tmp_path, weights=True) != fingerprint(tiny_llava, weights=True), name
    # A twin draws its own weights.
    assert fingerprint(tmp_path, weights=False) == fingerprint(tiny_llava, weights=False)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint(tmp_path, weights=False) != fingerprint(tiny_llava, weights=False)
