"""The program that keeps image tokens, and the reader of its file."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.patches import Unmapped
from layerwise.models.registration import describe_model
from layerwise.states.pictures.program import PROMPT
from layerwise.states.shards import open_states
from layerwise.tokens import program
from layerwise.tokens.sampling import draw_pictures
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


def test_a_share_is_drawn_of_each_part_with_all_its_items(folder, described, tmp_path, monkeypatch):
    run_here(command(folder, described, tmp_path, "some.h5", share=0.5, seed=0, layers=[2, 0]), monkeypatch)
    run_here(command(folder, described, tmp_path, "all.h5", dtype="bfloat16"), monkeypatch)
    with open_tokens(tmp_path / "some.h5") as some, open_tokens(tmp_path / "all.h5") as whole:
        drawn = draw_pictures(folder, 0.5, 0)
        assert some.image_id == drawn.image_id
        assert [sum(name in part for name in some.image_id) for part in ("abcdef", "gh")] == [3, 1]
        assert some.item_ids == [f"{name}/{n}" for name in some.image_id for n in (0, 1)]
        assert some.row_of_item.tolist() == [row for row in range(4) for _ in (0, 1)]
        assert (some.layers, some.layer_names) == ([0, 2], ["embeddings", "block 2"])
        at = [PICTURES.index(name) for name in some.image_id]
        # bfloat16 has eight bits.
        np.testing.assert_allclose(whole.layer(2)[at], some.layer(1), rtol=2**-8)
        assert not np.array_equal(whole.layer(2)[at], some.layer(1))
        np.testing.assert_array_equal(whole.places[at], some.places)
        for row, name in enumerate(some.image_id):
            word = WORDS[PICTURES.index(name) % 3]
            np.testing.assert_array_equal(some.boxes(row, word), whole.boxes(at[row], word))
            assert len(some.boxes(row, word)) == 1


def test_other_seeds_draw_other_pictures_and_each_part_has_at_least_one(folder):
    drawn = [draw_pictures(folder, 0.5, seed).image_id for seed in range(5)]
    assert draw_pictures(folder, 0.5, 0).image_id == drawn[0]
    assert len(set(map(tuple, drawn))) > 1
    assert [sum(name in "gh" for name in names) for names in drawn] == [1] * 5
    few = draw_pictures(folder, 0.01, 0)
    assert len(few.image_id) == 2
    assert set(few.boxes["picture"]) == {0, 1}


def test_layers_that_a_model_has_not_are_refused(folder, described, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"pooled\.layers: there is no layer 9 in m, which has 6 blocks; .* 0 .* to 7"):
        run_here(command(folder, described, tmp_path, "none.h5", layers=[1, 9]), monkeypatch)
    assert not (tmp_path / "none.h5").exists()


def test_a_decoder_without_tokens_of_the_image_is_refused(folder, described, tmp_path, monkeypatch):
    monkeypatch.setattr("layerwise.states.pictures.embedding.has_image_tokens", lambda *_: False)
    with pytest.raises(InputError, match=r"models\.m: the decoder has no tokens of the image.*pooled\.models"):
        run_here(command(folder, described, tmp_path, "none.h5"), monkeypatch)


def test_tokens_whose_places_are_unknown_are_kept_without(folder, described, tmp_path, monkeypatch, caplog):
    def unknown(*_):
        raise Unmapped("it is not known which tokens show which place")

    monkeypatch.setattr("layerwise.lens.parts.known_places", unknown)
    run_here(command(folder, described, tmp_path, "unplaced.h5"), monkeypatch)
    with open_tokens(tmp_path / "unplaced.h5") as tokens:
        assert np.isnan(tokens.places).all()
        assert tokens.layer(1).any(axis=2).all()
    assert caplog.text.count("it is not known which tokens show which place; tokens are kept without") == 1


def test_stimuli_without_annotations_have_no_boxes(folder, tmp_path):
    for name in ("items.parquet", "stimuli.json", "provenance.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert draw_pictures(tmp_path, 1, None).boxes.empty


def test_other_and_damaged_files_are_refused(folder, described, tmp_path, monkeypatch):
    run_here(command(folder, described, tmp_path, "tokens.h5"), monkeypatch)
    with open_tokens(tmp_path / "tokens.h5", {"share": 1, "code": "1"}) as tokens:
        offset = tokens.file["tokens"].id.get_chunk_info(2).byte_offset
    other = open_tokens(tmp_path / "tokens.h5", {"share": 0.5, "code": "1"})
    with pytest.raises(InputError, match=r"tokens\.h5: these tokens are of another cell \(share changed"), other:
        pass
    (tmp_path / "text.h5").write_text("none")
    with pytest.raises(InputError, match=r"text\.h5: missing or damaged"), open_tokens(tmp_path / "text.h5"):
        pass
    with h5py.File(tmp_path / "else.h5", "w"):
        pass
    with pytest.raises(InputError, match=r"else\.h5: holds no image tokens"), open_tokens(tmp_path / "else.h5"):
        pass
    content = bytearray((tmp_path / "tokens.h5").read_bytes())
    content[offset + 20] ^= 1
    (tmp_path / "flipped.h5").write_bytes(content)
    damaged = pytest.raises(InputError, match=r"flipped\.h5: block 2 is damaged")
    with open_tokens(tmp_path / "flipped.h5") as tokens, damaged:
        tokens.layer(2)
