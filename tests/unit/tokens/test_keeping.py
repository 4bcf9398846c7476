"""The program that keeps image tokens, and the reader of its file."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.models.registration import describe_model
from layerwise.states.pictures.program import PROMPT
from layerwise.states.shards import open_states
from layerwise.tokens import program
from layerwise.tokens.store import open_tokens
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY

PICTURES = "abcdefgh"
WORDS = ["circle", "square", "star"]
# The text of all prompts, so that states of whole prompts can be compared.
TEXT = PROMPT


@pytest.fixture(scope="module")
def described(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    return describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight pictures of two official parts, with an object each, and a second item about each of them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    annotations, images = [], []
    for place, name in enumerate(PICTURES):
        Image.fromarray(rng.integers(0, 256, (64 + 8 * place, 64, 3), dtype=np.uint8)).save(folder / f"{name}.png")
        images.append({"id": place, "width": 64, "height": 64 + 8 * place})
        annotations.append({"image_id": place, "category_id": place % 3, "bbox": [16 * (place % 4), 16, 16, 16]})
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    ids = [f"{name}/{n}" for name in PICTURES for n in (0, 1)]
    write_items(folder, [(item, folder / f"{item[0]}.png", TEXT) for item in ids])
    provenance = [(item, item[0], "train2017" if item[0] in "abcdef" else "val2017") for item in ids]
    pd.DataFrame(provenance, columns=["item_id", "image_id", "part"]).to_parquet(folder / "provenance.parquet")
    objects = [(name, WORDS[place % 3], str(folder / "instances.json"), place) for place, name in enumerate(PICTURES)]
    table = pd.DataFrame(objects, columns=["image_id", "category", "file", "record"])
    table.to_parquet(folder / "objects.parquet")
    return folder


def command(folder, described, tmp_path, out, **changed):
    (folder / "model.json").write_text(json.dumps(described))
    cell = {"model": "m", "stimuli": "s", "share": 1, "seed": None, "layers": None, "dtype": "float32", "code": "1"}
    options = {"model": folder / "model.json", "stimuli": folder, "cell": json.dumps(cell | changed), "batch-size": 3}
    options |= {"threads": 1, "work": tmp_path / "work", "kept": tmp_path / "kept", "out": tmp_path / out}
    listed = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return ["python", str(REPOSITORY / "scripts/keep_tokens.py"), *listed]


def test_the_mean_of_the_tokens_is_the_state_at_the_images_mean(folder, described, tmp_path, monkeypatch):
    run_here(extraction(folder, described, ["image-mean", "last"], tmp_path / "states.h5"), monkeypatch)
    run_here(command(folder, described, tmp_path, "tokens.h5"), monkeypatch)
    with open_states([tmp_path / "states.h5"]) as states, open_tokens(tmp_path / "tokens.h5") as tokens:
        assert tokens.layer_names == states.layers
        assert tokens.layers == list(range(len(states.layers)))
        assert tokens.n_layers == len(states.layers) - 2
        assert tokens.item_ids == states.item_ids
        assert tokens.counts.tolist() == [16] * 8
        for place in range(len(tokens.layers)):
            of_pictures = tokens.layer(place)
            assert of_pictures.shape == (8, 16, states.shape("image-mean")[1])
            expected = states.layer("image-mean", place)[states.row_of_item]
            np.testing.assert_allclose(of_pictures.mean(1)[tokens.row_of_item], expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(tokens.layer(place, 2, 5), of_pictures[2:5])
        assert np.ptp(of_pictures, axis=1).max() > 0.01
        assert tokens.image_id == list(PICTURES)
        # Patches of 16 pixels, row by row; the first picture is not cropped.
        np.testing.assert_allclose(tokens.places[0][5], [0.25, 0.25, 0.5, 0.5])
        assert tokens.boxes(0, "circle").tolist() == [[0, 0.25, 0.25, 0.5]]
        assert tokens.boxes(1, "square").tolist() == [[0.25, pytest.approx(16 / 72), 0.5, pytest.approx(32 / 72)]]
        assert not len(tokens.boxes(0, "star"))
        assert tokens.words == WORDS
    assert not list((tmp_path / "work").glob("*/*"))
    # The same content under another name runs nothing.
    monkeypatch.setattr(program, "start_torch", None)
    run_here(command(folder, described, tmp_path, "again.h5"), monkeypatch)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "tokens.h5").read_bytes()
