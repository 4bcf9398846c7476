"""Molmo's adapter on code that lies beside the weights.

A stand-in of our own for that code (molmo_standin/) runs everywhere. LAYERWISE_MOLMO_CODE may name a folder with the
published code, configurations and tokenizer, without weights; then the same tests run on these. They need einops.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from layerwise.errors import InputError
from layerwise.models.adapters import molmo
from layerwise.models.registration import describe_model

POSITIONS = ["last", "image-mean"]
PROMPTS = ["Is there a red circle ?", "a blue square left of a green star in the image", "a"]
PUBLISHED = "LAYERWISE_MOLMO_CODE"
LAYERS = 3


@pytest.fixture(scope="module", params=["standin", "published"])
def folder(request, tmp_path_factory) -> Path:
    """A tiny Molmo in the layout of the published ones, with weights in a file."""
    made = tmp_path_factory.mktemp("models") / "molmo"
    if request.param == "standin":
        write_standin(made)
    elif PUBLISHED in os.environ:
        write_published(made, Path(os.environ[PUBLISHED]))
    else:
        pytest.skip(f"{PUBLISHED} names no folder with Molmo's published code")
    forget_code()
    code = molmo.import_code({"model": "tiny", "folder": str(made), "trust_remote_code": True})
    torch.manual_seed(5)
    model = code.model(code.config.from_pretrained(made))
    molmo.draw(model, 0.05)
    save_file(model.state_dict(), made / "model.safetensors")
    yield made
    forget_code()


def forget_code() -> None:
    """Let code of another folder be imported under the same names."""
    for name in [name for name in sys.modules if name.split(".")[0] == "molmo"]:
        del sys.modules[name]


def write_standin(folder: Path) -> None:
    shutil.copytree(Path(__file__).parent / "molmo_standin", folder, ignore=shutil.ignore_patterns("__pycache__"))
    words = sorted({word for prompt in PROMPTS for word in prompt.split()})
    vocabulary = ["<unk>", "<eos>", *molmo.SPECIAL.values(), "User", ":", "Assistant", *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    wrapped.add_tokens(list(molmo.SPECIAL.values()), special_tokens=True)
    wrapped.save_pretrained(folder)
    named = {"AutoConfig": "config_molmo.MolmoConfig", "AutoModelForCausalLM": "modeling_molmo.MolmoForCausalLM"}
    sizes = {"num_hidden_layers": LAYERS, "hidden_size": 32, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps({"model_type": "molmo", "auto_map": named} | sizes))
    named = {"AutoImageProcessor": "image_preprocessing_molmo.MolmoImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({"auto_map": named}))


def write_published(folder: Path, code: Path) -> None:
    folder.mkdir()
    for file in code.iterdir():
        if file.suffix in (".json", ".py", ".txt", ".jinja") and not file.name.endswith(".index.json"):
            shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    # The vision tower's sizes stand in the code, and stay.
    config |= {"num_hidden_layers": LAYERS, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    config |= {"num_key_value_heads": 2, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))


def described(folder: Path, **entry) -> dict:
    entry = {"source": str(folder), "weights": "pretrained", "dtype": "auto", "conversation": "auto"} | entry
    return describe_model("tiny", {"adapter": "molmo", "trust_remote_code": True} | entry, None, 3)


@pytest.fixture(scope="module")
def model(folder) -> molmo.MolmoModel:
    return molmo.load(described(folder), "cpu")


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Three pictures of different shapes, so that they have different numbers of crops."""
    noise = [np.random.default_rng(i).integers(0, 256, (5 + i, 7, 3), dtype=np.uint8) for i in range(3)]
    sizes = [(420, 280), (200, 300), (336, 336)]
    return [Image.fromarray(one).resize(size) for one, size in zip(noise, sizes, strict=True)]


def relative(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (first.float() - second.float()).norm(dim=-1) / second.float().norm(dim=-1)


def test_it_is_described_by_its_files(folder):
    description = described(folder)
    assert (description["model_type"], description["n_layers"], description["dtype"]) == ("molmo", LAYERS, "float32")
    assert description["conversation"] == "<image> User: {prompt} Assistant:"
    with pytest.raises(InputError, match=r"models.tiny.adapter: a model of type molmo needs `adapter: molmo`"):
        described(folder, adapter="generic")


def test_states_of_a_batch_are_those_that_the_code_reports_for_each_alone(model, images):
    batch = model.states(images, PROMPTS, POSITIONS)
    for i in range(3):
        prepared = model.prepare(images[i : i + 1], PROMPTS[i : i + 1])
        alone, reported = model.run(prepared, POSITIONS), model.reported(prepared, POSITIONS)
        for position in POSITIONS:
            assert alone[position].shape == (1, LAYERS + 2, model.width)
            # The code reports no output of the last block.
            kept = torch.cat([alone[position][:, :-2], alone[position][:, -1:]], dim=1)
            assert torch.equal(kept, reported[position])
            assert relative(batch[position][i], alone[position][0]).max() < 1e-5
    for position in POSITIONS:
        assert relative(batch[position][:, 1:], batch[position][:, :-1]).min() > 1e-3
        assert relative(batch[position][0, 1:], batch[position][1, 1:]).min() > 1e-3
    other = model.states([images[1]], PROMPTS[:1], ["last"])["last"]
    assert relative(other[0, 1:], batch["last"][0, 1:]).min() > 1e-4, "it does not see the picture"


def test_the_weights_are_those_of_the_file(model, folder):
    code = molmo.import_code({"model": "tiny", "folder": str(folder), "trust_remote_code": True})
    torch.manual_seed(5)
    whole = code.model(code.config.from_pretrained(folder))
    molmo.draw(whole, 0.05)
    expected = dict(whole.model.named_parameters())
    for name, weights in model.decoder.named_parameters():
        assert torch.equal(weights, expected[name]), name


def test_the_picture_may_stand_after_a_text(model, images):
    first = model.prepare(images[:1], PROMPTS[:1])
    said, model.conversation = model.conversation, "a " * 120 + "<image> User: {prompt}"
    try:
        after = model.prepare(images[:1], PROMPTS[:1]) if model.longest > 1000 else None
        model.conversation = "a a a <image> User: {prompt}"
        near = model.prepare(images[:1], PROMPTS[:1])
    finally:
        model.conversation = said
    for prepared in filter(None, [first, after, near]):
        places = prepared.places[0].flatten()
        patches = (prepared.ids[0] == model.token["patch"]).nonzero().flatten()
        assert sorted(places[places >= 0].tolist()) == patches.tolist()
    assert near.ids.tolist() != first.ids.tolist()


def test_a_text_is_read_alone(model, images):
    alone = model.states([None, None], PROMPTS[:2], ["last"])["last"]
    assert alone.isfinite().all()
    assert relative(alone, model.states(images[:2], PROMPTS[:2], ["last"])["last"])[:, 1:].min() > 1e-4


def test_twins_are_drawn_from_their_seed(folder, images):
    first, again, other = (
        molmo.load(described(folder, weights="random") | {"seed": seed}, "cpu").states(images, PROMPTS, ["last"])[
            "last"
        ]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    # No embedding is left at zero, so the prompt's last token shows in the first state as well.
    assert relative(first, other).min() > 0.1
    half = molmo.load(described(folder, weights="random", dtype="bfloat16") | {"seed": 1}, "cpu")
    assert half.states(images[:1], PROMPTS[:1], ["last"])["last"].dtype == torch.bfloat16


def test_what_it_cannot_read_is_refused(model, folder, images):
    with pytest.raises(InputError, match=r"the model's own token <im_patch>; reword"):
        model.render("what is <im_patch> ?")
    with pytest.raises(InputError, match=rf"tokens, and its longest may have {model.longest}"):
        model.prepare(images[:1], ["a " * 5000])
    with pytest.raises(InputError, match=r"models.m: the code of Molmo .*trust_remote_code"):
        molmo.import_code({"model": "m", "folder": str(folder)})


def test_configurations_of_other_models_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    config = {"model_type": "molmo", "num_hidden_layers": 1, "hidden_size": 8, "quantization_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="these weights are quantized"):
        described(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llava"}))
    with pytest.raises(InputError, match="the adapter 'molmo' serves the type molmo, not llava"):
        described(tmp_path)
    del config["quantization_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="config.json: auto_map names no AutoConfig"):
        molmo.load(described(tmp_path), "cpu")


def test_pictures_are_fitted_as_the_published_processor_fits_them():
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    pixels, mask = molmo.resized_and_padded(picture, (30, 40))
    mean, std = np.float32(molmo.OPENAI_CLIP_MEAN), np.float32(molmo.OPENAI_CLIP_STD)
    # Of the frame's height, it keeps its size, in the middle, black at the sides.
    assert mask.sum(axis=1).tolist() == [20] * 30
    assert mask[:, 10:30].all()
    assert np.allclose(pixels[:, 10:30] * std + mean, picture / 255, atol=1e-6)
    assert np.allclose(pixels[:, :10] * std + mean, 0, atol=1e-6)
    # Smoothed when made smaller, with a triangle twice as wide as the step.
    row = np.zeros((1, 8, 3), dtype=np.uint8)
    row[:, 4] = 255
    half = molmo.resized_and_padded(np.repeat(row, 8, axis=0), (4, 4))[0][0] * std + mean
    assert np.allclose(half[:, 0], [0, 0.125, 0.375, 0], atol=1e-6)
