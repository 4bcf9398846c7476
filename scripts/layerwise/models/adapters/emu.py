"""Emu (Sun et al. 2024, https://arxiv.org/abs/2307.05222), pretrained or instruction-tuned: an image becomes 32 tokens.

A vision tower and a causal transformer make 32 embeddings of it, which take the places of ``<image>`` between ``[IMG]``
and ``[/IMG]``. The code is imported from a clone of its authors' repository (folder Emu1); see docs/paper-models.md for
the files that a model's folder may hold.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from torch import Tensor, nn
from transformers import T5Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from layerwise.errors import InputError
from layerwise.models.authors.code import (
    check_whole,
    drawn_in,
    fill,
    import_modules,
    replaced,
    shown,
    tell_unused,
    weight_files,
)
from layerwise.models.authors.configs import is_instructed
from layerwise.models.begin_checks import check_begin
from layerwise.models.frozen import Shown
from layerwise.models.llama_decoder import Inputs, LlamaDecoderModel
from layerwise.models.picture_checks import check_pictures, check_placed

# The published sizes of T5 base. The authors' code downloads them from the hub.
T5_BASE = {"d_model": 768, "d_ff": 3072, "d_kv": 64, "num_layers": 12, "num_heads": 12}
# The low-rank adapters of their instruction-tuned model.
ADAPTERS = {
    "r": 16,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "lora_dropout": 0.05,
    "bias": "none",
    "task_type": "CAUSAL_LM",
}
# How the authors' code scales pixels.
SIDE = 224
MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711])


def load(description: dict[str, Any], device: str) -> "EmuModel":
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
    random = description["weights"] == "random"
    files = [] if random else weight_files(folder)
    with torch.random.fork_rng(devices=[]):
        if random:
            torch.manual_seed(description["seed"])
        emu = build(folder, code, instructed=is_instructed(folder), dtype=dtype)
    if files:
        tell_unused(files, fill(emu, files, prefix="module."))
    return EmuModel(emu.to(device).eval().requires_grad_(False), description["conversation"])


def build(folder: Path, code: Path, instructed: bool, dtype: torch.dtype) -> nn.Module:
    """The authors' model with new weights.

    Sizes and tokenizer come from their code, unless the model's folder has files of the same names.

    Args:
        folder: of the model.
        code: their folder ``models``.
        instructed: with the low-rank adapters of the instruction-tuned model.
        dtype: of its weights.
    """
    modeling, former, llama = import_modules("models", code, "modeling_emu", "causal_former", "modeling_llama")
    sizes = json.loads(own_or(folder, code, "Emu-14B.json").read_text())
    # xformers computes the same attention in less memory, but need not be installed.
    sizes["vision_cfg"]["xattn"] = False
    t5 = folder / "t5-base"

    def t5_config(_name: str) -> T5Config:
        return T5Config.from_pretrained(t5) if t5.is_dir() else T5Config(**T5_BASE)

    language, reader = llama.LlamaForReg, llama.LLaMAForClsAndRegression.__init__

    def drawn(config: Any) -> nn.Module:
        with drawn_in(dtype):
            return language(config=config)

    with (
        replaced(former, T5Config=SimpleNamespace(from_pretrained=t5_config)),
        replaced(llama, LlamaForReg=drawn),
        # Its only default is a path relative to the working folder.
        replaced(reader, __defaults__=(str(own_or(folder, code, "llama_config")),)),
    ):
        emu = modeling.Emu(**sizes, cast_dtype=torch.float, args=SimpleNamespace(instruct=instructed))
    if instructed:
        # As in their inference.py. The low-rank adapters are not merged into the weights.
        emu.decoder.lm = get_peft_model(emu.decoder.lm, LoraConfig(**ADAPTERS))
    emu.to(dtype)
    for module in list(emu.decoder.lm.modules()):
        rotary = getattr(module, "rotary_emb", None)
        if isinstance(rotary, LlamaRotaryEmbedding):
            # The constructor rounds angles to bfloat16 whatever the model's precision, and no file holds them.
            with drawn_in(dtype):
                module.rotary_emb = LlamaRotaryEmbedding(rotary.dim, rotary.max_position_embeddings, rotary.base)
    return emu


def own_or(folder: Path, code: Path, name: str) -> Path:
    """A file of the model's folder, or if it has none, that of the authors' code."""
    return folder / name if (folder / name).exists() else code / name


class EmuModel(LlamaDecoderModel):
    """Emu behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    model_type = "emu"

    def __init__(self, emu: nn.Module, conversation: str):
        language = emu.decoder.lm
        super().__init__((language.get_base_model() if isinstance(language, PeftModel) else language).model)
        self.emu = emu
        self.words = emu.decoder.tokenizer
        self.special = self.words.all_special_tokens
        self.image_id = self.words.convert_tokens_to_ids("<image>")
        self.conversation = conversation

    def render(self, prompt: str, pictures: int = 1) -> str:
        """See :meth:`FrozenModel.render`."""
        check_pictures(f"a model of type {self.model_type}", self.model_type, pictures)
        check_placed(self.model_type, prompt)
        if held := [token for token in self.special if token in prompt]:
            raise InputError(f"the prompt {prompt!r} holds the model's own token {held[0]}; reword the text")
        return self.conversation.replace("<image>", self.emu.image_placeholder).replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Inputs:
        """See :meth:`FrozenModel.prepare`."""
        ids = [self.words(self.render(prompt))["input_ids"] for prompt in prompts]
        for one in map(torch.tensor, ids):
            check_begin(self.words, one[None], torch.ones_like(one[None]))
        return Inputs(
            torch.stack([pixels(image) for image in shown(self.model_type, images)]), ids=[[one] for one in ids]
        )

    def rows(self, prepared: Inputs) -> tuple[list[Tensor], list[Tensor]]:
        """See :meth:`LlamaDecoderModel.rows`."""
        patches = self.emu.visual.forward_features(prepared.pixels.to(self.device, self.dtype))
        tokens = self.emu.cformer(self.emu.ln_visual(patches))
        rows, image = [], []
        for (ids,), of_image in zip(prepared.ids, tokens, strict=True):
            row, here = self.embed(ids), torch.tensor(ids, device=self.device) == self.image_id
            row[here] = of_image.to(self.dtype)
            rows.append(row)
            image.append(here)
        return rows, image


def pixels(image: Image.Image) -> Tensor:
    """A picture in the authors' scale, shape (3, 224, 224)."""
    values = (np.asarray(image.resize((SIDE, SIDE))) / 255.0 - MEAN) / DEVIATION
    return torch.from_numpy(values).float().permute(2, 0, 1)
