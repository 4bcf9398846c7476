"""Molmo's adapter, on a stand-in for the published code and, where it can be had, on that code (tests/molmo.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from layerwise.errors import InputError
from layerwise.models.adapters import molmo
from layerwise.models.registration import describe_model
from tests.molmo import LAYERS, PROMPTS, NotHad, forget_code, save_weights, whole_model, write_molmo

POSITIONS = ["last", "image-mean"]


@pytest.fixture(scope="module", params=["standin", "published"])
def folder(request, tmp_path_factory) -> Path:
    """A tiny Molmo in the layout of the published ones, with weights in a file."""
    try:
        made = write_molmo(tmp_path_factory.mktemp("models") / "molmo", request.param)
    except NotHad as error:
        pytest.skip(str(error))
    forget_code()
    save_weights(made)
    yield made
    forget_code()


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
    expected = dict(whole_model(folder).model.named_parameters())
    for name, weights in model.decoder.named_parameters():
        assert torch.equal(weights, expected[name]), name


@pytest.mark.parametrize("words", [0, 3, 120])
def test_the_picture_may_stand_after_a_text(model, images, words, monkeypatch):
    """Even after more tokens than the number that marks unused patches."""
    monkeypatch.setattr(model, "conversation", "a " * words + "<image> User: {prompt}")
    prepared = model.prepare(images[:1], PROMPTS[:1])
    places = prepared.places[0].flatten()
    patches = (prepared.ids[0] == model.token["patch"]).nonzero().flatten()
    assert patches[0] >= words
    assert sorted(places[places >= 0].tolist()) == patches.tolist()


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
    with pytest.raises(InputError, match=r"config.json: auto_map names no AutoConfig"):
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
