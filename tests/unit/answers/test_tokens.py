"""The tokens with which a model would begin its answers to a prompt."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerwise.answers.finding_head import conversation_of
from layerwise.answers.head_file import Head, Norm
from layerwise.answers.tokens import tokens_of
from layerwise.errors import InputError
from layerwise.models.head import Bending
from layerwise.stimuli.items import read_items
from tests import families
from tests.cells import write_items

ENTRY = {"text": 'Does "{text}" fit the image?', "answers": {"match": ["blue", "B"], "mismatch": ["red"]}}
WHERE = r"stimuli\.s\.prompts: agree: "


@pytest.fixture
def stimuli(tmp_path) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    write_items(tmp_path, [(f"i{n}", tmp_path / "a.png", text) for n, text in enumerate(["a star", "red", "a sta"])])
    return tmp_path


@cache
def head(conversation: str) -> Head:
    """What is read off a LLaVA without its norm and its head, which have no say here."""
    model = families.frozen(families.llava)
    model.conversation = conversation
    spoken = conversation_of(model, "models.m")
    return Head("llava", "d", Norm(np.ones(1), np.zeros(1), False, 0), None, None, "float32", Bending(), spoken)


def tokens(folder, conversation="<image>\n{prompt}", **entry):
    items, described = read_items(folder)
    where = "stimuli.s.prompts: agree"
    return tokens_of(head(conversation), where, ENTRY | entry, items, described["categories"])


def test_a_word_counts_with_and_without_a_space_in_lower_case_and_capitalised(stimuli):
    found = tokens(stimuli)
    # What is no word of this tokenizer is spelt in parts.
    assert {token["text"] for token in found["match"]} == {"bl", " blue", "b", "B"}
    assert {token["text"] for token in found["mismatch"]} == {"re", " red", "R"}


def test_classes_that_begin_alike_are_refused_by_name(stimuli):
    says = WHERE + r"a model of type llava begins 'red' \(mismatch\) and 'reddish' \(match\) with the same token 're'"
    with pytest.raises(InputError, match=says + ".* give words in `answers` that begin differently"):
        tokens(stimuli, answers={"mismatch": ["red"], "match": ["reddish"]})


def test_tokens_that_depend_on_the_item_are_refused(stimuli):
    """Where the conversation ends with the item's own text, an answer without a space may join it."""
    with pytest.raises(InputError, match=WHERE + ".*differs between the items i0 and i"):
        tokens(stimuli, "<image>{prompt}", text="{text}")


def test_without_an_image_the_text_alone_stands_before_the_answer(stimuli):
    """And the same tokens follow it."""
    assert tokens(stimuli, image="none") == tokens(stimuli)
