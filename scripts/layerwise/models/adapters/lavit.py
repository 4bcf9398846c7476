"""LaVIT (Jin et al. 2024, https://arxiv.org/abs/2309.04669): an image becomes as many tokens as its content takes.

Its authors' code turns a picture into features of 256 patches, chooses at random which of them to keep (Gumbel softmax
over a learned score), and merges the others into these. Here the choice is seeded by the picture, so a picture has the
same tokens in every prompt and run. The code is imported from a clone; see docs/paper-models.md for the files that a
model's folder must hold.
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from layerwise.models.authors.code import (
    check_whole,
    drawn_in,
    fill,
    import_modules,
    replaced,
    seed_of,
    shown,
    tell_unused,
    weight_files,
)
from layerwise.models.frozen import Shown
from layerwise.models.llama_decoder import Inputs, LlamaDecoderModel
from layerwise.models.picture_checks import check_pictures, check_placed

# The ids before and after an image's tokens. The authors' code has no names for them.
IMAGE_BEGIN, IMAGE_END = 32000, 32001
LANGUAGE, VISUAL = "language_model", "visual_tokenizer"


def load(description: dict[str, Any], device: str) -> "LavitModel":
    """Load the model that ``model.json`` describes; random weights are drawn from its seed.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`.
        device: as torch names it.

    Raises:
        InputError: when the folder lacks files, or the authors' code cannot be imported.
    """
    check_whole(description)
    folder, code = Path(description["folder"]), Path(description["upstream"]["folder"]) / "models"
    dtype = getattr(torch, description["dtype"])
    tokenizers, encoders, transform = import_modules(
        "models", code, "modeling_visual_tokenzier", "modeling_visual_encoder", "transform"
    )
    config = LlamaConfig.from_pretrained(folder / LANGUAGE)
    sizes = folder / VISUAL / "config.json"
    with torch.random.fork_rng(devices=[]):
        if description["weights"] == "random":
            torch.manual_seed(description["seed"])
        visual = build_visual_tokenizer(
            tokenizers, encoders, json.loads(sizes.read_text()) if sizes.exists() else {}, config.hidden_size
        )
        with drawn_in(dtype):
            llama = LlamaForCausalLM(config)
    if description["weights"] != "random":
        # Weights of the visual tokenizer that were trained with the language model replace the earlier ones.
        files = weight_files(folder, last="visual_weight")
        used = fill(visual.encoder, files) | fill(visual, files, filled="encoder.") | fill(llama, files)
        tell_unused(files, used)
    for module in visual.modules():
        # As in the authors' code; norms keep their precision.
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
    for part in (visual, llama.to(dtype)):
        part.to(device).eval().requires_grad_(False)
    words = LlamaTokenizer.from_pretrained(folder / LANGUAGE, use_fast=False)
    return LavitModel(visual, llama, words, transform.LaVITImageProcessor(), description["conversation"])


def build_visual_tokenizer(tokenizers: Any, encoders: Any, sizes: dict[str, Any], width: int) -> nn.Module:
    """The authors' visual tokenizer with new weights.

    Args:
        tokenizers, encoders: their modules of it and of its vision tower.
        sizes: arguments of ``DynamicVisualTokenizer``, and under ``vision_cfg`` those of the tower; empty for the one
            size that their code is written for.
        width: of the language model.
    """
    sizes = dict(sizes)
    tower = sizes.pop("vision_cfg", None)
    other = {}
    if tower:
        other["build_eva_clip"] = lambda **_: encoders._build_vision_tower(embed_dim=tower["width"], vision_cfg=tower)
    with replaced(tokenizers, **other):
        visual = tokenizers.DynamicVisualTokenizer(**sizes)
    if visual.vit_proj.out_features != width:
        visual.vit_proj = nn.Linear(visual.vit_proj.in_features, width)
    return visual


class LavitModel(LlamaDecoderModel):
    """LaVIT behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    model_type = "lavit"

    def __init__(self, visual: nn.Module, llama: nn.Module, words: Any, processor: Any, conversation: str):
        super().__init__(llama.model)
        self.visual = visual
        self.words = words
        self.processor = processor
        self.conversation = conversation

    def render(self, prompt: str, pictures: int = 1) -> str:
        """See :meth:`FrozenModel.render`. The image has no token in the text: ``<image>`` shows where it goes."""
        check_pictures(f"a model of type {self.model_type}", self.model_type, pictures)
        check_placed(self.model_type, prompt)
        return self.conversation.replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Inputs:
        """See :meth:`FrozenModel.prepare`."""
        return Inputs(
            torch.stack([self.processor(image) for image in shown(self.model_type, images)]),
            [self.token_ids(prompt) for prompt in prompts],
            [seed_of(image) for image in shown(self.model_type, images)],
        )

    def token_ids(self, prompt: str) -> list[list[int]]:
        """Token ids before and after the image. There is no begin token: the authors add none."""
        before, after = self.conversation.split("<image>")
        # The prompt last: a prompt that says "<image>" must stay text.
        parts = [part.replace("{prompt}", prompt) for part in (before, after)]
        return [self.words(part, add_special_tokens=False)["input_ids"] if part else [] for part in parts]

    def rows(self, prepared: Inputs) -> tuple[list[Tensor], list[Tensor]]:
        """See :meth:`LlamaDecoderModel.rows`."""
        rows, image = [], []
        for pixels, seed, (before, after) in zip(prepared.pixels, prepared.seeds, prepared.ids, strict=True):
            tokens = self.image_tokens(pixels, seed)
            parts = [self.embed([*before, IMAGE_BEGIN]), tokens, self.embed([IMAGE_END, *after])]
            rows.append(torch.cat([part.to(self.dtype) for part in parts]))
            image.append(torch.cat([torch.full((len(part),), i == 1) for i, part in enumerate(parts)]).to(self.device))
        return rows, image

    def image_tokens(self, pixels: Tensor, seed: int) -> Tensor:
        """The tokens that are kept of a picture, shape (tokens, width).

        One picture at a time: the random choice must not depend on its neighbours in a batch.
        """
        cards = [self.device] if self.device.type == "cuda" else []
        half = nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device.type, self.dtype)
        with torch.random.fork_rng(devices=cards), half:
            torch.manual_seed(seed)
            return self.visual.encode_features(pixels[None].to(self.device))[0]
