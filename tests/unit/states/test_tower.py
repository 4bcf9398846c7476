"""States of vision towers: the program that makes them, the probes that read them, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.models.vision_tower import VisionTower
from layerwise.states.plan import plan_parts
from layerwise.states.shards import open_states
from layerwise.states.tower import program
from layerwise.states.tower.layers import TowerLayer, layers_in
from layerwise.states.tower.reading import read_parts, tower_layers
from layerwise.states.work import WorkFolder
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import unique_inputs
from layerwise.tasks.picture_labels import check_of_pictures
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY
from tests.families.family import frozen
from tests.families.native_resolution import qwen2_vl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten items of five pictures of several shapes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number, name in enumerate("abcde"):
        pixels = rng.integers(0, 256, (32 + 8 * number, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    write_items(folder, [(f"i{n}", folder / f"{'abcde'[n % 5]}.png", f"text {n}") for n in range(10)])
    return folder


@pytest.fixture(scope="module")
def described(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    return describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)


def test_the_projector_gives_what_states_have_at_layer_0(folder, described, tmp_path, monkeypatch):
    run_here(extraction(folder, described, ["image-mean", "last"], tmp_path / "states.h5"), monkeypatch)
    cell = json.dumps({"model": "m", "dtype": "float32", "code": "1"})
    command = ["python", REPOSITORY / "scripts/read_tower.py", "--model", folder / "model.json", "--stimuli", folder]
    command += ["--cell", cell, "--batch-size", "2", "--threads", "1", "--work", tmp_path / "work"]
    command += ["--kept", tmp_path / "kept", "--out"]
    run_here(list(map(str, [*command, tmp_path / "tower.h5"])), monkeypatch)
    with open_states([tmp_path / "states.h5"]) as states, open_states([tmp_path / "tower.h5"]) as tower:
        layers = layers_in(tower.positions)
        assert [(layer.depth, layer.pooling) for layer in layers if layer.part == "tower"] == [
            (0, "patch-mean"),
            *((depth, pooling) for depth in (1, 2) for pooling in ("class-token", "patch-mean")),
        ]
        assert layers[-1] == TowerLayer(3, "projector", "image-mean")
        assert tower.item_ids == states.item_ids
        for layer in layers:
            assert tower.shape(layer.dataset)[0] == 5
        # Blocks are as wide as the tower, the projector's output as the decoder.
        assert tower.shape(layers[-1].dataset)[1] == states.shape("image-mean")[1]
        ours = tower.layer(layers[-1].dataset, 0)[tower.row_of_item]
        np.testing.assert_allclose(ours, states.layer("image-mean", 0)[states.row_of_item], rtol=1e-5, atol=1e-6)
        assert np.ptp(tower.layer(layers[1].dataset, 0), axis=0).max() > 0.01
    assert not list((tmp_path / "work").glob("*/*"))
    # The same content under another name runs nothing.
    monkeypatch.setattr(program, "start_torch", None)
    run_here(list(map(str, [*command, tmp_path / "again.h5"])), monkeypatch)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "tower.h5").read_bytes()


def test_a_stopped_pass_goes_on_and_batches_change_nothing(folder, described, tmp_path, monkeypatch):
    """Pictures that fill one row of patches run one by one."""
    monkeypatch.setattr("layerwise.states.plan.BATCHES_PER_PART", 1)
    items, _ = read_items(folder)
    inputs = unique_inputs(items, [program.PROMPT] * len(items))[0]
    for name, model in (("llava", generic.load(described, "cpu")), ("qwen", frozen(qwen2_vl))):
        tower, parts = VisionTower(model), plan_parts(inputs, 0, batch_size=2)
        inner, seen = model.prepare, []

        def prepare(images, prompts, inner=inner, seen=seen):
            seen.append(len(images))
            return inner(images, prompts)

        monkeypatch.setattr(model, "prepare", prepare)
        work = WorkFolder(tmp_path / name)
        read_parts(model, tower, inputs, parts[:2], work)
        before = len(seen)
        read_parts(model, tower, inputs, parts, work)
        # The last picture alone is left.
        assert sum(seen[before:]) == 1
        names = [layer.dataset for layer in tower_layers(tower)]
        alone = WorkFolder(tmp_path / f"{name}-alone")
        one = plan_parts(inputs, 0, batch_size=1)
        read_parts(model, tower, inputs, one, alone)
        for dataset in names:
            together = np.concatenate([values[dataset] for _, values in work.assemble([(0, 2), (2, 4), (4, 5)], names)])
            single = np.concatenate(
                [values[dataset] for _, values in alone.assemble([(i, i + 1) for i in range(5)], names)]
            )
            np.testing.assert_allclose(together, single, rtol=1e-4, atol=1e-5)


def test_a_state_that_is_not_finite_is_named(folder, described, tmp_path):
    items, _ = read_items(folder)
    inputs, model = unique_inputs(items, [program.PROMPT] * len(items))[0], generic.load(described, "cpu")
    with torch.no_grad():
        model.model.base_model.vision_tower.encoder.layers[1].mlp.fc2.bias[0] = float("inf")
    with pytest.raises(FloatingPointError, match=r"in the vision tower at 002\.tower\.class-token, item i0"):
        read_parts(model, VisionTower(model), inputs, plan_parts(inputs, 0, batch_size=2), WorkFolder(tmp_path))


def test_a_decoder_without_tokens_of_the_image_is_refused(folder, described, tmp_path, monkeypatch):
    monkeypatch.setattr("layerwise.states.pictures.embedding.has_image_tokens", lambda *_: False)
    (folder / "model.json").write_text(json.dumps(described))
    how = {"batch_size": 2, "device_map": None, "cards": 1, "threads": 1, "work": tmp_path / "work", "kept": None}
    with pytest.raises(InputError, match=r"models\.m: the decoder has no tokens of the image.*tower\.models"):
        program.read_tower(
            model=folder / "model.json",
            stimuli=folder,
            cell={"code": "1", "dtype": "float32"},
            out=tmp_path / "none.h5",
            **how,
        )


def test_labels_that_the_text_decides_are_refused():
    labels = pd.DataFrame({"item_id": ["a", "b", "c"], "label": "agrees", "y": [0, 1, 1]})
    check_of_pictures("tasks/agree", labels, {"a": 0, "b": 1, "c": 1})
    with pytest.raises(
        InputError, match=r"agree: 'a' and 'b' show the same picture and differ in 'agrees'.*tower\.tasks"
    ):
        check_of_pictures("tasks/agree", labels, {"a": 0, "b": 0, "c": 1})
    # Of several labels each is looked at by itself.
    check_of_pictures("tasks/objects", labels.assign(label=["cat", "dog", "dog"]), {"a": 0, "b": 0, "c": 0})
