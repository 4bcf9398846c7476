"""The same items with another image, a blank one, or none."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.images import read_images
from layerwise.states.plan import Unit, plan_parts
from layerwise.states.store import StatesFile
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import unique_inputs
from tests import families
from tests.cells import extraction, write_items
from tests.families.common import SIDE

ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{i}" for i in range(9)],
        "image": [f"{i // 3}.jpg" for i in range(9)],
        "image_sha256": [f"s{i // 3}" for i in range(9)],
    },
    # As of a table that was filtered.
    index=range(10, 19),
)
TEXTS = ["a", "b", "c"] * 3


def test_shuffled_images_are_all_used_and_none_stays():
    shown = with_images(ITEMS, {"image": "shuffled"}, seed=3)
    assert (shown["image"] != ITEMS["image"]).all()
    assert shown.groupby(ITEMS["image"])["image"].nunique().tolist() == [1, 1, 1]
    assert sorted(shown["image"].unique()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert shown["image_sha256"].tolist() == [f"s{image[0]}" for image in shown["image"]]
    assert list(shown["item_id"]) == list(ITEMS["item_id"])
    assert shown.equals(with_images(ITEMS, {"image": "shuffled"}, seed=3))
    with pytest.raises(ValueError, match="only one"):
        with_images(ITEMS.head(3), {"image": "shuffled"}, seed=3)


@pytest.mark.parametrize(("image", "rows"), [("shown", 9), ("shuffled", 9), ("blank", 3), ("none", 3)])
def test_items_that_look_the_same_are_run_once(image, rows):
    inputs, row = unique_inputs(with_images(ITEMS, {"image": image}, seed=0), TEXTS)
    assert len(inputs) == rows
    assert inputs["prompt"].iloc[row].tolist() == TEXTS


def test_a_grey_image_and_none(tmp_path):
    grey = read_images(with_images(ITEMS, {"image": "blank"}, 0)["image"].iat[0])
    assert np.ptp(np.asarray(grey)) == 0
    # A file of that name is a file.
    Image.new("RGB", (4, 4), "red").save(tmp_path / "blank", format="png")
    assert read_images(str(tmp_path / "blank")).size == (4, 4)
    assert read_images(with_images(ITEMS, {"image": "none"}, 0)["image"].iat[0]) is None


def test_texts_without_an_image_share_no_prefix():
    inputs, _ = unique_inputs(with_images(ITEMS, {"image": "none"}, 0), TEXTS)
    assert plan_parts(inputs, 2, batch_size=8) == [[Unit(0, 3, shared=False)]]
    inputs, _ = unique_inputs(with_images(ITEMS, {"image": "blank"}, 0), TEXTS)
    assert plan_parts(inputs, 2, batch_size=8) == [[Unit(0, 3, shared=True)]]


@pytest.mark.parametrize("family", families.of_each_way(families.FAMILIES))
def test_a_text_alone_is_read_or_refused(family):
    model = family.frozen()
    image = Image.new("RGB", (SIDE, SIDE), "red")
    texts = ["Is there a circle?", "A much longer statement about a blue square?"]
    if family.needs_image:
        with pytest.raises(InputError, match="use `image: blank` in place of `image: none`"):
            model.states([None], texts[:1], ["last"])
        return
    states = model.states([None, None], texts, ["last"])["last"]
    assert torch.isfinite(states).all()
    alone = torch.cat([model.states([None], [text], ["last"])["last"] for text in texts])
    assert torch.allclose(states, alone, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(states, model.states([image, image], texts, ["last"])["last"], rtol=1e-2)


@pytest.mark.parametrize("image", ["blank", "shuffled", "none"])
def test_the_program_shows_what_the_prompt_asks_for(image, tiny_llava, tmp_path, warm):
    pictures = [tmp_path / f"{colour}.png" for colour in ("red", "blue", "green")]
    for picture in pictures:
        Image.new("RGB", (64, 64), picture.stem).save(picture)
    items = write_items(
        tmp_path, [(f"{i}-{j}", pictures[i], f"{TEXTS[j]} circle?") for i in range(3) for j in range(2)]
    )
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    description = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    _, *program = extraction(tmp_path, description, ["last"], tmp_path / "states.h5", {"image": image})
    done = subprocess.run([warm, *program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    model = generic.load(description, "cpu")
    seed = int(json.loads((tmp_path / "stimuli.json").read_text())["digest"][:8], 16)
    with StatesFile(tmp_path / "states.h5") as states:
        top = states.layer("last", len(states.layers) - 1)[states.row_of_item]
    assert len(np.unique(top.round(4), axis=0)) == (6 if image == "shuffled" else 2)
    for row, shown in zip(top, with_images(items, {"image": image}, seed).itertuples(), strict=True):
        expected = model.states([read_images(shown.image)], [shown.text], ["last"])["last"][0, -1]
        assert torch.allclose(torch.from_numpy(row), expected, rtol=1e-3, atol=1e-4)
        if image == "shuffled":
            assert shown.image != items.set_index("item_id").loc[shown.item_id, "image"]
