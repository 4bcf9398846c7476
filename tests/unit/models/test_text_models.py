"""Language models without vision: as exact as multimodal ones, found in a folder, refused where an image is needed."""

from functools import cache
from itertools import pairwise

import pytest
import torch
import transformers
from PIL import Image

from layerwise.answers.finding_head import find_head
from layerwise.errors import InputError
from layerwise.models.adapters.text import TextModel
from layerwise.models.greedy import greedy_answers
from layerwise.models.opening import open_model
from layerwise.models.registration import describe_model
from layerwise.models.text_processor import TextProcessor
from tests import families
from tests.families.common import tokenizer
from tests.families.measure import PROMPTS, relative
from tests.families.text_models import LANGUAGE_MODELS, LanguageModel

# Float32, norm of the difference over norm of the vector, at every layer.
EXACT = 2e-6
ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "text", "conversation": "auto"}
NO_IMAGES = [None] * len(PROMPTS)

each_type = pytest.mark.parametrize("tested", LANGUAGE_MODELS, ids=lambda tested: tested.name)
LLAMA = LANGUAGE_MODELS[0]


@cache
def served(tested: LanguageModel) -> TextModel:
    return tested.served()


def alone(model: TextModel, prompts=PROMPTS, position="last") -> torch.Tensor:
    return torch.cat([model.states([None], [prompt], [position])[position] for prompt in prompts])


@each_type
def test_hooks_read_what_the_model_reports(tested):
    model = served(tested)
    for prompt, ours in zip(PROMPTS, alone(model), strict=True):
        inputs = model.processor.tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            output = model.model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], output_hidden_states=True
            )
        reported = torch.stack([hidden[0, -1] for hidden in output.hidden_states])
        # transformers does not report the topmost block's output. It must lead to the final norm's.
        assert relative(torch.cat([ours[:-2], ours[-1:]]), reported) <= EXACT
        assert relative(model.final_norm(ours[-2]), ours[-1]) <= EXACT
        checked = model.reported(model.prepare([None], [prompt]), ["last"])["last"][0]
        assert relative(checked, reported) <= EXACT


@each_type
def test_layers_differ(tested):
    """Or equality would say nothing."""
    states = alone(served(tested))[0]
    assert all(relative(higher[None], lower[None]) > 1e-2 for lower, higher in pairwise(states))


@each_type
def test_a_batch_is_as_its_texts_alone(tested):
    model = served(tested)
    assert relative(model.states(NO_IMAGES, PROMPTS, ["last"])["last"], alone(model)) <= EXACT


@each_type
def test_a_type_is_the_same_from_a_folder(tested, tmp_path):
    """As a study meets it: its files are found, checked, described and loaded; a twin has other weights."""
    made = served(tested)
    for part in (made.model, made.processor):
        part.save_pretrained(tmp_path)
    description = describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0)
    assert (description["n_layers"], description["width"]) == (made.n_layers, made.width)
    assert description["image_processor"] is None
    loaded = open_model(description, "cpu")
    assert torch.equal(alone(loaded), alone(made))
    twins = [
        open_model(describe_model("twin", ENTRY | {"source": str(tmp_path), "weights": "random"}, None, seed), "cpu")
        for seed in (1, 1, 2)
    ]
    first, again, other = (alone(twin) for twin in twins)
    assert torch.equal(first, again)
    assert relative(other[:, -1], first[:, -1]) > 1e-2


@each_type
def test_the_head_is_found_in_the_files(tested, tmp_path):
    made = served(tested)
    for part in (made.model, made.processor):
        part.save_pretrained(tmp_path)
    head = find_head(describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0))
    assert head.stored.shape == (len(made.processor.tokenizer), made.width)
    states = alone(made)
    assert relative(torch.from_numpy(head.norm(states[:, -2].double().numpy())), states[:, -1]) < 1e-5
    assert head.conversation.with_image == head.conversation.without_image == ("", "")


@each_type
def test_sites_within_blocks(tested):
    model = served(tested)
    sites = ["last-attention", "last-mlp", "last-heads"]
    together, each = (model.states(NO_IMAGES, PROMPTS, sites), {site: alone(model, position=site) for site in sites})
    for site in sites:
        assert together[site].shape[:2] == (len(PROMPTS), model.n_layers)
        assert relative(together[site], each[site]) <= 10 * EXACT


def test_a_decoder_without_attention_is_refused(tmp_path):
    """Mamba's layers are reported under other numbers."""
    words = tokenizer()
    config = transformers.MambaConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2)
    for part in (transformers.MambaForCausalLM(config), TextProcessor(words)):
        part.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="'text' does not find its way in a model of type mamba"):
        open_model(describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0), "cpu")


@pytest.mark.parametrize("name", ["Llama", "GPT-2"])
def test_answers_in_a_batch_are_those_of_each_alone(name):
    model = served(next(model for model in LANGUAGE_MODELS if model.name == name))
    together = greedy_answers(model, NO_IMAGES, PROMPTS, 5)
    assert together == [greedy_answers(model, [None], [prompt], 5)[0] for prompt in PROMPTS]
    # Writing pads before the texts; reading pads behind them again.
    assert model.processor.tokenizer.padding_side == "right"


def test_a_bypass_reaches_a_language_model():
    model, processor = LLAMA.build()
    plain, routed = (
        TextModel(model.eval(), processor, "auto", intervention=how)
        for how in (None, {"bypass": {"from": 1, "scale": 2.0}})
    )
    before, after = alone(plain), alone(routed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert relative(after[:, -2], before[:, -2]) > 1e-2


def test_a_picture_is_refused():
    model = served(LLAMA)
    with pytest.raises(InputError, match="which sees no picture; give it prompts with `image: none`"):
        model.prepare([Image.new("RGB", (8, 8))], ["Hm."])
    with pytest.raises(InputError, match="there are no tokens of an image"):
        model.states([None], ["Hm."], ["image-mean"])
    assert not model.shares_prefix


def rendered(conversation: str, template: str | None = None) -> str:
    model, processor = LLAMA.build()
    processor.tokenizer.chat_template = template
    return TextModel(model, processor, conversation).render("<image> or {prompt}?")


def test_conversations():
    template = (
        "{% for m in messages %}<{{ m.role }}> {{ m.content }}{% endfor %}{% if add_generation_prompt %} >{% endif %}"
    )
    assert rendered("auto") == "<image> or {prompt}?"
    assert rendered("auto", template) == rendered("chat", template) == "<user> <image> or {prompt}? >"
    # As that of a multimodal model reads a text without an image.
    assert rendered("<image>\nUSER: {prompt}") == "USER: <image> or {prompt}?"
    assert rendered(" {prompt}.") == " <image> or {prompt}?."
    with pytest.raises(InputError, match="has no chat template; give the model entry a `conversation`"):
        rendered("chat")


def test_a_multimodal_model_reads_the_same_text():
    multimodal = families.llava()[0]
    words = tokenizer()
    text = "<image>\nUSER: {prompt} ASSISTANT:"
    llava = families.frozen(families.llava)
    assert type(multimodal) is type(llava.model)
    llava.conversation = text
    language_model = TextModel(LLAMA.build()[0], TextProcessor(words), text)
    ours, theirs = (model.prepare([None] * 3, PROMPTS[:3]) for model in (language_model, llava))
    for ids, mask, others, shown in zip(
        ours["input_ids"], ours["attention_mask"], theirs["input_ids"], theirs["attention_mask"], strict=True
    ):
        assert ids[mask.bool()].tolist() == others[shown.bool()].tolist()


def test_a_tokenizer_without_padding_pads_with_another_token():
    words = tokenizer()
    words.pad_token = None
    assert TextProcessor(words).tokenizer.pad_token == words.eos_token
    words.pad_token = words.eos_token = words.bos_token = words.unk_token = None
    with pytest.raises(InputError, match="names no token that could pad a batch"):
        TextProcessor(words)


def test_two_begin_tokens_are_refused():
    words = tokenizer()
    model = TextModel(LLAMA.build()[0], TextProcessor(words), words.bos_token + words.bos_token + "{prompt}")
    with pytest.raises(InputError, match=r"would read its begin token .* twice"):
        model.prepare([None], ["Hm."])


def test_a_prompt_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="was made for at most 512"):
        served(LLAMA).prepare([None], ["a circle " * 600])


def test_registration_says_which_adapter_a_model_needs(tmp_path, tiny_llava):
    for part in LLAMA.build():
        part.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"a model of type llama is a language model, .* write `adapter: text`"):
        describe_model("tiny", ENTRY | {"source": str(tmp_path), "adapter": "generic"}, None, seed=0)
    with pytest.raises(InputError, match="a model of type llava sees pictures"):
        describe_model("tiny", ENTRY | {"source": str(tiny_llava)}, None, seed=0)
    with pytest.raises(InputError, match=r"image_processor: the adapter 'text' shows no picture; leave it out"):
        describe_model("tiny", ENTRY | {"source": str(tmp_path), "image_processor": "pil"}, None, seed=0)


def test_missing_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    for part in LLAMA.build():
        part.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.layers.1.mlp.other.weight"] = weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights of the model \(1\): model.layers.1.mlp.up_proj.weight"):
        describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    LLAMA.build()[0].save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"models.tiny: cannot load the tokenizer in"):
        describe_model("tiny", ENTRY | {"source": str(tmp_path)}, None, seed=0)
