"""What is read at image tokens, against the family's own forward pass; and the program that keeps it."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.lens import program
from layerwise.lens.maps import open_maps
from layerwise.lens.parts import make_parts
from layerwise.lens.reading import read_words
from layerwise.lens.scores import score_maps
from layerwise.lens.words import word_tokens
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.plan import plan_parts
from layerwise.states.work import WorkFolder
from tests.cells import run_here, write_items
from tests.conftest import REPOSITORY

NAMES = "abcde"
WORDS = ["circle", "square", "star"]


@pytest.fixture(scope="module")
def described(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    return describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of 64 x 64 pixels with an object each, and a second item about each of them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    annotations, images = [], []
    for place, name in enumerate(NAMES):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"{name}.png")
        images.append({"id": place, "width": 64, "height": 64})
        box = [16 * (place % 4), 16, 16, 16]
        annotations.append({"image_id": place, "category_id": place % 3, "bbox": box})
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    ids = [f"{name}/{n}" for name in NAMES for n in (0, 1)]
    write_items(folder, [(item, folder / f"{item[0]}.png", item) for item in ids])
    provenance = [(item, item[0], "val2017" if item[0] != "e" else "train2017") for item in ids]
    pd.DataFrame(provenance, columns=["item_id", "image_id", "part"]).to_parquet(folder / "provenance.parquet")
    objects = [(name, WORDS[place % 3], str(folder / "instances.json"), place) for place, name in enumerate(NAMES)]
    table = pd.DataFrame(objects, columns=["image_id", "category", "file", "record"])
    table.to_parquet(folder / "objects.parquet")
    return folder


def expected(model, pictures, tokens):
    """The head over the family's own hidden states, one picture at a time."""
    found = []
    for picture in pictures:
        inputs = model.prepare([picture], [program.PROMPT])
        inputs = inputs[0] if isinstance(inputs, list) else inputs
        with torch.no_grad():
            made = model.model(**inputs, output_hidden_states=True)
        image = (inputs["input_ids"] == model.model.config.image_token_id)[0]
        norm, head = model.final_norm, model.model.get_output_embeddings()
        # Of the last block the family shows the state behind the norm alone.
        layers = [head(norm(hidden[0, image])) for hidden in made.hidden_states[:-1]] + [made.logits[0, image]]
        logs = [layer.float().log_softmax(-1) for layer in layers]
        found.append(torch.stack([torch.stack([log[:, ids].logsumexp(1) for log in logs]) for ids in tokens]).numpy())
    return found


def test_what_is_read_is_the_head_over_the_familys_own_states(folder, described):
    model = generic.load(described, "cpu")
    tokens = list(word_tokens(model, program.PROMPT, WORDS).values())
    assert all(tokens)
    pictures = [Image.open(folder / f"{name}.png").convert("RGB") for name in NAMES[:2]]
    read = read_words(model, model.prepare(pictures, [program.PROMPT] * 2), tokens)
    for own, known in zip(read, expected(model, pictures, tokens), strict=True):
        assert own.shape == (len(WORDS), model.n_layers + 2, 16)
        # The family's last state is the norm's output; the block's own output is there in between.
        np.testing.assert_allclose(own[:, :-2], known[:, :-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own[:, -1], known[:, -1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own[:, -2], own[:, -1], rtol=1e-4, atol=1e-5)
    assert np.ptp(read[0], axis=2).max() > 0.01


def test_tokens_that_begin_two_words_count_for_neither(described):
    model = generic.load(described, "cpu")
    lists = ["star"], ["star", "rats", "star x"]
    alone, together = (word_tokens(model, program.PROMPT, words) for words in lists)
    assert alone["star"]
    # All with which the one begins, the other begins with.
    assert together["star"] == together["star x"] == []
    assert together["rats"]


def command(folder, described, tmp_path, out, pictures=10):
    (folder / "model.json").write_text(json.dumps(described))
    cell = {"model": "m", "stimuli": "s", "pictures": pictures, "parts": ["val2017"], "seed": 0, "code": "1"}
    options = {"model": folder / "model.json", "stimuli": folder, "cell": json.dumps(cell), "batch-size": 2}
    options |= {"threads": 1, "work": tmp_path / "work", "kept": tmp_path / "kept", "out": tmp_path / out}
    listed = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return ["python", str(REPOSITORY / "scripts/read_patches.py"), *listed]


def test_the_program_keeps_maps_of_sampled_pictures_once(folder, described, tmp_path, monkeypatch):
    run_here(command(folder, described, tmp_path, "maps.h5"), monkeypatch)
    model = generic.load(described, "cpu")
    with open_maps(tmp_path / "maps.h5") as maps:
        # The train part is left out; each picture is there once, with its own object's word first.
        assert maps.image_id == list("abcd")
        assert [word for word, own in zip(maps.word, maps.present, strict=True) if own] == [*WORDS, "circle"]
        assert len(maps.word) == 4 * len(WORDS)
        tokens = maps.cell["tokens"]
        picture = Image.open(maps.image[1]).convert("RGB")
        known = expected(model, [picture], list(tokens.values()))[0]
        pair = next(n for n in range(len(maps.word)) if maps.picture[n] == 1 and maps.word[n] == "square")
        np.testing.assert_allclose(maps.map(pair)[:-2], known[1, :-1], rtol=1e-4, atol=1e-5)
        # Patches of 16 pixels, row by row.
        np.testing.assert_allclose(maps.places[1][5], [0.25, 0.25, 0.5, 0.5])
        assert maps.boxes(1, "square").tolist() == [[0.25, 0.25, 0.5, 0.5]]
        scores = score_maps(maps, seed=0)
    own = scores[(scores["image_id"] == "b") & (scores["measure"] == "pointing")].set_index("layer")["value"]
    assert own[0] == float(known[1, 0].argmax() == 5)
    assert not list((tmp_path / "work").glob("*/*"))
    # The same content under another name runs nothing.
    monkeypatch.setattr(program, "start_torch", None)
    run_here(command(folder, described, tmp_path, "again.h5"), monkeypatch)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "maps.h5").read_bytes()


def test_a_stopped_pass_goes_on_at_the_last_part(folder, described, tmp_path, monkeypatch, caplog):
    model = generic.load(described, "cpu")
    rows = [(f"{name}/0", str(folder / f"{name}.png"), program.PROMPT) for name in NAMES]
    inputs = pd.DataFrame(rows, columns=["item_id", "image", "prompt"])
    monkeypatch.setattr("layerwise.states.plan.BATCHES_PER_PART", 2)
    parts = plan_parts(inputs, 0, batch_size=1)
    tokens, asked = list(word_tokens(model, program.PROMPT, WORDS).values()), [[0, 2]] * 5
    inner, seen = model.forward, []

    def forward(**given):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(given["input_ids"]))
        return inner(**given)

    monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        make_parts(model, inputs, asked, tokens, parts, WorkFolder(tmp_path))
    assert len(list(tmp_path.glob("rows-*"))) == 1
    monkeypatch.setattr(model, "forward", inner)
    with caplog.at_level(logging.INFO):
        make_parts(model, inputs, asked, tokens, parts, WorkFolder(tmp_path))
    assert "pictures 0 to 2 were finished by an earlier job" in caplog.text
    assert len(list(tmp_path.glob("rows-*"))) == 3


def test_a_model_whose_places_are_unknown_gives_a_file_that_says_so(folder, described, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "why_none", lambda *_: "it is not known which tokens show which place")
    run_here(command(folder, described, tmp_path, "none.h5"), monkeypatch)
    with open_maps(tmp_path / "none.h5") as maps:
        assert maps.none == "it is not known which tokens show which place"
        assert score_maps(maps, seed=0).empty
