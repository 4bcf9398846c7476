"""Features of pictures: the program that makes them, and what it keeps when it is stopped."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.pictures import program
from layerwise.states.pictures.embedding import embed_parts, has_image_tokens
from layerwise.states.plan import plan_parts
from layerwise.states.shards import open_states
from layerwise.states.work import WorkFolder
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import unique_inputs
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY
from tests.families.cross_attention import mllama
from tests.families.family import frozen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten items of five pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in "abcde":
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    write_items(folder, [(f"i{n}", folder / f"{'abcde'[n % 5]}.png", f"text {n}") for n in range(10)])
    return folder


@pytest.fixture(scope="module")
def described(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    return describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)


def inputs_of(folder):
    items, _ = read_items(folder)
    return unique_inputs(items, [program.PROMPT] * len(items))[0]


def test_the_program_keeps_what_states_have_at_layer_0(folder, described, tmp_path, monkeypatch):
    run_here(extraction(folder, described, ["image-mean", "last"], tmp_path / "states.h5"), monkeypatch)
    command = ["python", REPOSITORY / "scripts/embed_pictures.py", "--model", folder / "model.json"]
    command += ["--stimuli", folder, "--cell", json.dumps({"model": "m", "code": "1"}), "--batch-size", "2"]
    command += ["--threads", "1", "--work", tmp_path / "work", "--kept", tmp_path / "kept", "--out"]
    run_here(list(map(str, [*command, tmp_path / "pictures.h5"])), monkeypatch)
    with open_states([tmp_path / "states.h5"]) as states, open_states([tmp_path / "pictures.h5"]) as pictures:
        assert (pictures.positions, pictures.layers) == (["image-mean"], ["embeddings"])
        assert states.shape("image-mean")[0] == 10
        assert pictures.shape("image-mean") == (5, states.shape("image-mean")[1])
        assert pictures.item_ids == states.item_ids
        ours = pictures.layer("image-mean", 0)[pictures.row_of_item]
        np.testing.assert_allclose(ours, states.layer("image-mean", 0)[states.row_of_item], rtol=1e-5, atol=1e-6)
        assert np.ptp(ours, axis=0).max() > 0.01
    assert not list((tmp_path / "work").glob("*/*"))
    # The same content under another name runs nothing.
    monkeypatch.setattr(program, "start_torch", None)
    run_here(list(map(str, [*command, tmp_path / "again.h5"])), monkeypatch)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "pictures.h5").read_bytes()


def test_a_stopped_pass_goes_on_at_the_last_part(folder, described, tmp_path, monkeypatch, caplog):
    inputs, model = inputs_of(folder), generic.load(described, "cpu")
    # A picture in each batch, and as many batches in a part.
    monkeypatch.setattr("layerwise.states.plan.BATCHES_PER_PART", 2)
    parts = plan_parts(inputs, 0, batch_size=1)
    assert [len(units) for units in parts] == [2, 2, 1]
    inner, seen = model.forward, []

    def forward(**given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(given["input_ids"]))
        return inner(**given)

    monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        embed_parts(model, inputs, parts, WorkFolder(tmp_path))
    assert [file.name for file in tmp_path.glob("rows-*")] == ["rows-000000000-000000002.safetensors"]
    monkeypatch.setattr(model, "forward", inner)
    with caplog.at_level(logging.INFO):
        embed_parts(model, inputs, parts, WorkFolder(tmp_path))
    assert "pictures 0 to 2 were finished by an earlier job" in caplog.text
    assert len(list(tmp_path.glob("rows-*"))) == 3


def test_out_of_memory_halves_the_batch(folder, described, tmp_path, monkeypatch, caplog):
    inputs, model = inputs_of(folder), generic.load(described, "cpu")
    inner, sizes = model.forward, []

    def forward(**given):
        if len(given["input_ids"]) > 2:
            torch.empty(2**48)
        sizes.append(len(given["input_ids"]))
        return inner(**given)

    embed_parts(model, inputs, plan_parts(inputs, 0, batch_size=1), WorkFolder(tmp_path / "alone"))
    monkeypatch.setattr(model, "forward", forward)
    embed_parts(model, inputs, plan_parts(inputs, 0, batch_size=5), WorkFolder(tmp_path / "together"))
    assert sizes == [2, 2, 1]
    assert "out of device memory with 5 pictures in a batch at once" in caplog.text
    alone, together = (
        WorkFolder(tmp_path / name).load(0, 5, ["image-mean"])["image-mean"] for name in ("alone", "together")
    )
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_a_broken_picture_is_named(folder, described, tmp_path):
    inputs, model = inputs_of(folder).copy(), generic.load(described, "cpu")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    inputs.loc[3, "image"] = str(tmp_path / "broken.png")
    with pytest.raises(InputError, match=r"i3: .*broken\.png: the image cannot be decoded"):
        embed_parts(model, inputs, plan_parts(inputs, 0, batch_size=2), WorkFolder(tmp_path / "work"))


def test_a_family_without_image_tokens_has_no_features(folder, described, tmp_path, monkeypatch, caplog):
    inputs, model = inputs_of(folder), frozen(mllama)
    assert has_image_tokens(generic.load(described, "cpu"), inputs)
    assert not has_image_tokens(model, inputs)
    (folder / "model.json").write_text(json.dumps(described))
    monkeypatch.setattr("layerwise.models.opening.open_model", lambda *_, **__: model)
    how = {"batch_size": 2, "device_map": None, "cards": 1, "threads": 1, "work": tmp_path / "work", "kept": None}
    program.embed(model=folder / "model.json", stimuli=folder, cell={"code": "1"}, out=tmp_path / "none.h5", **how)
    with open_states([tmp_path / "none.h5"]) as pictures:
        assert pictures.positions == []
        assert pictures.cell["none"] == "the decoder has no tokens of the image"
    assert "no features of pictures are kept" in caplog.text
