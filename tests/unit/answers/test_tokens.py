"""The tokens with which a model would begin its answers to a prompt."""

from pathlib import Path

import pytest
from PIL import Image

from layerwise.answers.tokens import tokens_of
from layerwise.errors import InputError
from tests import families
from tests.cells import write_items

ENTRY = {"text": 'Does "{text}" fit the image?', "answers": {"match": ["blue", "B"], "mismatch": ["red"]}}
WHERE = r"stimuli\.s\.prompts: agree: "


@pytest.fixture
def stimuli(tmp_path) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    write_items(tmp_path, [(f"i{n}", tmp_path / "a.png", text) for n, text in enumerate(["a star", "red", "a sta"])])
    return tmp_path


def tokens(folder, **entry):
    return tokens_of(families.frozen(families.llava), "s", "agree", ENTRY | entry, folder)


def test_a_word_counts_with_and_without_a_space_in_lower_case_and_capitalised(stimuli):
    found = tokens(stimuli)
    # What is no word of this tokenizer is spelt in parts.
    assert {token["text"] for token in found.tokens["match"]} == {"bl", " blue", "b", "B"}
    assert {token["text"] for token in found.tokens["mismatch"]} == {"re", " red", "R"}
    assert found.entry == ENTRY


def test_classes_that_begin_alike_are_refused_by_name(stimuli):
    says = WHERE + r"a model of type llava begins 'red' \(mismatch\) and 'reddish' \(match\) with the same token 're'"
    with pytest.raises(InputError, match=says + ".* give words in `answers` that begin differently"):
        tokens(stimuli, answers={"mismatch": ["red"], "match": ["reddish"]})


def test_tokens_that_depend_on_the_item_are_refused(stimuli):
    """Where the conversation ends with the item's own text, an answer without a space may join it."""
    model = families.frozen(families.llava)
    model.conversation = "<image>{prompt}"
    entry = {"text": "{text}", "answers": {"match": ["red"], "mismatch": ["blue"]}}
    with pytest.raises(InputError, match=WHERE + ".*differs between the items i0 and i"):
        tokens_of(model, "s", "agree", entry, stimuli)


def test_without_an_image_the_text_alone_stands_before_the_answer(stimuli):
    """And the same tokens follow it."""
    assert tokens(stimuli, image="none").tokens == tokens(stimuli).tokens
