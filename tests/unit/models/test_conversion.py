"""Weights of the older formats: pinned, loaded as tensors only, and the same model afterwards."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from layerwise.config.reading import validate
from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.conversion import convert
from layerwise.models.registration import describe_model
from layerwise.planning.recipes import as_json, converted_folder, in_order
from tests.conftest import REPOSITORY
from tests.families.measure import PROMPTS, pictures
from tests.faults.reliability import fault
from tests.hub import COMMIT, Hub, in_process, serve

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


def sha256(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def entry(folder, *files):
    return ENTRY | {"source": str(folder), "convert": {file: sha256(folder / file) for file in files}}


@pytest.fixture
def old(tiny_llava, tmp_path):
    """The tiny model as it would have been saved some years ago, in two files."""
    folder = tmp_path / "old"
    folder.mkdir()
    for file in tiny_llava.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    weights = list(load_file(tiny_llava / "model.safetensors").items())
    torch.save(dict(weights[::2]), folder / "pytorch_model-00001-of-00002.bin")
    # One file of the format from before torch 1.6, with what training left around the weights.
    inside = {"model": dict(weights[1::2]), "step": 3}
    torch.save(inside, folder / "pytorch_model-00002-of-00002.bin", _use_new_zipfile_serialization=False)
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    return folder


FILES = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")


def test_the_model_is_the_same(old, tiny_llava, tmp_path):
    convert("old", entry(old, *FILES), tmp_path / "converted")
    described = describe_model("old", entry(old, *FILES), tmp_path / "converted", seed=1)
    original = describe_model("new", ENTRY | {"source": str(tiny_llava)}, None, seed=1)
    states = [
        generic.load(model, "cpu").states(pictures(), PROMPTS[:2], ["last"])["last"] for model in (described, original)
    ]
    assert torch.equal(*states)
    assert described["folder"] == str(tmp_path / "converted")
    assert described["revision"] is None
    # No partial folder is left, and nothing of a source file but its text.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["converted", "old"]
    names = {path.name for path in (tmp_path / "converted").iterdir()}
    assert "model.safetensors" in names
    assert not names & {*FILES, "pytorch_model.bin.index.json"}
    # Twice the same, and once more over what is there.
    first = sha256(tmp_path / "converted/model.safetensors")
    convert("old", entry(old, *FILES), tmp_path / "converted")
    assert sha256(tmp_path / "converted/model.safetensors") == first


def test_of_two_weights_of_one_name_the_later_file_counts(tmp_path):
    (tmp_path / "old/part").mkdir(parents=True)
    torch.save({"first": torch.zeros(1), "both": torch.zeros(1)}, tmp_path / "old/part/b.bin")
    torch.save({"both": torch.ones(1)}, tmp_path / "old/a.pt")
    folders = set()
    for files, counts in ((("part/b.bin", "a.pt"), 1), (("a.pt", "part/b.bin"), 0)):
        model = entry(tmp_path / "old", *files)
        # As the rule hands it on: keys sorted, and yet in order.
        convert("m", json.loads(as_json(in_order(model))), tmp_path / "out")
        weights = load_file(tmp_path / "out/model.safetensors")
        assert (weights["both"].item(), weights["first"].item()) == (counts, 0)
        folders.add(converted_folder(validate({"models": {"m": model}, "prompts": {}}), "m"))
    assert len(folders) == 2


def test_weights_that_share_memory_are_written_once(tmp_path):
    tied = torch.arange(12.0).view(3, 4)
    torch.save({"embed.weight": tied, "head.weight": tied, "norm": torch.ones(2)}, tmp_path / "model.pt")
    convert("m", entry(tmp_path, "model.pt"), tmp_path / "out")
    written = load_file(tmp_path / "out/model.safetensors")
    assert len(written) == 2
    assert torch.equal(next(written[name] for name in written if name != "norm"), tied)


class Harmful:
    def __reduce__(self):
        return os.mkdir, (str(Path(os.environ["HARM"])),)


@fault(
    "a .bin or .pt file of weights contains code",
    sees="one error that names the file",
    kept="the machine is safe: the code is not run",
)
@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    if protocol == "torch":
        torch.save({"weight": torch.ones(2), "extra": Harmful()}, tmp_path / "model.pt")
    else:
        (tmp_path / "model.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match=r"models.m.convert: .*model.pt cannot be loaded as tensors only"):
        convert("m", entry(tmp_path, "model.pt"), tmp_path / "out")
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "out").exists()


def test_what_is_not_pinned_yet_is_printed_for_the_config(old, tmp_path):
    unpinned = entry(old, *FILES)
    pins = dict(unpinned["convert"])
    unpinned["convert"] |= {FILES[0]: "unpinned"}
    with pytest.raises(InputError, match="not pinned yet") as error:
        convert("m", unpinned, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    # What is printed is what the config takes.
    printed = str(error.value).split("into the config:\n")[1]
    assert yaml.safe_load(printed) == {"convert": pins}
    missing = entry(old, *FILES)
    missing["convert"]["pytorch_model.bin"] = "unpinned"
    with pytest.raises(InputError, match=r"there are pytorch_model-00001-of-00002\.bin, pytorch_model-00002"):
        convert("m", missing, tmp_path / "new")


def test_another_file_is_not_even_opened(tmp_path, monkeypatch):
    torch.save({"weight": torch.ones(2)}, tmp_path / "model.pt")
    pinned = entry(tmp_path, "model.pt")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match=rf"the SHA-256 {sha256(tmp_path / 'model.pt')}, but the config pins"):
        convert("m", pinned, tmp_path / "out")
    (tmp_path / "model.pt").unlink()
    with pytest.raises(InputError, match=r"models.m.convert: cannot read .*model.pt"):
        convert("m", pinned, tmp_path / "out")


@pytest.mark.parametrize("content", [[torch.ones(2)], {"epoch": 3}, {}])
def test_what_is_no_table_of_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match="is no table of weights by name"):
        convert("m", entry(tmp_path, "model.pt"), tmp_path / "out")


def test_a_truncated_file_is_one_clear_error(tmp_path):
    torch.save({"weight": torch.ones(1000)}, tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes((tmp_path / "model.pt").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cannot be loaded as tensors only .*damaged"):
        convert("m", entry(tmp_path, "model.pt"), tmp_path / "out")


def test_files_of_the_hub_are_converted_too(old, tmp_path):
    pinned = entry(old, *FILES) | {"source": "lab/old", "revision": COMMIT}
    with serve(Hub("lab/old", {file.name: file.read_bytes() for file in old.iterdir()})) as hub:
        program = [REPOSITORY / "scripts/convert_weights.py", "--name", "old", "--entry", json.dumps(pinned)]
        done = in_process(hub, tmp_path, [*program, "--out", tmp_path / "converted"])
    assert done.returncode == 0, done.stderr
    # The folder has all that registration needs.
    described = describe_model("old", pinned, tmp_path / "converted", seed=1)
    assert described["revision"] == COMMIT
    assert json.loads((tmp_path / "converted/conversion.json").read_text())["files"] == pinned["convert"]
    # The checksums of the files are part of what the model is.
    other = pinned | {"convert": dict.fromkeys(FILES, "0" * 64)}
    assert describe_model("old", other, tmp_path / "converted", seed=1)["digest"] != described["digest"]
