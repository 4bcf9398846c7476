"""Texts that a model cannot be shown: refused by their item before the run."""

import pandas as pd
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.checks import check_prompts
from tests.faults.reliability import fault


@fault(
    "a caption is longer than the model's context (10,000 characters), or contains the model's image token",
    sees="one error that names the item and its length, or the token, before the first input is run",
    kept="all finished work; no state comes from a text that was cut off",
)
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "circle " * 1429,
            r"item b: .* would read \d{4} tokens, but it was made for at most 512",
        ),
        ("Is <image> red?", "item b: the prompt 'Is <image> red\\?' holds the model's image token"),
    ],
)
def test_texts_that_cannot_be_shown(tiny_llava, tmp_path, text, complaint):
    picture = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    model = generic.load(describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1), "cpu")
    shown = pd.DataFrame({"item_id": ["a", "b"], "image": str(picture), "prompt": ["Is there a red circle?", text]})
    check_prompts(model, shown[:1])
    with pytest.raises(InputError, match=complaint):
        check_prompts(model, shown)
