"""Tiny models of several families with random weights, from their real configuration classes, and what feeds them.

A family's own processor wants its own tokenizer and image processor, with files that tests must not download. Here one
stand-in does what they all do for a model: it writes the image out as the family's tokens and makes its tensors.
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

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.adapters.kosmos2 import Kosmos2Model
from layerwise.models.embedded.tokenizer import train_tokenizer

WIDTH, LAYERS, SIDE, PATCH = 64, 3, 56, 14
BEGIN, END = "<begin-image>", "<end-image>"
PINPOINTS = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE]]


def tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """A small byte-level tokenizer with ``<image>`` and a token on either side of it.

    Args:
        more: further special tokens.
        named: further ones that a processor asks for by name, and by name and ``_id``.
    """
    made = train_tokenizer(["Is there a red circle in the image?", "A blue square left of a green star."] * 20)
    special = ["<image>", BEGIN, END, *more, *named.values()]
    made.add_special_tokens({"additional_special_tokens": special, "unk_token": "<unk>"})
    for name, token in named.items():
        setattr(made, name, token)
        setattr(made, f"{name}_id", made.convert_tokens_to_ids(token))
    return made


def pixels(image: Image.Image, side: int = SIDE) -> Tensor:
    """The picture as numbers around 0, shape (3, side, side)."""
    array = np.asarray(image.convert("RGB").resize((side, side)), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(array).permute(2, 0, 1)


@dataclass
class StandInProcessor:
    """Does for a tiny model what its family's processor does.

    Attributes:
        tensors: the model's tensors for one image, with a first dimension that is joined over images.
        tokens: how many tokens stand for an image.
        before, after: what is written around them.
        token_types: the name under which the model is told which tokens are an image's.
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


def _text(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
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


def _vision(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
    } | more


def _image_token(words: PreTrainedTokenizerFast) -> int:
    return words.convert_tokens_to_ids("<image>")


def _plain_pixels(image: Image.Image) -> dict[str, Tensor]:
    return {"pixel_values": pixels(image)[None]}


def llava(text: transformers.PreTrainedConfig | None = None) -> tuple[nn.Module, StandInProcessor]:
    """LLaVA-1.5: causal, image tokens in a row."""
    words = tokenizer()
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**_vision()),
        text_config=text or transformers.LlamaConfig(**_text(words)),
        image_token_index=_image_token(words),
        image_seq_length=16,
    )
    return transformers.LlavaForConditionalGeneration(config), StandInProcessor(words, _plain_pixels, lambda _: 16)


def llava_sliding() -> tuple[nn.Module, StandInProcessor]:
    """LLaVA on Mistral, whose layers all see a window that is shorter than the image."""
    return llava(transformers.MistralConfig(**_text(tokenizer(), sliding_window=12)))


def llava_mixed_windows() -> tuple[nn.Module, StandInProcessor]:
    """LLaVA on Qwen2 in which some layers see a window."""
    more = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}
    return llava(transformers.Qwen2Config(**_text(tokenizer(), **more)))


def llava_next(words: PreTrainedTokenizerFast | None = None) -> tuple[nn.Module, StandInProcessor]:
    """LLaVA-NeXT: the whole picture and a grid of parts; how many tokens depends on its shape."""
    words = words or tokenizer()
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**_vision()),
        text_config=transformers.LlamaConfig(**_text(words)),
        image_token_index=_image_token(words),
        image_grid_pinpoints=PINPOINTS,
    )
    model = transformers.LlavaNextForConditionalGeneration(config)

    def tensors(image: Image.Image) -> dict[str, Tensor]:
        parts = torch.stack([pixels(image), pixels(image).flip(1), pixels(image).flip(2)])
        return {"pixel_values": parts[None], "image_sizes": torch.tensor([[image.height, image.width]])}

    def tokens(image: Image.Image) -> int:
        with torch.no_grad():
            features = model.base_model.get_image_features(
                **tensors(image), vision_feature_layer=-2, vision_feature_select_strategy="default"
            )
        return sum(len(part) for part in getattr(features, "pooler_output", features))

    return model, StandInProcessor(words, tensors, tokens)


def _qwen(config_class: type, model_class: type, **vision: Any) -> tuple[nn.Module, StandInProcessor]:
    words = tokenizer()
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = config_class(
        text_config=_text(words, head_dim=16, rope_parameters=rope),
        vision_config={"depth": 2, "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2} | vision,
        image_token_id=_image_token(words),
        vision_start_token_id=words.convert_tokens_to_ids(BEGIN),
        vision_end_token_id=words.convert_tokens_to_ids(END),
        video_token_id=words.eos_token_id,
    )

    def grid(image: Image.Image) -> tuple[int, int]:
        # The picture's shape decides the grid, and with it where positions go on behind it.
        return (8, 4) if image.height > image.width else (4, 12)

    def tensors(image: Image.Image) -> dict[str, Tensor]:
        rows, columns = grid(image)
        values = pixels(image).flatten().repeat(rows * columns)
        size = 3 * 2 * PATCH**2
        return {
            "pixel_values": values[: rows * columns * size].view(rows * columns, size),
            "image_grid_thw": torch.tensor([[1, rows, columns]]),
        }

    def tokens(image: Image.Image) -> int:
        rows, columns = grid(image)
        return rows * columns // 4

    return model_class(config), StandInProcessor(words, tensors, tokens, BEGIN, END, "mm_token_type_ids")


def qwen2_vl() -> tuple[nn.Module, StandInProcessor]:
    """Qwen2-VL: positions by time, row and column."""
    vision = {"embed_dim": 32, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}
    return _qwen(transformers.Qwen2VLConfig, transformers.Qwen2VLForConditionalGeneration, **vision)


def qwen2_5_vl() -> tuple[nn.Module, StandInProcessor]:
    """Qwen2.5-VL: the same with windows in its vision tower."""
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH}
    vision |= {"fullatt_block_indexes": [1], "window_size": 56}
    return _qwen(transformers.Qwen2_5_VLConfig, transformers.Qwen2_5_VLForConditionalGeneration, **vision)


def internvl() -> tuple[nn.Module, StandInProcessor]:
    """InternVL on Qwen2."""
    words = tokenizer()
    config = transformers.InternVLConfig(
        vision_config=_vision(image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]),
        text_config=transformers.Qwen2Config(**_text(words)).to_dict(),
        image_token_id=_image_token(words),
        image_seq_length=4,
    )
    model = transformers.InternVLForConditionalGeneration(config)
    return model, StandInProcessor(words, _plain_pixels, lambda _: 4, BEGIN, END)


def _idefics(
    config_class: type, model_class: type, words: PreTrainedTokenizerFast | None = None
) -> tuple[nn.Module, StandInProcessor]:
    words = words or tokenizer()
    config = config_class(
        vision_config=_vision(),
        text_config=transformers.LlamaConfig(**_text(words)).to_dict(),
        image_token_id=_image_token(words),
        scale_factor=2,
        pad_token_id=words.pad_token_id,
    )

    def tensors(image: Image.Image) -> dict[str, Tensor]:
        return {"pixel_values": pixels(image)[None, None]}

    return model_class(config), StandInProcessor(words, tensors, lambda _: 4, BEGIN, END)


def idefics3(words: PreTrainedTokenizerFast | None = None) -> tuple[nn.Module, StandInProcessor]:
    """Idefics3."""
    return _idefics(transformers.Idefics3Config, transformers.Idefics3ForConditionalGeneration, words)


def smolvlm() -> tuple[nn.Module, StandInProcessor]:
    """SmolVLM."""
    return _idefics(transformers.SmolVLMConfig, transformers.SmolVLMForConditionalGeneration)


def _siglip(**more: Any) -> transformers.SiglipVisionConfig:
    return transformers.SiglipVisionConfig(**_vision(vision_use_head=False, **more))


def gemma3(
    words: PreTrainedTokenizerFast | None = None, image_token: str = "<image>"
) -> tuple[nn.Module, StandInProcessor]:
    """Gemma 3: image tokens see one another both ways, layers with and without a window, blank lines around it."""
    words = words or tokenizer()
    config = transformers.Gemma3Config(
        vision_config=_siglip(),
        text_config=transformers.Gemma3TextConfig(**_text(words, head_dim=16, sliding_window=12)),
        image_token_index=words.convert_tokens_to_ids(image_token),
        mm_tokens_per_image=16,
        boi_token_index=words.convert_tokens_to_ids(BEGIN),
        eoi_token_index=words.convert_tokens_to_ids(END),
    )
    config.text_config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    model = transformers.Gemma3ForConditionalGeneration(config)
    processor = StandInProcessor(words, _plain_pixels, lambda _: 16, f"\n\n{BEGIN}", f"{END}\n\n", "token_type_ids")
    return model, processor


def paligemma() -> tuple[nn.Module, StandInProcessor]:
    """PaliGemma: the whole prompt attends to itself both ways, so the image's states depend on the text."""
    words = tokenizer()
    config = transformers.PaliGemmaConfig(
        vision_config=_siglip(projection_dim=WIDTH),
        text_config=transformers.GemmaConfig(**_text(words, head_dim=16)),
        image_token_index=_image_token(words),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    model = transformers.PaliGemmaForConditionalGeneration(config)
    return model, StandInProcessor(words, _plain_pixels, lambda _: 16)


@dataclass
class InstructBlipProcessor(StandInProcessor):
    """Gives the text to the querying transformer as well."""

    def __call__(self, text: Sequence[str], images: Sequence[Sequence[Image.Image]], **how: Any) -> BatchFeature:
        """The tensors of a batch; the instruction without its image tokens goes to the queries."""
        data = super().__call__(text, images, **how)
        words = self.tokenizer([one.replace("<image>", "") for one in text], padding=True, return_tensors="pt")
        data["qformer_input_ids"], data["qformer_attention_mask"] = words["input_ids"], words["attention_mask"]
        return data


def instructblip() -> tuple[nn.Module, StandInProcessor]:
    """InstructBLIP: what is taken from the image depends on the text."""
    words = tokenizer()
    queries = {"vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    queries |= {"num_attention_heads": 2, "encoder_hidden_size": 32, "cross_attention_frequency": 1}
    config = transformers.InstructBlipConfig(
        vision_config=_vision(),
        qformer_config=queries,
        text_config=transformers.LlamaConfig(**_text(words)).to_dict(),
        num_query_tokens=8,
        image_token_index=_image_token(words),
        image_token_id=_image_token(words),
    )
    model = transformers.InstructBlipForConditionalGeneration(config)
    return model, InstructBlipProcessor(words, _plain_pixels, lambda _: 8)


@dataclass
class Kosmos2Processor(StandInProcessor):
    """Puts the image before the text itself, as places for embeddings."""

    boi_token: str = BEGIN

    def __call__(self, text: Sequence[str], images: Sequence[Sequence[Image.Image]], **how: Any) -> BatchFeature:
        """The tensors of a batch."""
        data = super().__call__([f"<image>{one}" for one in text], images, **how)
        image = data["input_ids"] == _image_token(self.tokenizer)
        data["image_embeds_position_mask"] = image.long()
        return data


def kosmos2(words: PreTrainedTokenizerFast | None = None, queries: int = 8) -> tuple[nn.Module, StandInProcessor]:
    """Kosmos-2: sinusoidal positions, layer norms, a mask of its own."""
    words = words or tokenizer()
    text = {"vocab_size": len(words), "max_position_embeddings": 256, "embed_dim": WIDTH, "layers": LAYERS}
    text |= {"ffn_dim": 128, "attention_heads": 4, "pad_token_id": words.pad_token_id}
    text |= {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    config = transformers.Kosmos2Config(text_config=text, vision_config=_vision(), latent_query_num=queries)
    model = transformers.Kosmos2ForConditionalGeneration(config)
    return model, Kosmos2Processor(words, _plain_pixels, lambda _: 8, BEGIN, END)


def llava_next_own() -> tuple[nn.Module, Any]:
    """LLaVA-NeXT with its own processor."""
    words = tokenizer()
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    images = transformers.LlavaNextImageProcessorPil(**size, image_grid_pinpoints=PINPOINTS)
    processor = transformers.LlavaNextProcessor(
        images, words, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return llava_next(words)[0], processor


def idefics3_own() -> tuple[nn.Module, Any]:
    """Idefics3 with its own processor, which cuts the picture into parts."""
    parts = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    words = tokenizer("<fake_token_around_image>", "<global-img>", *parts)
    size = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = transformers.Idefics3Processor(transformers.Idefics3ImageProcessorPil(**size), words, image_seq_len=4)
    return idefics3(words)[0], processor


def gemma3_own() -> tuple[nn.Module, Any]:
    """Gemma 3 with its own processor, which writes blank lines around the image."""
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<soft>"}
    words = tokenizer(**names)
    images = transformers.Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    return gemma3(words, "<soft>")[0], transformers.Gemma3Processor(images, words, image_seq_length=16)


def kosmos2_own() -> tuple[nn.Module, Any]:
    """Kosmos-2 with its own processor, which puts 64 image tokens before the text itself."""
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.Kosmos2Processor(transformers.CLIPImageProcessorPil(**size), tokenizer())
    return kosmos2(processor.tokenizer, queries=64)[0], processor


SHARING = [
    llava,
    llava_sliding,
    llava_mixed_windows,
    llava_next,
    qwen2_vl,
    qwen2_5_vl,
    internvl,
    idefics3,
    smolvlm,
    gemma3,
    kosmos2,
    llava_next_own,
    idefics3_own,
    gemma3_own,
    kosmos2_own,
]
NOT_SHARING = [paligemma, instructblip]


def frozen(family: Callable[[], tuple[nn.Module, StandInProcessor]], seed: int = 0) -> GenericModel:
    """A family's tiny model behind its adapter, with weights from ``seed``."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model, processor = family()
        for parameter in model.parameters():
            # Larger weights than usual, so that layers differ and a mistake in one of them shows.
            if parameter.dim() == 2:
                parameter.mul_(3)
            # Gemma 3 begins with a projection of zeros, to which all images are one.
            if not parameter.any():
                parameter.normal_(std=0.02)
    adapter = Kosmos2Model if model.config.model_type == "kosmos-2" else GenericModel
    return adapter(model.eval().requires_grad_(False), processor, "auto")
