"""Other settings of a model's image processor, against the family's own processor called with them by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor

from layerwise.config.reading import validate
from layerwise.cost.inputs import Inputs
from layerwise.cost.sizes import size_of
from layerwise.datasets.questions import AskedObject
from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.patches import object_tokens
from layerwise.models.processor_settings import set_processor
from layerwise.models.registration import describe_model
from layerwise.planning.recipes import model_folder, processor_folder
from tests import families
from tests.families.common import PATCH
from tests.families.comparing import PROMPTS
from tests.families.idefics import smolvlm
from tests.hub import COMMIT, Hub, in_this_process, serve

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
SIZES = [(100, 70), (64, 149)]
# By family: its settings, and how they are given to its processor by hand: when it is called or when it is loaded.
CASES = {
    "smolvlm": (smolvlm, {"do_image_splitting": False}, "called"),
    "llava_next": (families.llava_next, None, "loaded"),
    "qwen2_vl": (families.qwen2_vl, {"size": {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}}, "called"),
    "internvl": (families.internvl, {"crop_to_patches": False}, "called"),
}
# Whose layout of patches is known.
MAPPED = ["llava_next", "qwen2_vl", "internvl"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """By family its folder, settings and the folder with them, made once."""
    made = {}

    def save(name):
        if name not in made:
            build, settings, how = CASES[name]
            folder = tmp_path_factory.mktemp(name) / "plain"
            model, processor = build()
            if settings is None:
                # The last of its grids alone.
                settings = {"image_grid_pinpoints": processor.image_processor.image_grid_pinpoints[-1:]}
            model.eval().save_pretrained(folder)
            processor.save_pretrained(folder)
            out = folder.parent / "changed"
            set_processor("tiny", ENTRY | {"source": str(folder), "processor": settings}, None, out)
            made[name] = folder, settings, how, out
        return made[name]

    return save


def picture(size):
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def by_hand(name, folder, settings, how, image, text):
    processor, called = AutoProcessor.from_pretrained(folder), settings
    if how == "loaded":
        processor.image_processor, called = AutoImageProcessor.from_pretrained(folder, **settings), {}
    return processor(text=[text], images=[[image]], return_tensors="pt", images_kwargs=called)


@pytest.mark.parametrize("name", CASES)
def test_inputs_and_states_are_those_of_the_familys_own_code(name, saved):
    folder, settings, how, out = saved(name)
    entry = ENTRY | {"source": str(folder), "processor": settings}
    plain = describe_model("tiny", ENTRY | {"source": str(folder)}, None, seed=0)
    changed = describe_model("tiny", entry, out, seed=0)
    assert changed["digest"] != plain["digest"]
    for key, value in settings.items():
        assert changed["image_processor"]["settings"][key] == value
        assert plain["image_processor"]["settings"][key] != value
    # Weights are links, and the plain folder is as it was.
    weights = list(out.glob("*.safetensors"))
    assert weights
    assert all(file.is_symlink() for file in weights)
    assert describe_model("tiny", ENTRY | {"source": str(folder)}, None, seed=0) == plain

    model, without = generic.load(changed, "cpu"), generic.load(plain, "cpu")
    fewer = []
    for size in SIZES:
        image, prompt = picture(size), PROMPTS[0]
        prepared = model.prepare([image], [prompt])
        expected = by_hand(name, folder, settings, how, image, model.render(prompt))
        assert torch.equal(prepared["input_ids"], expected["input_ids"])
        assert torch.equal(prepared["pixel_values"], expected["pixel_values"])
        fewer.append(
            int(model.image_tokens(prepared).sum())
            < int(without.image_tokens(without.prepare([image], [prompt])).sum())
        )
        model.model.config.text_config.tie_last_hidden_states = True
        read = model.states([image], [prompt], ["last"])["last"][0]
        reported = model.reported(prepared, ["last"])["last"][0]
        assert torch.allclose(torch.cat([read[:-2], read[-1:]]), reported, atol=1e-5)
        if model.shares_prefix:
            apart = model.states([image, image], PROMPTS[:2], ["last"])["last"]
            assert torch.allclose(model.states_shared(image, PROMPTS[:2], ["last"])["last"], apart, atol=1e-4)
    assert any(fewer)


def test_the_commit_of_the_hub_is_told_and_the_settings_count(saved, tmp_path):
    folder, settings, _, _ = saved("smolvlm")
    entry = ENTRY | {"source": "lab/tiny", "revision": COMMIT}
    digests = set()
    with (
        serve(Hub("lab/tiny", {file.name: file.read_bytes() for file in folder.iterdir()})) as hub,
        in_this_process(hub, tmp_path),
    ):
        for number, chosen in enumerate((settings, settings | {"resample": 0})):
            asked = entry | {"processor": chosen}
            set_processor("tiny", asked, None, tmp_path / str(number))
            described = describe_model("tiny", asked, tmp_path / str(number), seed=0)
            assert described["revision"] == COMMIT
            digests.add(described["digest"])
    assert len(digests) == 2


@pytest.mark.parametrize("name", MAPPED)
def test_patches_are_found_with_the_settings(name, saved):
    folder, settings, _, out = saved(name)
    model = generic.load(
        describe_model("tiny", ENTRY | {"source": str(folder), "processor": settings}, out, seed=0), "cpu"
    )
    for size in SIZES:
        prepared = model.prepare([picture(size)], [PROMPTS[0]])
        count = int(model.image_tokens(prepared).sum())
        config, images = model.model.config, model.processor.image_processor
        found = [
            object_tokens([AskedObject("box", *box)], config, images, size, prepared, [count])
            for box in ((0, 0, *size), (0, 0, max(size) // 2, max(size) // 2))
        ]
        assert 0 < len(found[1]) < len(found[0]) <= count
        # All but the token behind each row, of which LLaVA-NeXT has some.
        assert name == "llava_next" or len(found[0]) == count


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (
            "smolvlm",
            {"longest": 3},
            r"processor\.longest: this is no setting of SmolVLMImageProcessor; it has .*do_image_splitting",
        ),
        (
            "qwen2_vl",
            {"patch_size": 7},
            r"processor\.patch_size: this is fixed by the model's weights; it has do_resize",
        ),
        # Tiles of another size have other tokens than the processor writes.
        (
            "smolvlm",
            {"max_image_size": {"longest_edge": 14}},
            r"processor: the model cannot run with .*choose other values",
        ),
        ("qwen2_vl", {"size": {"longest": 14}}, r"models\.tiny\.processor: .* cannot be set: .*size must have one of"),
    ],
)
def test_what_a_model_cannot_do_is_refused(name, settings, said, saved, tmp_path):
    folder = saved(name)[0]
    with pytest.raises(InputError, match=said):
        set_processor("tiny", ENTRY | {"source": str(folder), "processor": settings}, None, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_cost_is_estimated_with_the_settings(saved, tmp_path):
    folder, settings, _, out = saved("smolvlm")
    image, prompt = picture(SIZES[0]), PROMPTS[1]
    image.save(tmp_path / "picture.png")
    inputs = Inputs(1, 1, 0, len(prompt), pd.DataFrame({"image": [str(tmp_path / "picture.png")], "prompt": [prompt]}))
    model = generic.load(
        describe_model("tiny", ENTRY | {"source": str(folder), "processor": settings}, out, seed=0), "cpu"
    )
    prepared = model.prepare([image], [prompt])
    patches = prepared["pixel_values"].numel() / (3 * PATCH**2)
    for processor, equal in ((settings, True), (None, False)):
        entry = {"source": str(folder)} | ({"processor": processor} if processor else {})
        size = size_of("m", validate({"models": {"m": entry}, "prompts": {}}).models["m"], None, "cpu")
        assert (size.per_input(inputs) == (prepared["input_ids"].shape[1], patches)) is equal


def test_only_an_entry_with_the_key_is_another_model(tiny_llava):
    entry = {"source": str(tiny_llava)}
    config = validate({"models": {"m": entry, "n": entry | {"processor": {"do_resize": False}}}, "prompts": {}})
    again = validate({"models": {"m": entry, "n": entry | {"processor": {"do_resize": True}}}, "prompts": {}})
    assert model_folder(config, "m").split("/")[-1] != model_folder(config, "n").split("/")[-1]
    assert model_folder(config, "m") == model_folder(again, "m")
    assert model_folder(config, "n") != model_folder(again, "n")
    assert processor_folder(config, "n") != processor_folder(again, "n")
    assert "processor" not in json.dumps(config.models["m"].entry()).replace("image_processor", "")
