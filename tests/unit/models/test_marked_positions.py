"""States at positions that tasks name, against hand-picked tokens of each family's own forward pass."""

import numpy as np
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.marked.prompts import Mark, MarkedPrompt
from layerwise.models.marked.reading import reading_marks
from tests import families
from tests.families.comparing import pictures
from tests.families.text_models import LANGUAGE_MODELS

PROMPTS = [
    "Is there a red circle in the picture?",
    "Is there a circle left of a red star, or is the star blue?",
    "A circle.",
]
# The word's last time in each prompt, by hand.
WORD = {PROMPTS[0]: (14, 17), PROMPTS[1]: (28, 31)}
AT = ["word-red", "question-last", "text-mean", "image-last"]
# In pixels of the picture: its left half.
BOXES = ((0, 0, 20, 40),)
FAMILIES = [families.llava, families.qwen2_vl, families.idefics3, families.gemma3, families.kosmos2, families.mllama]
MAPPED = [families.llava, families.qwen2_vl, families.internvl, families.llava_next]
EXACT = 2e-6


def marked(prompt: str, positions=AT) -> MarkedPrompt:
    marks = dict.fromkeys(positions, Mark()) | {"word-red": Mark(WORD[prompt]) if prompt in WORD else None}
    return MarkedPrompt(prompt, {position: marks[position] for position in positions})


def own_pass(model, image, prompt):
    """Token ids of one input, whose tokens are the image's, and all hidden states that the family itself reports, but
    that before the last norm: (layers, tokens, width)."""
    inputs = model.prepare([image], [prompt])
    whose = model.picture_tokens(inputs)[0] > 0
    given = {key: value for key, value in inputs.items() if key not in ("picture_tokens", "read_tokens")}
    with torch.inference_mode():
        out = model.forward(**given, use_cache=False, output_hidden_states=True)
    hidden = getattr(out, "language_model_outputs", out).hidden_states
    return inputs["input_ids"][0], whose, torch.stack(hidden)[:, 0].float()


def written(model, ids, upto: int) -> str:
    return model.processor.tokenizer.decode(ids[:upto], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def first_holding(model, ids, text: str) -> int:
    """The first token with which all of a text has been written: read token by token, without any offsets."""
    squeezed = text.replace(" ", "")
    return next(i for i in range(len(ids)) if squeezed in written(model, ids, i + 1).replace(" ", ""))


def expected(model, image, prompt) -> dict[str, torch.Tensor]:
    ids, whose, hidden = own_pass(model, image, prompt)
    begin = len(written(model, ids, 0))
    assert begin == 0
    last = first_holding(model, ids, prompt)
    # The first token after which something of the prompt is there.
    behind_image = int(whose.nonzero()[-1]) + 1
    said = [
        i for i in range(behind_image, last + 1) if written(model, ids[behind_image:], i + 1 - behind_image).strip()
    ]
    whole = "".join(written(model, ids[behind_image:], last + 1 - behind_image).split())
    own = prompt.replace(" ", "")
    skipped = len(whole) - len(own)
    first = next(
        i for i in said if len("".join(written(model, ids[behind_image:], i + 1 - behind_image).split())) > skipped
    )
    found = {
        "question-last": hidden[:, last],
        "text-mean": hidden[:, first : last + 1].mean(1),
        "image-last": hidden[:, behind_image - 1],
    }
    if prompt in WORD:
        upto = prompt[: WORD[prompt][1]]
        found["word-red"] = hidden[:, first_holding(model, ids, upto)]
    return found


def check(states, row, wanted):
    for position, own in wanted.items():
        read = states[position][row]
        # No family reports the last block's output before the norm.
        read = torch.cat([read[:-2], read[-1:]])
        difference = (read - own).norm(dim=1) / own.norm(dim=1)
        assert difference.max() < EXACT, (position, row, difference)


@pytest.mark.parametrize("build", FAMILIES, ids=lambda build: build.__name__)
def test_each_position_is_a_hand_picked_token_of_the_familys_own_pass(build):
    model = families.frozen(build)
    reader = reading_marks(model)
    images, prompts = pictures(2), [marked(prompt) for prompt in PROMPTS]
    wanted = {(i, prompt): expected(model, image, prompt) for i, image in enumerate(images) for prompt in PROMPTS}
    batch = reader.states([images[0]] * 3, prompts, [*AT, "last"])
    plain = model.states([images[0]] * 3, PROMPTS, ["last"])
    assert torch.equal(batch["last"], plain["last"])
    for row, prompt in enumerate(PROMPTS):
        alone = reader.states([images[0]], [prompts[row]], AT)
        check(alone, 0, wanted[0, prompt])
    # The third prompt has no such word.
    assert not batch["word-red"][2].any()
    assert batch["word-red"][1].any()
    if not reader.shares_prefix:
        return
    groups = [reader.prepare_shared(image, prompts) for image in images]
    for image, states in enumerate(reader.run_several(groups, [*AT, "last"])):
        assert torch.equal(states["last"], model.states_shared(images[image], PROMPTS, ["last"])["last"])
        for row, prompt in enumerate(PROMPTS):
            check(states, row, wanted[image, prompt])
        assert not states["word-red"][2].any()


@pytest.mark.parametrize("build", MAPPED, ids=lambda build: build.__name__)
def test_an_objects_tokens_are_those_that_show_its_box(build):
    """Against the picture itself: only these tokens enter the decoder changed when the box is painted."""
    model = families.frozen(build)
    image = Image.fromarray(np.full((48, 64, 3), 90, np.uint8))
    prompt = MarkedPrompt(PROMPTS[0], {"object-mean": Mark(boxes=BOXES)})
    reader = reading_marks(model)
    inputs = reader.prepare([image], [prompt])
    tokens = inputs["read_tokens"][0]["object-mean"]
    whose = model.picture_tokens(inputs)[0] > 0
    assert 0 < len(tokens) < int(whose.sum())
    assert whose[tokens].all()
    hidden = own_pass(model, image, PROMPTS[0])[2]
    check(reader.states([image], [prompt], ["object-mean"]), 0, {"object-mean": hidden[:, tokens].mean(1)})
    if reader.shares_prefix:
        shared = reader.states_shared(image, [prompt, MarkedPrompt(PROMPTS[1], prompt.marks)], ["object-mean"])
        check(shared, 0, {"object-mean": hidden[:, tokens].mean(1)})


def test_images_that_run_together_are_read_as_alone(monkeypatch):
    reader = reading_marks(families.frozen(families.llava))
    prompts = [marked(prompt) for prompt in PROMPTS]
    images = pictures(4)
    groups = [reader.prepare_shared(image, prompts[i % 2 :]) for i, image in enumerate(images)]
    alone = [reader.run_shared(group, AT) for group in groups]
    monkeypatch.setattr(reader.images, "size", 4)
    for own, together in zip(alone, reader.run_several(groups, AT), strict=True):
        for position in AT:
            assert torch.allclose(own[position], together[position], atol=2e-5), position


def test_a_language_model_is_read_at_words_too():
    model = LANGUAGE_MODELS[0].served()
    reader = reading_marks(model)
    states = reader.states([None], [marked(PROMPTS[0], AT[:3])], AT[:3])
    inputs = model.prepare([None], [PROMPTS[0]])
    ids = inputs["input_ids"][0]
    with torch.inference_mode():
        hidden = torch.stack(model.forward(**inputs, output_hidden_states=True).hidden_states)[:, 0]
    red = first_holding(model, ids, PROMPTS[0][:17])
    check(states, 0, {"word-red": hidden[:, red], "question-last": hidden[:, first_holding(model, ids, PROMPTS[0])]})


def test_a_family_whose_patches_are_not_mapped_says_so():
    reader = reading_marks(families.frozen(families.idefics3))
    with pytest.raises(InputError, match="no states at object-mean: it is not known which image tokens"):
        reader.prepare(pictures(1), [MarkedPrompt(PROMPTS[0], {"object-mean": Mark(boxes=BOXES)})])
