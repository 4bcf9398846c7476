"""Describe models whose configuration transformers does not know, for ``model.json``.

It only reads files, because it runs in the main environment, which cannot load these models.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from layerwise.errors import InputError


class About(NamedTuple):
    """What the workflow must know about a model before it is loaded.

    Attributes:
        model_type: the family's name.
        n_layers, width: of its decoder.
        dtype: the precision in which its authors run it.
        conversation: their form of a question about one picture, with <image> and {prompt}.
        kinds: the kind of each block; empty if all are of one kind.
    """

    model_type: str
    n_layers: int
    width: int
    dtype: str
    conversation: str
    kinds: Sequence[str] = ()


def about_qwen_vl(folder: Path, _code: Path | None) -> About:
    """Qwen-VL: ``config.json`` beside the weights. ``generation_config.json`` marks the chat model."""
    config = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    chat = generation.exists() and read_json(generation).get("chat_format") == "chatml"
    question = "Picture 1: <image>\n{prompt}"
    if chat:
        system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        question = f"{system}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    dtype = config.get("torch_dtype") or "bfloat16"
    return About("qwen-vl", config["num_hidden_layers"], config["hidden_size"], dtype, question)


def about_lavit(folder: Path, _code: Path | None) -> About:
    """LaVIT: the language model's ``config.json`` in its folder."""
    config = read_json(folder / "language_model/config.json")
    question = "<image>Question: {prompt} Answer:"
    return About("lavit", config["num_hidden_layers"], config["hidden_size"], "bfloat16", question)


def about_emu(folder: Path, code: Path | None) -> About:
    """Emu: the language model's ``config.json``, from the folder or else from the authors' code."""
    own = folder / "llama_config/config.json"
    config = read_json(own if own.exists() or code is None else code / "models/llama_config/config.json")
    question = "<image>{prompt}"
    if is_instructed(folder):
        question = (
            "You will be presented with an image: [IMG]ImageContent[/IMG]. You will be able to see the image after I "
            "provide it to you. Please answer my questions based on the given image. "
            "[USER]: <image>{prompt} [ASSISTANT]:"
        )
    return About("emu", config["num_hidden_layers"], config["hidden_size"], "bfloat16", question)


def about_molmo(folder: Path, _code: Path | None) -> About:
    """Molmo: ``config.json`` beside the weights. The form of a question is its processor's own."""
    config = read_json(folder / "config.json")
    if (model_type := config.get("model_type")) != "molmo":
        raise InputError(f"{folder}/config.json: the adapter 'molmo' serves the type molmo, not {model_type}")
    if "quantization_config" in config:
        raise InputError(
            f"{folder}/config.json: these weights are quantized, and the adapter 'molmo' cannot load them; take the "
            "published ones"
        )
    dtype = config.get("torch_dtype") or config.get("dtype") or "float32"
    question = "<image> User: {prompt} Assistant:"
    return About("molmo", config["num_hidden_layers"], config["hidden_size"], dtype, question)


ABOUT: dict[str, Callable[[Path, Path | None], About]] = {
    "qwen_vl": about_qwen_vl,
    "lavit": about_lavit,
    "emu": about_emu,
    "molmo": about_molmo,
}


def is_instructed(folder: str | Path) -> bool:
    """Whether a folder holds the instruction-tuned Emu, which has low-rank adapters among its weights."""
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as weights:
                if any("lora_" in name for name in weights.keys()):  # noqa: SIM118 - this is no mapping
                    return True
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: not a safetensors file ({error})") from error
    return False


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file of a model's folder.

    Raises:
        InputError: when it is missing or not JSON.
    """
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: this family needs it ({error}); docs/paper-models.md says what belongs there"
        ) from error
