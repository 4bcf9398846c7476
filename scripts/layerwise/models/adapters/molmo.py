"""Molmo (Deitke et al. 2024, https://arxiv.org/abs/2409.17146), whose code comes with its weights.

It runs in the main environment. Pictures are cut into crops and prompts into tokens by the published processor, except
for one step: that processor resizes with TensorFlow, and :func:`resized_and_padded` does the same with torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, PretrainedConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from layerwise.errors import InputError
from layerwise.models.authors.code import (
    check_whole,
    drawn_in,
    fill,
    import_modules,
    replaced,
    tell_unused,
    weight_files,
)
from layerwise.models.authors.configs import read_json
from layerwise.models.frozen import FrozenModel, Select, Shown, last_token, mean_over, pictures_of, read_layers
from layerwise.models.picture_checks import check_pictures, check_placed

# In the order in which the processor looks them up.
SPECIAL = {"start": "<im_start>", "end": "<im_end>", "patch": "<im_patch>", "column": "<im_col>", "image": "<|image|>"}
# Values of crops, masks and places that only fill up a batch.
NO_CROP, NO_PLACE = -1, -100


def load(description: dict[str, Any], device: str) -> "MolmoModel":
    """Load the model that ``model.json`` describes; random weights are drawn from its seed.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`.
        device: as torch names it.

    Raises:
        InputError: when the folder lacks files, or its code may not be run or fails.
    """
    check_whole(description)
    folder = Path(description["folder"])
    code = import_code(description)
    config = code.config.from_pretrained(folder)
    random = description["weights"] == "random"
    with torch.random.fork_rng(devices=[]), drawn_in(getattr(torch, description["dtype"])):
        if random:
            torch.manual_seed(description["seed"])
        model = code.model(config)
        if random:
            draw(model, config.initializer_range)
    if not random:
        files = weight_files(folder)
        tell_unused(files, fill(model, files))
    # Without a model type it is of the class that tokenizer_config.json names.
    words = AutoTokenizer.from_pretrained(folder, config=PretrainedConfig())
    processor = code.processor.from_pretrained(folder)
    model = model.to(device).eval().requires_grad_(False)
    return MolmoModel(model, config, words, processor, code.imaging, description["conversation"])


@dataclass(frozen=True)
class Code:
    """What is used of the published code: three classes, and the module of the image processor."""

    config: type[Any]
    model: type[Any]
    processor: type[Any]
    imaging: ModuleType


def import_code(description: dict[str, Any]) -> Code:
    """Import the classes that ``config.json`` and ``preprocessor_config.json`` name.

    Raises:
        InputError: when the entry does not allow running the code, or a file or class is missing.
    """
    folder = Path(description["folder"])
    if not description.get("trust_remote_code"):
        raise InputError(
            f"models.{description['model']}: the code of Molmo lies beside its weights in {folder}; read it, then "
            "allow it with `trust_remote_code: true`"
        )
    classes, modules = [], []
    for file, key in (
        ("config.json", "AutoConfig"),
        ("config.json", "AutoModelForCausalLM"),
        ("preprocessor_config.json", "AutoImageProcessor"),
    ):
        named = read_json(folder / file).get("auto_map", {}).get(key, "")
        module, _, name = named.split("--")[-1].rpartition(".")
        if not module:
            raise InputError(f"{folder / file}: auto_map names no {key}; is this the published file?")
        modules += import_modules("molmo", folder, module)
        if not hasattr(modules[-1], name):
            raise InputError(f"{folder}/{module}.py: there is no class {name}, which {file} names")
        classes.append(getattr(modules[-1], name))
    config, model, processor = classes
    return Code(config, model, processor, modules[-1])


def draw(model: nn.Module, std: float) -> None:
    """Draw weights as transformers does for other families: matrices and embeddings normal, biases zero, norms one.

    The published code leaves its embeddings at zero, to be filled from a file.
    """
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("bias"):
                weights.zero_()
            elif weights.dim() > 1 or not weights.any():
                weights.normal_(std=std)


def resized_and_padded(image: np.ndarray, desired_output_size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Fit a picture into a frame without changing its proportions, black around it, and normalise all as CLIP does.

    Args:
        image: shape (height, width, 3), of bytes.
        desired_output_size: height and width of the frame.

    Returns:
        Pixels, shape (height, width, 3), float32, and where they are the picture's, shape (height, width).
    """
    height, width = image.shape[:2]
    # In float32, which decides some roundings, as in the published code.
    sides = np.array(desired_output_size, np.float32) / np.array([height, width], np.float32)
    inner = [int(np.float32(side) * sides.min()) for side in (height, width)]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    pixels = interpolate(pixels, inner, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    top, left = ((frame - side) // 2 for frame, side in zip(desired_output_size, inner, strict=True))
    place = np.s_[top : top + inner[0], left : left + inner[1]]
    framed = np.zeros((*desired_output_size, 3), np.float32)
    framed[place] = pixels[0].permute(1, 2, 0).numpy()
    mask = np.zeros(tuple(desired_output_size), dtype=bool)
    mask[place] = True
    return (framed - np.float32(OPENAI_CLIP_MEAN)) / np.float32(OPENAI_CLIP_STD), mask


@dataclass(frozen=True)
class Inputs:
    """A batch on the host, padded on the right.

    Attributes:
        ids, mask: shape (batch, tokens).
        pixels: of crops, shape (batch, crops, patches, numbers per patch); None without pictures, as are the others.
        shares: how much of each patch is the picture's, shape (batch, crops, patches).
        places: the token that each pooled patch is added to, shape (batch, crops, pooled patches).
    """

    ids: Tensor
    mask: Tensor
    pixels: Tensor | None = None
    shares: Tensor | None = None
    places: Tensor | None = None


class MolmoModel(FrozenModel):
    """Molmo behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    model_type = "molmo"

    def __init__(
        self, model: nn.Module, config: Any, words: Any, processor: Any, imaging: ModuleType, conversation: str
    ):
        self.decoder = model.model
        transformer = self.decoder.transformer
        # Logits of every token would take more memory than all states.
        transformer["ff_out"] = nn.Identity()
        self.words, self.processor, self.imaging, self.conversation = words, processor, imaging, conversation
        self.token = dict(zip(SPECIAL, words.encode("".join(SPECIAL.values()), add_special_tokens=False), strict=False))
        if len(self.token) < len(SPECIAL) or words.convert_tokens_to_ids(SPECIAL["image"]) != self.token["image"]:
            raise InputError(
                f"the tokenizer of this Molmo lacks some of {', '.join(SPECIAL.values())}; its folder needs "
                "tokenizer_config.json and, where one is published, added_tokens.json"
            )
        begin = words.bos_token_id or words.eos_token_id
        self.begin = [] if begin is None else [begin]
        self.blocks, self.final_norm = transformer["blocks"], transformer["ln_f"]
        self.n_layers = len(self.blocks)
        self.width, self.n_heads = config.hidden_size, config.num_attention_heads
        self.longest = config.max_position_embeddings
        weights = next(self.blocks.parameters())
        self.dtype, self.device = weights.dtype, weights.device

    def render(self, prompt: str, pictures: int = 1) -> str:
        """See :meth:`FrozenModel.render`."""
        check_pictures(f"a model of type {self.model_type}", self.model_type, pictures)
        check_placed(self.model_type, prompt)
        special = {*SPECIAL.values(), *self.words.all_special_tokens}
        if held := sorted(token for token in special if token in prompt):
            raise InputError(f"the prompt {prompt!r} holds the model's own token {held[0]}; reword the text")
        return self.conversation.replace("<image>", SPECIAL["image"]).replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Inputs:
        """See :meth:`FrozenModel.prepare`."""
        rows = [self._row(pictures_of(image), prompt) for image, prompt in zip(images, prompts, strict=True)]
        ids = [torch.from_numpy(row["input_ids"]).long() for row in rows]
        if (longest := max(map(len, ids))) > self.longest:
            raise InputError(f"an input of this model has {longest} tokens, and its longest may have {self.longest}")
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        padded = pad_sequence(ids, batch_first=True)
        if not any(map(pictures_of, images)):
            return Inputs(padded, mask)
        return Inputs(
            padded,
            mask,
            *(
                pad_sequence([torch.from_numpy(row[key]) for row in rows], batch_first=True, padding_value=fill_with)
                for key, fill_with in (("images", NO_CROP), ("image_masks", NO_CROP), ("image_input_idx", NO_PLACE))
            ),
        )

    def _row(self, pictures: Sequence[Image.Image], prompt: str) -> dict[str, np.ndarray]:
        before, after = self.render(prompt, len(pictures)).split(SPECIAL["image"])
        before_ids, after_ids = (self.words.encode(text, add_special_tokens=False) for text in (before, after))
        before_ids = [*self.begin, *before_ids]
        if not pictures:
            return {"input_ids": np.array([*before_ids, *after_ids])}
        with replaced(self.imaging, resize_and_pad=resized_and_padded):
            made = self.processor.multimodal_preprocess(
                images=[np.array(image.convert("RGB")) for image in pictures],
                image_idx=[-1],
                tokens=np.array([], dtype=np.int64),
                sequence_length=self.longest,
                image_patch_token_id=self.token["patch"],
                image_col_token_id=self.token["column"],
                image_start_token_id=self.token["start"],
                image_end_token_id=self.token["end"],
            )
        # The processor counts places from the image's first token.
        places = made["image_input_idx"]
        return made | {
            "input_ids": np.array([*before_ids, *made["input_ids"], *after_ids]),
            "image_input_idx": np.where(places < 0, places, places + len(before_ids)),
        }

    @torch.inference_mode()
    def run(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        with read_layers(self.blocks, self.final_norm, self._select(prepared, positions)) as readings:
            self._forward(prepared)
        return readings.stacked()

    @torch.inference_mode()
    def reported(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """The same as the model's own ``hidden_states``, shape (batch, L + 1, width): all but the last block's."""
        hidden = self._forward(prepared, output_hidden_states=True).hidden_states
        select = self._select(prepared, positions)
        return {position: torch.stack([at(layer) for layer in hidden], dim=1).cpu() for position, at in select.items()}

    def _select(self, batch: Inputs, positions: Sequence[str]) -> dict[str, Select]:
        select = {"last": last_token(batch.mask), "image-mean": mean_over(batch.ids == self.token["patch"])}
        return {position: select[position] for position in positions}

    def _forward(self, batch: Inputs, **how: Any) -> Any:
        shown = {}
        if batch.pixels is not None and batch.shares is not None and batch.places is not None:
            shown = {
                "images": batch.pixels.to(self.device, self.dtype),
                "image_masks": batch.shares.to(self.device),
                "image_input_idx": batch.places.to(self.device),
            }
        ids, mask = batch.ids.to(self.device), batch.mask.to(self.device)
        return self.decoder(input_ids=ids, attention_mask=mask, use_cache=False, **shown, **how)
