"""Qwen-VL (Bai et al. 2023, https://arxiv.org/abs/2308.12966), whose code comes with its weights.

In its prompts an image is a path of at most 256 bytes, spelled out in 256 tokens. The model reads the path back, opens
the file, and replaces the path with the picture's 256 embeddings. Nothing is left of the path. So this adapter writes a
short name and hands the pictures to the vision tower itself: they are turned upright as for other models, opened once,
and may have paths of any length.
"""

from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.authors.code import (
    check_whole,
    drawn_in,
    fill,
    import_modules,
    left_padded,
    replaced,
    shown,
    tell_unused,
    weight_files,
)
from layerwise.models.frozen import FrozenModel, Select, Shown, last_token, mean_over, read_layers
from layerwise.models.picture_checks import check_pictures, check_placed

# What stands for the image's path.
NAME = "image"
# A font for drawing boxes. When imported, the tokenizer downloads it into the working folder unless it is there.
FONT = "SimSun.ttf"
PRECISION = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def load(description: dict[str, Any], device: str) -> "QwenVLModel":
    """Load the model that ``model.json`` describes; random weights are drawn from its seed.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`. The code comes from ``upstream`` if it
            has one, otherwise from the model's own folder.
        device: as torch names it.

    Raises:
        InputError: when the folder lacks files, or its code may not be run or fails.
    """
    check_whole(description)
    folder = Path(description["folder"])
    configuration, modeling, tokenization = import_code(description)
    config = configuration.QWenConfig.from_pretrained(folder)
    for name, key in PRECISION.items():
        setattr(config, key, name == description["dtype"])
    random = description["weights"] == "random"
    with torch.random.fork_rng(devices=[]), drawn_in(getattr(torch, description["dtype"])):
        if random:
            torch.manual_seed(description["seed"])
        model = modeling.QWenLMHeadModel(config)
    if not random:
        files = weight_files(folder)
        tell_unused(files, fill(model, files))
    words = tokenization.QWenTokenizer.from_pretrained(folder)
    return QwenVLModel(model.to(device).eval().requires_grad_(False), words, description["conversation"])


def import_code(description: dict[str, Any]) -> list[ModuleType]:
    """The modules of its configuration, model and tokenizer.

    Raises:
        InputError: when the code lies in the model's folder and its entry does not allow running it.
    """
    if description.get("upstream"):
        code = Path(description["upstream"]["folder"])
    elif description.get("trust_remote_code"):
        code = Path(description["folder"])
    else:
        raise InputError(
            f"models.{description['model']}: the code of Qwen-VL lies beside its weights in {description['folder']}; "
            "read it, then allow it with `trust_remote_code: true`"
        )
    with TemporaryDirectory() as empty:
        (Path(empty) / FONT).touch()
        code = code.resolve()
        with chdir(empty):
            return import_modules("qwen_vl", code, "configuration_qwen", "modeling_qwen", "tokenization_qwen")


@dataclass(frozen=True)
class Inputs:
    """A batch on the host: pictures, shape (batch, 3, side, side), and token ids, each of shape (tokens,)."""

    pixels: Tensor
    ids: list[Tensor]


@dataclass(frozen=True)
class Batch:
    """Padded on the left: pictures, and token ids and mask of shape (batch, tokens) on the model's device."""

    pixels: Tensor
    ids: Tensor
    mask: Tensor


class QwenVLModel(FrozenModel):
    """Qwen-VL behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    model_type = "qwen-vl"

    def __init__(self, model: nn.Module, words: Any, conversation: str):
        self.decoder = model.transformer
        self.visual = self.decoder.visual
        self.words = words
        self.special = [*words.IMAGE_ST, *(token for token in words.special_tokens if token not in words.IMAGE_ST)]
        self.conversation = conversation
        self.blocks, self.final_norm = self.decoder.h, self.decoder.ln_f
        self.n_layers = len(self.blocks)
        self.width, self.n_heads = self.decoder.embed_dim, self.decoder.config.num_attention_heads
        self.dtype = self.decoder.wte.weight.dtype
        self.device = self.decoder.wte.weight.device

    def render(self, prompt: str, pictures: int = 1) -> str:
        """See :meth:`FrozenModel.render`."""
        check_pictures(f"a model of type {self.model_type}", self.model_type, pictures)
        check_placed(self.model_type, prompt)
        if held := [token for token in self.special if token in prompt]:
            raise InputError(f"the prompt {prompt!r} holds the model's own token {held[0]}; reword the text")
        image = f"{self.words.image_start_tag}{NAME}{self.words.image_end_tag}"
        return self.conversation.replace("<image>", image).replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Inputs:
        """See :meth:`FrozenModel.prepare`."""
        return Inputs(
            torch.stack([self.visual.image_transform(image) for image in shown(self.model_type, images)]),
            [torch.tensor(self.words(self.render(prompt))["input_ids"]) for prompt in prompts],
        )

    @torch.inference_mode()
    def run(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        parts = []
        for batch in self._batches(prepared):
            with read_layers(self.blocks, self.final_norm, self._select(batch, positions)) as readings:
                self._forward(batch)
            parts.append(readings.stacked())
        return {position: torch.cat([part[position] for part in parts]) for position in positions}

    @torch.inference_mode()
    def reported(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """The same as the model's own ``hidden_states``, shape (batch, L + 1, width): all but the last block's."""
        parts: dict[str, list[Tensor]] = {position: [] for position in positions}
        for batch in self._batches(prepared):
            hidden = self._forward(batch, output_hidden_states=True).hidden_states
            for position, at in self._select(batch, positions).items():
                parts[position].append(torch.stack([at(layer) for layer in hidden], dim=1).cpu())
        return {position: torch.cat(part) for position, part in parts.items()}

    def _batches(self, prepared: Inputs) -> list[Batch]:
        lengths = [len(ids) for ids in prepared.ids]
        # Beyond its training length, the model scales by the length of the row, padding included.
        alone = max(lengths) > self.decoder.seq_length
        batches = []
        for rows in [slice(i, i + 1) for i in range(len(lengths))] if alone else [slice(None)]:
            # It counts positions from the left end, padding included. Only their distances matter.
            ids, mask = left_padded(prepared.ids[rows])
            ids = ids.masked_fill(mask == 0, self.words.eod_id)
            batches.append(Batch(prepared.pixels[rows], ids.to(self.device), mask.to(self.device)))
        return batches

    def _select(self, batch: Batch, positions: Sequence[str]) -> dict[str, Select]:
        begin, end = batch.ids == self.words.img_start_id, batch.ids == self.words.img_end_id
        image = (begin.long().cumsum(1) - end.long().cumsum(1)).bool() & ~begin
        select = {"last": last_token(batch.mask), "image-mean": mean_over(image)}
        return {position: select[position] for position in positions}

    def _forward(self, batch: Batch, **how: Any) -> Any:
        with replaced(self.visual, encode=lambda _paths: self.visual(batch.pixels)):
            return self.decoder(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False, **how)
