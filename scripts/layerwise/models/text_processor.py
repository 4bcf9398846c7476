"""What a language model has in place of a processor."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from layerwise.errors import InputError
from layerwise.models.explained import explained


class TextProcessor:
    """A tokenizer under the name that it has in the processors of multimodal models.

    It pads texts at their end. There padding changes nothing in a causal decoder, even in one that counts positions
    without the mask (GPT-2). Padding is masked, so a tokenizer that names no token for it may use any.

    Attributes:
        tokenizer: the family's own.
    """

    def __init__(self, tokenizer: Any):
        """
        Raises:
            InputError: when the tokenizer has no special token to pad with.
        """
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.unk_token
        if tokenizer.pad_token is None:
            raise InputError("its tokenizer names no token that could pad a batch; give it a pad_token in its files")
        tokenizer.padding_side = "right"
        self.tokenizer = tokenizer

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer's files."""
        self.tokenizer.save_pretrained(folder)


def load_text_processor(name: str, folder: str | Path, trust: bool = False) -> TextProcessor:
    """A language model's tokenizer.

    Args:
        name: the model's name in the config.
        folder: of the model.
        trust: whether code that comes with the model may run.

    Raises:
        InputError: when the folder has none, or it cannot be used.
    """
    with explained(f"models.{name}: cannot load the tokenizer in {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    try:
        return TextProcessor(tokenizer)
    except InputError as error:
        raise InputError(f"models.{name}: {error}") from error
