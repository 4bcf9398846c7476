"""A text begins once, whoever writes its first token: a chat template, a conversation, a processor or the tokenizer."""

import pytest
from tokenizers.processors import Sequence, TemplateProcessing

from layerwise.errors import InputError
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.greedy import greedy_answers
from tests import families
from tests.families.common import tokenizer
from tests.families.measure import pictures

BEGIN = "<|begin_of_text|>"
MARKS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>")
# As Llama 3 and Gemma write a turn. Both tokenizers put the token first, too.
LLAMA_3 = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{%- for part in message['content'] %}{{- '<image>' if part['type'] == 'image' else part['text'] }}{%- endfor %}"
    "{{- '<|eot_id|>' }}{%- endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
)


@pytest.fixture(scope="module")
def parts():
    model, processor = families.llava()
    processor.tokenizer = tokenizer(BEGIN, *MARKS)
    model.resize_token_embeddings(len(processor.tokenizer))
    return model.eval(), processor


@pytest.fixture
def make(parts):
    """A LLaVA whose tokenizer puts a begin token first, as those of Llama 3 do, whether it names it or not."""
    model, processor = parts
    words = processor.tokenizer
    first = [(BEGIN, words.convert_tokens_to_ids(BEGIN))]
    puts_first = TemplateProcessing(single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=first)
    words.backend_tokenizer.post_processor = Sequence([puts_first])

    def make(conversation="auto", template=None, named=True):
        words.bos_token, processor.chat_template = BEGIN if named else None, template
        return GenericModel(model, processor, conversation)

    return make


def begun(model, image):
    prepared = model.prepare(pictures()[:1] if image else [None], ["Is there a circle?"])
    return model.processor.tokenizer.convert_ids_to_tokens(prepared["input_ids"][0].tolist()).count(BEGIN)


ONCE = [
    {},
    {"template": LLAMA_3},
    {"template": GEMMA},
    {"conversation": f"{BEGIN}<image>{{prompt}}"},
    {"named": False},
]


@pytest.mark.parametrize("how", ONCE)
def test_a_text_that_begins_once_is_read(make, how):
    assert [begun(make(**how), image) for image in (True, False)] == [1, 1]


TWICE = [
    # A template that begins with a blank line, or writes the token without the tokenizer's naming it.
    {"template": "\n" + LLAMA_3.replace("{{-", "{{")},
    {"template": LLAMA_3.replace("bos_token", f"'{BEGIN}'"), "named": False},
    {"template": "{{ bos_token }}" + GEMMA},
    {"conversation": f"{BEGIN}{BEGIN}<image>{{prompt}}"},
    {"conversation": f" {BEGIN}<image>{{prompt}}"},
    {"conversation": f"<image>{BEGIN}{{prompt}}"},
]


@pytest.mark.parametrize("how", TWICE)
def test_a_text_that_begins_twice_is_refused(make, how):
    model = make(**how)
    with pytest.raises(InputError, match=r"begin token <\|begin_of_text\|> twice: .* `conversation` that begins"):
        begun(model, image=True)
    with pytest.raises(InputError, match="twice"):
        greedy_answers(model, pictures()[:1], ["Is there a circle?"])


@pytest.mark.parametrize("how", TWICE[:4])
def test_a_text_without_an_image_that_begins_twice_is_refused(make, how):
    with pytest.raises(InputError, match="twice"):
        begun(make(**how), image=False)


@pytest.mark.parametrize("build", [families.emu3, families.mllama])
def test_a_processor_that_writes_the_token_itself_gets_no_second_one(build):
    """Llama 3.2 Vision without a chat template: its processor puts it behind the image, its tokenizer before it."""
    model = families.frozen(build)
    prepared = model.prepare(pictures()[:1], ["Is there a circle?"])
    assert prepared["input_ids"][0].tolist().count(model.processor.tokenizer.bos_token_id) == 1
