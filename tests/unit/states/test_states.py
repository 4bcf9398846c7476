"""States files: what comes back, and what damage does."""

import json

import h5py
import numpy as np
import pytest
import torch

from layerwise.errors import InputError
from layerwise.states.cells import holds
from layerwise.states.store import StatesFile, from_bits
from layerwise.states.writing import new_states, to_bits, write_rows
from tests.faults.reliability import fault

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


@fault(
    "a states file is cut short, or another file has its name",
    sees="one error that names the file; delete it and run again",
    kept="the other cells, and the parts of an unfinished one",
)
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


@pytest.mark.parametrize("wrong", ["of another cell", "no states file", "of another shape"])
def test_a_refused_file_is_closed(tmp_path, wrong):
    """HDF5 refuses to write a file that some handle of this process has open."""
    path, cell = write(tmp_path / "s.h5"), None
    if wrong == "of another cell":
        cell = {"prompt": "another"}
    elif wrong == "no states file":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "a") as file:
            file["row"][0] = 1000
    # The error, and with it its traceback's frames, are kept as a caller would keep them.
    with pytest.raises(InputError) as error:
        StatesFile(path, cell)
    with h5py.File(path, "a"):
        pass
    assert str(path) in str(error.value)


@fault(
    "a byte of a states file is flipped",
    sees="one error that names the file (and the layer, if the byte is part of a state); checksums cover every byte",
    kept="the other cells; no number comes from the damaged file",
)
def test_a_flipped_byte_is_an_error_that_names_the_file(tmp_path):
    path = write(tmp_path / "s.h5")
    with h5py.File(path) as file:
        chunk = file["last"].id.get_chunk_info(2)
        layer = chunk.chunk_offset[0]
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    with StatesFile(path) as states, pytest.raises(InputError, match=rf"s\.h5: layer {layer} is damaged"):
        states.layer("last", layer)


def test_no_byte_of_a_file_may_be_flipped(tmp_path):
    """Also where items, rows and the layers' names are, and what HDF5 finds them by."""
    path = tmp_path / "s.h5"
    with new_states(
        *(path,),
        **{"positions": ["last"], "layers": ["embeddings", "final norm"], "rows": 2, "width": 3, "dtype": "bfloat16"},
        **{"item_ids": ["a", "b", "c"], "row_of_item": [0, 1, 0], "cell": {"shard": [1, 2]}, "places": [0, 2, 4]},
    ) as datasets:
        write_rows(datasets["last"], 0, np.ones((2, 2, 3), np.float32))
    content = path.read_bytes()
    silent = []
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            with StatesFile(path) as states:
                for layer in range(2):
                    states.layer("last", layer)
            silent.append(place)
        except InputError:
            continue
    assert silent == []


def test_a_finished_file_is_recognised_by_its_cell(tmp_path):
    path = write(tmp_path / "s.h5")
    assert holds(path, {"prompt": "p", "model_digest": "m" * 64})
    assert not holds(path, {"prompt": "q"})
    assert not holds(tmp_path / "none.h5", {})
    path.write_bytes(path.read_bytes()[:100])
    assert not holds(path, {})


def test_cell_is_readable_as_json(tmp_path):
    with h5py.File(write(tmp_path / "s.h5")) as file:
        assert json.loads(file.attrs["cell"])["model_digest"] == "m" * 64
