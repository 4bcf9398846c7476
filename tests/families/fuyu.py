"""Fuyu: the decoder reads a picture's patches through one matrix, row by row, without a vision tower."""

import tokenizers
import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import PATCH, Built, text, tokenizer
from tests.families.family import PROJECTOR, Family

MARKS = ("|SPEAKER|", "|NEWLINE|", "<0x04>")


def _words() -> PreTrainedTokenizerFast:
    """The local tokenizer with a blank before a picture, as Fuyu's own writes it and its processor expects it."""
    words = tokenizer()
    before = tokenizers.Regex(r"\A(?=\|SPEAKER\|\|)")
    words.backend_tokenizer.normalizer = tokenizers.normalizers.Replace(before, " ")
    words.add_tokens([tokenizers.AddedToken(mark, special=True, normalized=True) for mark in MARKS])
    return words


def fuyu() -> Built:
    """Fuyu: 8 to 16 patches."""
    words = _words()
    decoder = text(words, hidden_act="relu2", qk_layernorm=True) | {"model_type": "persimmon"}
    del decoder["num_key_value_heads"]
    config = transformers.FuyuConfig(
        text_config=decoder, patch_size=PATCH, image_token_id=words.convert_tokens_to_ids("|SPEAKER|")
    )
    images = transformers.FuyuImageProcessor(
        size={"height": 4 * PATCH, "width": 4 * PATCH}, patch_size={"height": PATCH, "width": PATCH}
    )
    return transformers.FuyuForCausalLM(config), transformers.FuyuProcessor(images, words)


FAMILIES: list[Family] = [
    Family(
        "Fuyu",
        fuyu,
        PROJECTOR,
        needs_image=True,
        one_picture=True,
        note="its processor puts the image first, and ends every prompt with a token that begins the answer",
    )
]
