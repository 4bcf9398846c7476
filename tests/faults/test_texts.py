"""Texts that a model cannot be shown: refused by their item before the run."""

import subprocess

import pytest
from PIL import Image

from layerwise.models.registration import describe_model
from tests.cells import extraction, write_items
from tests.faults.reliability import fault


@fault(
    "a caption of 10,000 characters, longer than the model's context, or one that holds the model's image token",
    sees="one error that names item and length, or the token, before the first input is run",
    kept="all that was finished; no state is made of a text that was cut off",
)
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("circle " * 1429, "error: item b: with this prompt the model would read"),
        ("Is <image> red?", "error: item b: the prompt 'Is <image> red?' holds the model's image token"),
    ],
)
def test_texts_that_cannot_be_shown(tiny_llava, tmp_path, text, complaint):
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    write_items(tmp_path, [("a", picture, "Is there a red circle?"), ("b", picture, text)])
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    model = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    done = subprocess.run(
        extraction(tmp_path, model, ["last"], tmp_path / "states.h5"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "states.h5").exists()
