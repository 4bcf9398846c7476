"""Pictures as they are found: what is shown of unusual ones, and how those that cannot be shown are refused."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.registration import describe_model
from layerwise.states.images import read_image
from layerwise.states.store import StatesFile
from layerwise.stimuli.image_files import check_images
from tests.cells import extraction, write_items
from tests.faults.reliability import fault

RED = (200, 30, 20)


def palette() -> Image.Image:
    picture = Image.new("P", (40, 30), 0)
    picture.putpalette([*RED, 0, 0, 0])
    picture.info["transparency"] = 1
    return picture


def turned() -> Image.Image:
    picture = Image.new("RGB", (40, 30), RED)
    picture.getexif()[0x0112] = 6
    return picture


# By name: the picture, and what a model should be shown of it: size and colour.
UNUSUAL = {
    "cmyk.jpg": (Image.new("RGB", (40, 30), RED).convert("CMYK"), (40, 30), RED),
    "rgba.png": (Image.new("RGBA", (40, 30), (*RED, 0)), (40, 30), RED),
    "grey.png": (Image.new("L", (40, 30), 77), (40, 30), (77, 77, 77)),
    "16-bit.png": (Image.fromarray(np.full((30, 40), 77 * 257, np.uint16)), (40, 30), (77, 77, 77)),
    "16-bit.tif": (Image.fromarray(np.full((30, 40), 77 * 257, np.uint16)), (40, 30), (77, 77, 77)),
    "palette.png": (palette(), (40, 30), RED),
    "1x1.png": (Image.new("RGB", (1, 1), RED), (1, 1), RED),
    "wide.png": (Image.new("RGB", (20_000, 30), RED), (20_000, 30), RED),
    "turned.jpg": (turned(), (30, 40), RED),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, (picture, _, _) in UNUSUAL.items():
        picture.save(folder / name, **({"exif": picture.getexif()} if name == "turned.jpg" else {}))
    return folder


@fault(
    "a picture is in CMYK, grey or 16 bits, has transparency or a palette, an EXIF turn, or 1x1 or 20,000 pixels a row",
    sees="nothing: the model sees it upright, in 8-bit RGB, without transparency",
    kept="the run",
)
def test_unusual_pictures_are_shown_as_they_look(pictures):
    for name, (_, size, colour) in UNUSUAL.items():
        image = read_image(pictures / name)
        assert (image.size, image.mode) == (size, "RGB"), name
        assert np.abs(np.asarray(image)[0, 0].astype(int) - colour).max() <= 3, name
    assert len(check_images(str(pictures / name) for name in UNUSUAL)) == len(UNUSUAL)


def test_a_model_reads_them_all(pictures, tiny_llava, tmp_path):
    # The same picture in two formats is one to the model, and another one is not.
    write_items(tmp_path, [(name, pictures / name, "Is there a red circle in the image?") for name in UNUSUAL])
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    model = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    out = tmp_path / "states.h5"
    subprocess.run(extraction(tmp_path, model, ["last"], out), check=True, capture_output=True)
    with StatesFile(out) as states:
        top = dict(zip(states.item_ids, states.layer("last", 4)[states.row_of_item], strict=True))
    assert len(top) == len(UNUSUAL)
    assert np.allclose(top["rgba.png"], top["palette.png"], atol=1e-4)
    assert np.allclose(top["16-bit.png"], top["grey.png"], atol=1e-4)
    assert not np.allclose(top["grey.png"], top["rgba.png"], atol=1e-2)


@fault(
    "a picture file is empty, cut short, not a picture, or unpacks to more than 178 million pixels",
    sees="one error that names the file, when stimuli are made and before any model is loaded",
    kept="all finished work",
)
@pytest.mark.parametrize("name", ["empty.png", "cut.png", "page.png", "bomb.png"])
def test_pictures_that_cannot_be_shown_are_named(tmp_path, name):
    file = tmp_path / name
    if name == "bomb.png":
        Image.new("1", (20_000, 10_000)).save(file)
    else:
        Image.effect_noise((100, 100), 50).save(file)
        content = {"empty": b"", "cut": file.read_bytes()[:-3000], "page": b"<html>"}
        file.write_bytes(content[file.stem])
    with pytest.raises(InputError, match=rf"{name}: not a readable image .*; replace the file"):
        check_images([str(file)])
    # And once more should it be replaced by such a one afterwards.
    with pytest.raises(InputError, match=rf"{name}: the image cannot be decoded"):
        read_image(file)
