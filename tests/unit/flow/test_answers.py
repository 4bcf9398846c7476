"""Positions of a question, the model's answers, and how probable they are in each layer."""

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from layerwise.errors import InputError
from layerwise.flow.free import free_runs
from layerwise.flow.positions import position_sets
from layerwise.flow.tracing import trace
from layerwise.models.answer_tokens import answer_tokens
from layerwise.models.greedy import Answer, greedy_answers
from tests import families
from tests.families import FAMILIES
from tests.families.measure import pictures

PROMPT = "Is there a red circle left of the blue square? Answer with one word."
QUESTION = "Is there a red circle left of the blue square?"

four_families = pytest.mark.parametrize(
    "family", [families.llava, families.llava_next, families.qwen2_vl, families.internvl], ids=lambda f: f.__name__
)


def prepared_by(model, prompt=PROMPT, image=0):
    return model.prepare([pictures()[image]], [prompt])


# Chameleon's processor writes a token behind the text, InternVL one behind the image, BLIP-2 puts the image first.
@pytest.mark.parametrize("name", ["LLaVA-1.5", "LLaVA-NeXT", "Qwen2-VL", "InternVL", "BLIP-2", "Chameleon", "Gemma 3"])
def test_sets_hold_what_they_say(name):
    model = next(family for family in FAMILIES if family.name == name).frozen()
    prepared = prepared_by(model)
    ids = prepared["input_ids"][0]
    words = position_sets(model, prepared, PROMPT, QUESTION, {1: [0, 3]}, "words")
    assert model.processor.tokenizer.decode(ids[words["question"]]).strip() == QUESTION
    image = model.image_tokens(prepared)[0]
    assert image[words["image"]].all()
    assert len(words["image"]) == image.sum()
    assert words["object"].tolist() == [words["image"][0], words["image"][3]]
    assert sorted(words["object"].tolist() + words["other"].tolist()) == words["image"].tolist()
    assert words["last"].tolist() == [words.n_tokens - 1] == [len(ids) - 1]
    text = position_sets(model, prepared, PROMPT, QUESTION)
    assert text["question"].tolist() == list(range(int(words["image"][-1]) + 1, len(ids) - 1))
    assert not len(text["object"])
    assert torch.equal(text["other"], text["image"])
    assert text.mask("last").nonzero().tolist() == [[0, len(ids) - 1]]


def test_what_stands_between_the_tiles_of_an_image_is_of_the_image():
    model = next(family for family in FAMILIES if family.name == "Idefics3").frozen()
    prepared = prepared_by(model)
    patches = model.image_tokens(prepared)[0].nonzero()[:, 0].tolist()
    first, last = patches[0], patches[-1]
    assert len(patches) < last + 1 - first
    sets = position_sets(model, prepared, PROMPT, QUESTION, {1: [0, len(patches) - 1]})
    assert sets["image"].tolist() == list(range(first, last + 1))
    assert sets["object"].tolist() == [first, last]
    assert sets["other"].tolist() == list(range(first + 1, last))


def test_a_question_at_the_end_leaves_the_last_position_out():
    model = families.frozen(families.llava)
    sets = position_sets(model, prepared_by(model, QUESTION), QUESTION, QUESTION, takes="words")
    assert sets["question"][-1] == sets["last"][0] - 1


def test_tokens_on_the_edge_of_the_words_are_theirs():
    """The tokenizer here writes ``red circle`` with the space before it."""
    model = families.frozen(families.llava)
    prepared = prepared_by(model)
    sets = position_sets(model, prepared, PROMPT, "red circle", takes="words")
    assert model.processor.tokenizer.decode(prepared["input_ids"][0][sets["question"]]) == " red circle"
    sets = position_sets(model, prepared, PROMPT, "ed circl", takes="words")
    assert model.processor.tokenizer.decode(prepared["input_ids"][0][sets["question"]]) == " red circle"


def test_what_is_not_there_is_named():
    model = families.frozen(families.llava)
    prepared = prepared_by(model)
    with pytest.raises(InputError, match="'a green star' is not in the text that the model is shown"):
        position_sets(model, prepared, PROMPT, "a green star", takes="words")
    with pytest.raises(InputError, match="patch 16 of the object is outside the image's 16 tokens"):
        position_sets(model, prepared, PROMPT, QUESTION, {1: [16]})
    with pytest.raises(InputError, match="not found among the tokens after the image"):
        position_sets(model, prepared_by(model, "Hm."), PROMPT, QUESTION, takes="words")
    with pytest.raises(ValueError, match="one input at a time"):
        position_sets(model, model.prepare(pictures(), [PROMPT] * 2), PROMPT, QUESTION)


@four_families
def test_tracing_is_the_head_on_what_the_model_reports(family):
    model = families.frozen(family)
    prepared = prepared_by(model)
    (run,) = free_runs(model, [prepared], [prepared["input_ids"].shape[1] - 5])
    tokens = {"lower": [5, 40], "capitalised": [41]}
    with torch.inference_mode():
        output = model.model(**prepared, output_hidden_states=True)
        # What transformers does not report: the last block's output before the final norm.
        top = model.run(prepared, ["last"])["last"][0, -2]
        states = torch.stack([*(layer[0, -1] for layer in output.hidden_states[:-1]), top])
        head, norm = model.model.lm_head, model.final_norm
        for final_norm in (True, False):
            expected = head(norm(states) if final_norm else states).softmax(-1)
            found = trace(run, tokens, final_norm)
            assert found["lower"].shape == (model.n_layers + 1,)
            torch.testing.assert_close(found["lower"], expected[:, 5] + expected[:, 40], rtol=1e-4, atol=1e-9)
            torch.testing.assert_close(found["capitalised"], expected[:, 41], rtol=1e-4, atol=1e-9)
        # Behind the last block and the norm, it is the model's own probability.
        whole = output.logits[0, -1].softmax(-1)
        assert float(trace(run, {"own": [5]})["own"][-1]) == pytest.approx(float(whole[5]), rel=1e-5)
        # And it makes a difference.
        both = trace(run, tokens)["lower"], trace(run, tokens, final_norm=False)["lower"]
        assert not torch.allclose(*both, rtol=1e-2)


def sentencepiece_like():
    """A tokenizer that writes a word with the space before it as one token, and every text with one in front."""
    pieces = ["▁red", "▁Red", "red", "Red", "▁", ":", "2", "▁ASSISTANT", "?", "▁Is", "▁it", "<unk>", "<image>", "▁no"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=11, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", extra_special_tokens=["<image>"])


def test_an_answer_begins_with_or_without_a_space():
    model = families.frozen(families.llava)
    words = model.processor.tokenizer
    # Here " red" is a word, and others are spelt in parts.
    assert words.convert_ids_to_tokens(answer_tokens(model, PROMPT, "red")["lower"]) == ["re", "Ġred"]
    assert words.convert_ids_to_tokens(answer_tokens(model, PROMPT, "RED")["capitalised"]) == ["R"]
    model.processor.tokenizer = words = sentencepiece_like()
    model.conversation = "<image> {prompt} ASSISTANT:"
    found = answer_tokens(model, "Is it?", "Red")
    assert sorted(words.convert_ids_to_tokens(found["lower"])) == ["red", "▁red"]
    assert sorted(words.convert_ids_to_tokens(found["capitalised"])) == ["Red", "▁Red"]
    # A space by itself is no answer, and figures have no case.
    two = words.convert_tokens_to_ids("2")
    assert answer_tokens(model, "Is it?", "2") == {"lower": [two], "capitalised": [two]}


def test_an_answer_that_joins_the_prompt_is_named():
    model = families.frozen(families.llava)
    model.conversation = "<image>\n{prompt} re"
    with pytest.raises(InputError, match="joins the answer 'd' with the prompt before it"):
        answer_tokens(model, PROMPT, "d")
    # Nor has an empty one, as a question of GQA's own files might have it, a token.
    model.conversation = "<image>\n{prompt}:"
    with pytest.raises(InputError, match="joins the answer '' with"):
        answer_tokens(model, PROMPT, "")


def greedy_by_hand(model, image, prompt, tokens):
    """One whole forward pass for each token of the answer."""
    inputs = dict(model.prepare([image], [prompt]))
    n = inputs["input_ids"].shape[1]
    for _ in range(tokens):
        with torch.inference_mode():
            following = model.model(**inputs).logits[0, -1].argmax().view(1, 1)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], following], dim=1)
        for key in ("attention_mask", "mm_token_type_ids"):
            if key in inputs:
                more = torch.ones_like(following) if key == "attention_mask" else torch.zeros_like(following)
                inputs[key] = torch.cat([inputs[key], more], dim=1)
    return inputs["input_ids"][0, n:]


@pytest.mark.parametrize(
    "family",
    [families.llava, families.llava_next, families.qwen2_vl, families.internvl, families.emu3],
    ids=lambda f: f.__name__,
)
def test_answers_are_greedy_whatever_the_batch(family):
    model = families.frozen(family)
    # As some publish them.
    own = transformers.GenerationConfig(do_sample=True, temperature=0.1, repetition_penalty=5.0, pad_token_id=0)
    model.model.generation_config = own
    model.processor.tokenizer.padding_side = "right"
    prompts = [PROMPT, "Hm."]
    answers = greedy_answers(model, pictures(), prompts, most_tokens=4)
    for image, prompt, answer in zip(pictures(), prompts, answers, strict=True):
        expected = greedy_by_hand(model, image, prompt, 4)
        assert answer.first_id == int(expected[0])
        assert answer.text == model.processor.tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert model.processor.tokenizer.padding_side == "right"
    assert model.model.generation_config is own


def test_an_answer_ends_where_the_model_ends_it():
    model = families.frozen(families.llava)
    written = greedy_by_hand(model, pictures()[1], PROMPT, 4)
    assert written[0] != written[1]
    # The model's own sign for the end.
    model.model.generation_config = transformers.GenerationConfig(eos_token_id=int(written[1]), pad_token_id=0)
    (answer,) = greedy_answers(model, pictures()[1:], [PROMPT])
    assert answer.text == model.processor.tokenizer.decode(written[:1], skip_special_tokens=True).strip()


def test_right_answers_are_right_in_any_case():
    assert Answer("Red", 1).is_right("red")
    assert Answer("yes", 1).is_right(" Yes ")
    assert not Answer("red and blue", 1).is_right("red")
    assert not Answer("no.", 1).is_right("no")
