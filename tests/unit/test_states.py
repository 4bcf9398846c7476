"""States files, work in progress, and extraction."""

import fcntl
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.states.extract import check_prompts, extract_shards, read_image, running_order
from layerwise.states.store import StatesFile, from_bits, new_states, to_bits, write_rows
from layerwise.states.work import WorkFolder, check_finite, work_folder

STATES = np.random.default_rng(0).normal(size=(300, 4, 8)).astype(np.float32)


def write(path, dtype="float32", states=STATES):
    with new_states(
        path,
        positions=["last"],
        layers=["embeddings", "block 1", "block 2", "final norm"],
        rows=len(states),
        width=8,
        dtype=dtype,
        item_ids=["a", "b", "c"],
        row_of_item=[2, 0, 2],
        cell={"prompt": "p", "stimuli_digest": "s" * 64, "model_digest": "m" * 64, "torch": "2"},
    ) as datasets:
        write_rows(datasets["last"], 0, states[:130])
        write_rows(datasets["last"], 130, states[130:])
    return path


def test_layers_come_back(tmp_path):
    with StatesFile(write(tmp_path / "s.h5"), {"prompt": "p", "model_digest": "m" * 64}) as states:
        assert states.layers[-1] == "final norm"
        assert states.item_ids == ["a", "b", "c"]
        assert states.row_of_item.tolist() == [2, 0, 2]
        for layer in range(4):
            assert np.array_equal(states.layer("last", layer), STATES[:, layer])
        with pytest.raises(InputError, match="no position 'first'; it has last"):
            states.layer("first", 0)


def test_one_layer_is_contiguous_on_disk(tmp_path):
    with h5py.File(write(tmp_path / "s.h5")) as file:
        assert file["last"].chunks == (1, 128, 8)
        assert len(file["last"].id.get_create_plist().get_filter(0)) > 0


def test_bfloat16_is_torchs_rounding(tmp_path):
    values = np.concatenate([STATES.ravel(), [0, -0.0, 1e30, 1e-40, 3.3895314e38]]).astype(np.float32)
    expected = torch.from_numpy(values).to(torch.bfloat16)
    assert np.array_equal(to_bits(values), expected.view(torch.uint16).numpy())
    assert np.array_equal(from_bits(to_bits(values)), expected.float().numpy())
    with StatesFile(write(tmp_path / "s.h5", "bfloat16")) as states:
        assert np.array_equal(states.layer("last", 1), torch.from_numpy(STATES[:, 1]).bfloat16().float().numpy())


def test_states_of_another_cell_are_refused(tmp_path):
    path = write(tmp_path / "s.h5")
    with pytest.raises(InputError, match=r"another cell \(stimuli_digest, code changed since\)"):
        StatesFile(path, {"prompt": "p", "stimuli_digest": "x" * 64, "code": "1"})


def test_damaged_files_are_named(tmp_path):
    path = write(tmp_path / "s.h5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"s.h5: damaged, or not a states file"):
        StatesFile(path)
    path.write_text("something else")
    with pytest.raises(InputError, match=r"s.h5: damaged, or not a states file"):
        StatesFile(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match=r"s.h5: damaged, or not a states file"):
        StatesFile(path)


def test_not_a_number_is_named():
    states = torch.zeros(2, 3, 4)
    check_finite({"last": states}, ["embeddings", "block 1", "final norm"], ["a", "b"])
    states[1, 1, 2] = float("inf")
    with pytest.raises(FloatingPointError, match="at block 1, position last, item b"):
        check_finite({"last": states}, ["embeddings", "block 1", "final norm"], ["a", "b"])


class CountingModel:
    """Stands in for a model where only the bookkeeping is under test: its states are the prompt's length."""

    n_layers, width = 1, 2

    def __init__(self, fail_at=None):
        self.seen, self.fail_at = [], fail_at

    def render(self, prompt):
        if "bad" in prompt:
            raise InputError("no such prompt")
        return prompt

    def states(self, images, prompts, positions):
        if self.fail_at is not None and len(self.seen) >= self.fail_at:
            raise KeyboardInterrupt
        self.seen += prompts
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])
        return {"last": lengths.view(-1, 1, 1).expand(-1, 3, 2)}


@pytest.fixture
def inputs(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    prompts = ["x" * (1 + i * 7 % 50) for i in range(50)]
    table = pd.DataFrame({"image": str(tmp_path / "a.png"), "prompt": prompts, "item_id": [f"i{i}" for i in range(50)]})
    return table.iloc[running_order(table)].reset_index(drop=True)


def test_running_order_puts_equal_lengths_together(inputs):
    assert inputs["prompt"].str.len().is_monotonic_increasing


def test_a_stopped_extraction_goes_on_at_the_last_shard(tmp_path, inputs):
    """Shards are 16 batches of 1: stopped after 40 inputs, the 32 of two shards are kept."""
    work = WorkFolder(tmp_path)
    first = CountingModel(fail_at=40)
    with pytest.raises(KeyboardInterrupt):
        extract_shards(first, inputs, ["last"], 1, work)
    assert len(first.seen) == 40
    second = CountingModel()
    shards = extract_shards(second, inputs, ["last"], 1, work)
    assert len(second.seen) == 50 - 32
    rows = torch.cat([work.load(start, stop, ["last"])["last"] for start, stop in shards])
    assert rows[:, 0, 0].tolist() == inputs["prompt"].str.len().tolist()


def test_damaged_or_foreign_shards_are_made_again(tmp_path, inputs):
    work = WorkFolder(tmp_path)
    shards = extract_shards(CountingModel(), inputs, ["last"], 1, work)
    files = sorted(tmp_path.glob("rows-*"))
    assert len(files) == len(shards) == 4
    files[0].write_bytes(files[0].read_bytes()[:100])
    assert work.load(*shards[0], ["last"]) is None
    assert work.load(*shards[1], ["last", "image-mean"]) is None
    files[2].write_bytes(files[3].read_bytes())
    assert work.load(*shards[2], ["last"]) is None
    model = CountingModel()
    extract_shards(model, inputs, ["last"], 1, work)
    assert len(model.seen) == 32


def test_work_folders(tmp_path):
    with work_folder(tmp_path, "f" * 64) as work, open(tmp_path / f"{'f' * 32}.lock") as lock:
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not work.folder.exists()
    with pytest.raises(RuntimeError, match="on purpose"), work_folder(tmp_path, "f" * 64) as work:
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
        raise RuntimeError("on purpose")
    with work_folder(tmp_path, "e" * 64) as other:
        assert other.load(0, 1, ["last"]) is None
    with work_folder(tmp_path, "f" * 64) as again:
        assert again.load(0, 1, ["last"]) is not None


def test_a_prompt_that_cannot_be_shown_names_its_item(inputs):
    inputs.loc[3, "prompt"] = "a bad one"
    with pytest.raises(InputError, match=f"item {inputs['item_id'][3]}: no such prompt"):
        check_prompts(CountingModel(), inputs)


def test_images_are_upright_and_rgb(tmp_path):
    picture = Image.new("L", (6, 4))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    image = read_image(tmp_path / "turned.jpg")
    assert (image.size, image.mode) == ((4, 6), "RGB")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "turned.jpg").read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut.jpg: the image cannot be decoded"):
        read_image(tmp_path / "cut.jpg")


def test_cell_is_readable_as_json(tmp_path):
    with h5py.File(write(tmp_path / "s.h5")) as file:
        assert json.loads(file.attrs["cell"])["model_digest"] == "m" * 64
