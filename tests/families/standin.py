"""The common parts of all tiny models: a tokenizer, sizes, and a stand-in for processors.

Some families' own processors need packages that this project does not require (torchvision, num2words). The stand-in
does what every processor does: it replaces the image by the family's tokens and makes its tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature, PreTrainedTokenizerFast

from layerwise.models.embedded.tokenizer import train_tokenizer

WIDTH, LAYERS, SIDE, PATCH = 64, 3, 56, 14
BEGIN, END = "<begin-image>", "<end-image>"
PINPOINTS = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE]]

# A tiny model and its processor.
Built = tuple[nn.Module, Any]


def tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """A small byte-level tokenizer with ``<image>`` and a token on either side of it.

    Args:
        more: further special tokens.
        named: further tokens that a processor reads as attributes, by name and by name and ``_id``.
    """
    trained = train_tokenizer(["Is there a red circle in the image?", "A blue square left of a green star."] * 20)
    trained.add_special_tokens({"additional_special_tokens": ["<image>", BEGIN, END, *more], "unk_token": "<unk>"})
    return PreTrainedTokenizerFast(
        tokenizer_object=trained.backend_tokenizer,
        padding_side=trained.padding_side,
        **{name: token for name, token in trained.special_tokens_map.items() if name != "additional_special_tokens"},
        extra_special_tokens=named,
    )


def pixels(image: Image.Image, side: int = SIDE) -> Tensor:
    """The picture as numbers around 0, shape (3, side, side)."""
    array = np.asarray(image.convert("RGB").resize((side, side)), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(array).permute(2, 0, 1)


def plain_pixels(image: Image.Image) -> dict[str, Tensor]:
    """The tensors of a model that only needs the picture."""
    return {"pixel_values": pixels(image)[None]}


def text(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """Arguments for the configurations of most text decoders."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 128,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(words),
        "max_position_embeddings": 512,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    } | more


def vision(**more: Any) -> dict[str, Any]:
    """Arguments for the configurations of most vision towers."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
    } | more


def siglip(**more: Any) -> transformers.SiglipVisionConfig:
    """A SigLIP tower without its pooling head."""
    return transformers.SiglipVisionConfig(**vision(vision_use_head=False, **more))


def image_token(words: PreTrainedTokenizerFast) -> int:
    """The id of ``<image>``."""
    return words.convert_tokens_to_ids("<image>")


@dataclass
class StandInProcessor:
    """Prepares a tiny model's inputs as its family's processor would.

    Attributes:
        tensors: the model's tensors for one image, with a first dimension that is joined over images.
        tokens: how many tokens stand for an image.
        before, after: text around them.
        token_types: the name of the input that marks the image's tokens.
    """

    tokenizer: PreTrainedTokenizerFast
    tensors: Callable[[Image.Image], dict[str, Tensor]]
    tokens: Callable[[Image.Image], int]
    before: str = ""
    after: str = ""
    token_types: str | None = None
    image_token: str = "<image>"
    chat_template: None = None
    images_seen: int = field(default=0)

    def __call__(
        self,
        text: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        padding: bool,
        return_tensors: str,
        add_special_tokens: bool,
    ) -> BatchFeature:
        """The tensors of a batch of texts with one image each."""
        written = []
        for one, (image,) in zip(text, images, strict=True):
            self.images_seen += 1
            written.append(one.replace("<image>", f"{self.before}{'<image>' * self.tokens(image)}{self.after}"))
        encoded = self.tokenizer(
            written, padding=padding, return_tensors=return_tensors, add_special_tokens=add_special_tokens
        )
        data = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        if self.token_types:
            data[self.token_types] = (data["input_ids"] == self.tokenizer.convert_tokens_to_ids("<image>")).long()
        each = [self.tensors(image) for (image,) in images]
        data |= {key: torch.cat([tensors[key] for tensors in each]) for key in each[0]}
        return BatchFeature(data)
