"""Inputs of several pictures: what is read, what shares a prefix, which shapes are tried, and their features."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.several_pictures import joined, joined_checksum, place
from layerwise.states.division import divide
from layerwise.states.images import BLANK_IMAGE, read_images
from layerwise.states.named import prepare_rows
from layerwise.states.pictures import program
from layerwise.states.plan import plan_parts, prefixes, running_order
from layerwise.states.shape_checks import check_pictures, shapes
from layerwise.states.shards import open_states
from layerwise.states.sharing import least_texts
from layerwise.stimuli.items import EACH_SHA256, items_digest
from layerwise.stimuli.modalities import BLANK
from tests.cells import extraction, run_here
from tests.conftest import REPOSITORY

AB, BA = "a.png\nb.png", "b.png\na.png"
FIRST, SECOND = place(1), place(2)


def test_a_cell_of_several_lines_is_several_pictures(tmp_path):
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (4, 6), colour).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / "b.png"), BLANK, str(tmp_path / "a.png")]
    blue, grey, red = read_images(joined(paths))
    assert [one.getpixel((0, 0)) for one in (blue, red)] == [(0, 0, 255), (255, 0, 0)]
    assert grey is BLANK_IMAGE
    assert read_images(paths[0]).size == (4, 6)
    assert read_images(None) is None
    with pytest.raises(InputError, match=r"c\.png: the image cannot be decoded"):
        read_images(joined([paths[0], str(tmp_path / "c.png")]))


INPUTS = pd.DataFrame(
    [
        (AB, f"Left {FIRST} right {SECOND} same?"),
        (BA, "Same?"),
        (AB, f"Left {FIRST} right {SECOND} other?"),
        (AB, f"{FIRST}{SECOND} Same?"),
        (BA, "Other?"),
        (AB, "Same?"),
        (None, "Same?"),
    ],
    columns=["image", "prompt"],
)


def test_inputs_share_a_prefix_if_pictures_and_the_text_before_the_last_are_equal():
    shared = prefixes(INPUTS)
    assert shared.isna().tolist() == [False] * 6 + [True]
    assert pd.factorize(shared)[0].tolist() == [0, 1, 0, 2, 1, 3, -1]
    # Without places it is the pictures alone, as ever.
    assert prefixes(INPUTS.iloc[[1, 4, 5, 6]])[:3].tolist() == [BA, BA, AB]


def test_prompts_that_differ_before_the_last_picture_run_alone():
    order = running_order(INPUTS, 2)
    inputs = INPUTS.iloc[order].reset_index(drop=True)
    # By length those that share with none, then both groups.
    assert order[-4:] == [0, 2, 1, 4]
    units = [unit for part in plan_parts(inputs, 2, 8) for unit in part]
    assert [(unit.start, unit.stop, unit.shared) for unit in units] == [(0, 3, False), (3, 5, True), (5, 7, True)]


def test_shards_keep_together_what_shares_a_prefix():
    inputs = pd.concat([INPUTS.iloc[[0, 5, 2, 3]]] * 1, ignore_index=True)
    shard_of = divide(inputs, 2)
    assert shard_of[0] == shard_of[2]
    assert set(shard_of) == {0, 1}


def test_whether_sharing_pays_is_asked_of_inputs_that_share(monkeypatch):
    seen = []

    class Model:
        shares_prefix = True

        def spared_flop(self, prepared):
            return 1e12

    monkeypatch.setattr("layerwise.states.sharing.prepare_group", lambda model, rows: seen.append(rows))
    inputs = INPUTS.assign(item_id=[f"i{i}" for i in range(len(INPUTS))])
    assert least_texts(Model(), inputs, "auto", "cpu") == 2
    assert seen[0]["item_id"].tolist() == ["i0", "i2"]
    assert least_texts(Model(), inputs.iloc[[0, 3, 5, 6]], "auto", "cpu") == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six items of two pictures each, some of which share one; texts about the same pair."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    sha = {name: hashlib.sha256((folder / f"{name}.png").read_bytes()).hexdigest() for name in "abc"}
    rows = [
        (
            f"i{i}",
            joined([str(folder / f"{name}.png") for name in pair]),
            *_sums([sha[name] for name in pair]),
            f"text {i}",
        )
        for i, pair in enumerate(["ab", "ba", "ab", "bc", "cc", "ab"])
    ]
    items = pd.DataFrame(rows, columns=["item_id", "image", "image_sha256", EACH_SHA256, "text"]).assign(category=None)
    items.to_parquet(folder / "items.parquet")
    described = {"digest": items_digest(items, []), "categories": [], "pictures": 2}
    (folder / "stimuli.json").write_text(json.dumps(described))
    return folder


def _sums(sums):
    return joined_checksum(sums), joined(sums)


@pytest.fixture(scope="module")
def described(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    return describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)


def test_each_pictures_features_stand_side_by_side(folder, described, tmp_path, monkeypatch):
    (folder / "model.json").write_text(json.dumps(described))
    command = ["python", REPOSITORY / "scripts/embed_pictures.py", "--model", folder / "model.json"]
    command += ["--stimuli", folder, "--cell", json.dumps({"model": "m", "code": "1"}), "--batch-size", "2"]
    command += ["--threads", "1", "--work", tmp_path / "work", "--out", tmp_path / "pictures.h5"]
    monkeypatch.setattr(program, "ROWS_AT_ONCE", 2)
    run_here(list(map(str, command)), monkeypatch)
    model = generic.load(described, "cpu")
    alone = {
        name: model.states([read_images(str(folder / f"{name}.png"))], [program.PROMPT], ["image-mean"])["image-mean"][
            0, 0
        ]
        for name in "abc"
    }
    with open_states([tmp_path / "pictures.h5"]) as pictures:
        assert pictures.shape("image-mean") == (4, 2 * model.width)
        found = pictures.layer("image-mean", 0)[pictures.row_of_item]
    for of_item, pair in zip(found, ["ab", "ba", "ab", "bc", "cc", "ab"], strict=True):
        expected = np.concatenate([alone[name] for name in pair])
        np.testing.assert_allclose(of_item, expected, rtol=1e-5, atol=1e-6)


def test_each_picture_has_a_position_and_places_are_read_as_the_model_would(folder, described, tmp_path, monkeypatch):
    positions = ["image-1-mean", "image-2-mean", "image-mean", "last"]
    prompt = {"text": "First {image 1} then {image 2} {text}"}
    made = {}
    for sharing in ("always", "never"):
        out = tmp_path / f"{sharing}.h5"
        options = {"sharing": sharing, "kept": str(tmp_path / f"kept-{sharing}")}
        run_here(extraction(folder, described, positions, out, prompt, **options), monkeypatch)
        with open_states([out]) as states:
            assert states.positions == positions
            made[sharing] = {at: states.layer(at, len(states.layers) - 1)[states.row_of_item] for at in positions}
    for at in positions:
        np.testing.assert_allclose(made["always"][at], made["never"][at], rtol=1e-4, atol=1e-5)
    model = generic.load(described, "cpu")
    shown = [read_images(joined([str(folder / f"{name}.png") for name in "bc"]))]
    states = model.states(shown, [f"First {FIRST} then {SECOND} text 3"], positions)
    for at in positions:
        np.testing.assert_allclose(made["never"][at][3], states[at][0, -1], rtol=1e-4, atol=1e-5)
    # The mean over all is between those of each, and the same pair in the other order has other states.
    assert not np.allclose(made["never"]["image-1-mean"][0], made["never"]["image-2-mean"][1], atol=1e-3)


def test_extreme_shapes_are_tried_with_the_other_pictures_of_their_item(tmp_path, monkeypatch):
    sizes = {"a": (8, 8), "b": (64, 2), "c": (9, 9), "d": (2, 80)}
    for name, size in sizes.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    cells = [joined([str(tmp_path / f"{name}.png") for name in pair]) for pair in ("ab", "ac", "cd")]
    inputs = pd.DataFrame({"item_id": ["i0", "i1", "i2"], "image": cells, "prompt": "What?"})
    tried = []
    monkeypatch.setattr(
        "layerwise.states.shape_checks.run_rows", lambda model, rows, positions: tried.extend(rows["item_id"])
    )
    check_pictures(None, inputs)
    # The widest, the tallest and largest, and the smallest of all pictures; none is tried twice.
    assert tried == ["i0", "i2"]
    assert shapes([*cells[:1], None, joined([BLANK, str(tmp_path / "a.png")])]) == [(8, 8, 64, 2), (0, 0), (0, 0, 8, 8)]


def test_a_picture_that_is_refused_is_named_with_its_item(folder, described, monkeypatch):
    model = generic.load(described, "cpu")

    def prepare(images, prompts):
        if any(image is not BLANK_IMAGE for images_of_one in images for image in images_of_one):
            raise RuntimeError("no such shape")

    monkeypatch.setattr(model, "prepare", prepare)
    rows = pd.DataFrame(
        {"item_id": ["i0"], "image": [joined([str(folder / "a.png"), str(folder / "b.png")])], "prompt": "Hm."}
    )
    with pytest.raises(
        InputError, match=r"item i0 \(.*a.png, .*b.png\).*replace one of the pictures, or take the item out"
    ):
        prepare_rows(model, rows)
