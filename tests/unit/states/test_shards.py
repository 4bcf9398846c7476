"""States of one cell in several files: how inputs are divided, what is refused, and that the numbers stay."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import extract_states
from layerwise.errors import InputError
from layerwise.models.registration import describe_model
from layerwise.states.division import divide
from layerwise.states.shards import ShardedStates, open_states
from layerwise.states.store import StatesFile
from tests.cells import extraction, write_items

ENTRY = {"source": "", "weights": "pretrained", "dtype": "auto", "adapter": "generic", "conversation": "auto"}


def inputs(images: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"image": images, "prompt": [f"text {i}" for i in range(len(images))]})


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5])
def test_images_stay_whole_and_shards_are_even(n_shards):
    images = [f"{i % 20}.png" for i in range(100)]
    shards = divide(inputs(images), n_shards)
    assert sorted(set(shards)) == list(range(n_shards))
    for image in set(images):
        assert len({shard for shard, its in zip(shards, images, strict=True) if its == image}) == 1
    sizes = np.bincount(shards)
    assert sizes.max() - sizes.min() <= 5


@pytest.mark.parametrize("images", [["a"] * 9, [None] * 9, [*"aaaaaaabc"], [*"abccccccc"], [*"abcdefghi"]])
def test_no_shard_is_empty_whatever_the_images(images):
    for n_shards in range(1, 10):
        assert set(divide(inputs(images), n_shards)) == set(range(n_shards))
    with pytest.raises(InputError, match="shards: 10 are more than the 9 distinct inputs"):
        divide(inputs(images), 10)


@pytest.fixture(scope="module")
def cell(tmp_path_factory, tiny_llava):
    """A function that runs a cell with some shards and gives their files. Some items read the same."""
    folder = tmp_path_factory.mktemp("cell")
    generator, shown = np.random.default_rng(0), []
    for i in range(7):
        picture = folder / f"{i}.png"
        Image.fromarray(generator.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(picture)
        # Out of order, so that no shard has consecutive items.
        texts = [f"Is there a red circle {'or a star ' * times}in it?" for times in (0, 1, 2, 0)]
        shown += [(f"{k}-{i}", picture, text) for k, text in enumerate(texts)]
    write_items(folder, shown)
    model = describe_model("tiny", ENTRY | {"source": str(tiny_llava)}, None, 0)

    def run(n_shards: int, sharing: str, batch_size: str = "2"):
        files = [folder / f"{sharing}-{batch_size}-{i}-of-{n_shards}.h5" for i in range(1, n_shards + 1)]
        for i, file in enumerate(files, 1):
            if not file.exists():
                _, *command = extraction(folder, model, ["last", "image-mean"], file, sharing=sharing)
                command += ["--shard", str(i), str(n_shards), "--batch-size", batch_size]
                # In this process: a new one would load torch each time.
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(sys, "argv", command)
                    extract_states.main()
        return files

    return run


@pytest.mark.parametrize(
    ("sharing", "batch_size", "tolerance"),
    # Inputs that run alone, or with those that share their prefix, run as they do in one file. Batches are others.
    [("never", "1", 0), ("always", "2", 0), ("never", "2", 2e-6)],
)
def test_shards_hold_what_one_file_holds(cell, sharing, batch_size, tolerance):
    whole_file, shards = cell(1, sharing, batch_size), cell(3, sharing, batch_size)
    with open_states(whole_file) as whole, open_states(shards[::-1]) as divided:
        assert isinstance(whole, StatesFile)
        assert isinstance(divided, ShardedStates)
        assert divided.item_ids == whole.item_ids
        assert divided.shape("last") == whole.shape("last")
        assert len(np.unique(divided.row_of_item)) == len(np.unique(whole.row_of_item)) == 21 < len(whole.item_ids)
        # Items that read the same share a row in both.
        same = [states.row_of_item[:, None] == states.row_of_item[None] for states in (whole, divided)]
        assert np.array_equal(*same)
        for position in ("last", "image-mean"):
            out = np.empty(divided.shape(position), np.float32)
            for layer in range(len(whole.layers)):
                a = whole.layer(position, layer)[whole.row_of_item]
                b = divided.layer(position, layer, out=out)[divided.row_of_item]
                assert (np.linalg.norm(a - b, axis=1) <= tolerance * np.linalg.norm(a, axis=1)).all()


def test_a_set_that_is_not_whole_is_refused(cell):
    one, two, three = cell(3, "never")
    other = cell(2, "never")[0]
    with pytest.raises(InputError, match="of 3 shards 2 is missing"):
        open_states([one, three])
    with pytest.raises(InputError, match="of 3 shards 1, 3 are missing"):
        open_states([two])
    with pytest.raises(InputError, match="shard 1 of 3 is given more than once"):
        open_states([one, one, two, three])
    with pytest.raises(InputError, match="does not belong to"):
        open_states([other, two, three])
    with pytest.raises(InputError, match="of another cell"):
        open_states([one, two, three], {"prompt": "another"})


def test_shards_that_were_made_otherwise_are_refused(cell, tmp_path):
    import h5py

    for what in ("prompt", "place"):
        files = []
        for source in cell(3, "never"):
            files.append(tmp_path / f"{what}-{source.name}")
            files[-1].write_bytes(source.read_bytes())
        with h5py.File(files[1], "r+") as file:
            if what == "prompt":
                file.attrs["cell"] = json.dumps(json.loads(file.attrs["cell"]) | {"prompt": "another"})
            else:
                file["place"][0] = file["place"][1]
        message = "does not belong to" if what == "prompt" else "do not hold each item once"
        with pytest.raises(InputError, match=message):
            open_states(files)
