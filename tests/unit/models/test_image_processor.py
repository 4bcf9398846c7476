"""Which image processor makes a model's pixels: described at registration, and the same when the model is run."""

import hashlib
import importlib
import json
import sys

import pytest
import transformers
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.store import StatesFile
from layerwise.study import Study
from tests import families
from tests.cells import extraction, write_items
from tests.families.measure import PROMPTS, pictures

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}

PIL = {"image_processor": "pil"}


def described(folder, **change):
    return describe_model("tiny", {"source": str(folder)} | ENTRY | change, None, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    made = families.frozen(families.llava)
    for part in (made.model, made.processor):
        part.save_pretrained(folder)
    return folder


def digest_without_a_choice(folder, description):
    """What a digest was made of before the image processor was recorded."""
    said = "weights convert seed dtype adapter conversation quantization trust_remote_code model_type n_layers width"
    identity = {key: description[key] for key in said.split()} | {"revision": None}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    # These say how to write and what lies where, and decide no state.
    files = {name: digest for name, digest in files.items() if name != "generation_config.json"}
    return hashlib.sha256(json.dumps([identity, files], sort_keys=True).encode()).hexdigest()


def test_who_asks_for_pillow_keeps_older_digests(folder):
    description = described(folder, **PIL)
    found = description["image_processor"]
    assert (found["class"], found["backend"]) == ("CLIPImageProcessorPil", "pil")
    assert found["settings"]["size"] == {"shortest_edge": 56}
    assert found["settings"]["resample"] == Image.Resampling.BICUBIC
    assert description["digest"] == digest_without_a_choice(folder, description)


def test_torchvisions_class_is_another_model(folder):
    plain, asked, pil = (described(folder, **how) for how in ({}, {"image_processor": "torchvision"}, PIL))
    assert plain["image_processor"] == asked["image_processor"]
    assert plain["image_processor"]["backend"] == "torchvision"
    assert plain["digest"] == asked["digest"] != pil["digest"]
    by = {one["digest"]: generic.load(one, "cpu") for one in (plain, pil)}
    pixels = {digest: model.prepare(pictures()[:1], PROMPTS[:1])["pixel_values"] for digest, model in by.items()}
    # A model that was registered with Pillow's class goes on with it, whatever has been installed since.
    expected = transformers.CLIPImageProcessorPil.from_pretrained(folder)(pictures()[:1], return_tensors="pt")
    assert (pixels[pil["digest"]] == expected["pixel_values"]).all()
    assert not (pixels[plain["digest"]] == expected["pixel_values"]).all()


def test_a_family_with_one_class_takes_no_other_backend(tmp_path):
    for part in families.emu3():
        part.save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"there is no .* on torchvision here, only Emu3ImageProcessor.*; leave the key"
    ):
        described(tmp_path, image_processor="torchvision")


def test_a_class_or_setting_that_is_not_the_registered_one_stops_the_run(folder):
    description = described(folder, **PIL)
    registered = description["image_processor"]

    def load(**change):
        return generic.load(description | {"image_processor": registered | change}, "cpu")

    assert load().model_type == "llava"
    with pytest.raises(InputError, match=r"here is CLIPImageProcessorPil, but .* with SiglipImageProcessorPil"):
        load(**{"class": "SiglipImageProcessorPil"})
    with pytest.raises(InputError, match=r"differ from .*: resample is 3, was 2; .* another name"):
        load(settings=registered["settings"] | {"resample": 2})
    with pytest.raises(InputError, match=r"does not say which image processor .*; delete it and run again"):
        generic.load(description | {"image_processor": None}, "cpu")


def test_a_model_without_what_prepares_pictures_is_told_so_when_it_is_registered(folder, tmp_path):
    for file in folder.iterdir():
        if file.name != "processor_config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"models.tiny: cannot load the processor in .*image processor"):
        described(tmp_path)


def test_adapters_with_code_of_their_own_take_no_choice(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 2, "hidden_size": 8}))
    entry = {"source": str(tmp_path), "adapter": "qwen_vl", "weights": "random", "dtype": "float32"}
    entry |= {"conversation": "auto", "image_processor": "pil"}
    with pytest.raises(InputError, match=r"models.qwen.image_processor: the adapter 'qwen_vl' makes the pixels itself"):
        describe_model("qwen", entry, None, seed=0)


def test_a_choice_is_another_recipe_so_that_it_is_planned(study):
    """`auto` may have found either. Where the choice is what it found, states are found by content, and kept."""
    name = next(iter(study["models"]))
    folders = {}
    for choice in ("auto", "pil", "torchvision", None):
        study["models"][name].pop("image_processor", None)
        study["models"][name] |= {"image_processor": choice} if choice else {}
        folders[choice] = Study.from_config(study).model_folder(name)
    assert folders[None] == folders["auto"]
    assert len(set(folders.values())) == 3


def test_a_stopped_run_is_not_gone_on_with_by_other_versions(folder, tmp_path, monkeypatch, caplog):
    """A picture that cannot be decoded stops the run behind its first shard; then another library is installed."""
    for i in range(40):
        Image.new("RGB", (64, 48), (i, 0, 0)).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "36.png").read_bytes()
    write_items(tmp_path, [(f"item{i:02}", tmp_path / f"{i}.png", f"Is there a circle? {i:02}") for i in range(40)])
    (tmp_path / "36.png").write_bytes(whole[:-40])
    out = tmp_path / "out.h5"
    command = extraction(tmp_path, described(folder, **PIL), ["last"], out)
    monkeypatch.setattr(sys, "argv", command[1:])
    for variable in ("TOKENIZERS_PARALLELISM", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1")
    main = importlib.import_module("extract_states").main
    caplog.set_level("INFO")

    def shards():
        return {file.parent.name for file in (tmp_path / "work").glob("*/rows-*")}

    with pytest.raises(InputError, match=r"36.png: the image cannot be decoded"):
        main()
    before = shards()
    assert len(before) == 1
    site = tmp_path / "site/torchvision-9.9.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 9.9\n")
    with monkeypatch.context() as installed:
        installed.syspath_prepend(site.parent)
        with pytest.raises(InputError, match=r"36.png: the image cannot be decoded"):
            main()
        assert "finished by an earlier job" not in caplog.text
        assert len(shards() - before) == 1
        (tmp_path / "36.png").write_bytes(whole)
        main()
        assert "finished by an earlier job" in caplog.text
    with StatesFile(out) as states:
        assert states.cell["torchvision"] == "9.9"
        assert states.cell["transformers"] == transformers.__version__
        assert states.cell["image_processor"] == "CLIPImageProcessorPil"
