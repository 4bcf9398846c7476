"""A tiny Molmo in the layout of the published ones.

Its code is a stand-in of our own (molmo_standin/), which runs everywhere, or the published one: LAYERWISE_MOLMO_CODE
may name a folder with that code, its configurations and its tokenizer. It needs no weights, but einops.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from layerwise.models.adapters import molmo

PUBLISHED = "LAYERWISE_MOLMO_CODE"
LAYERS = 3
# Sizes of the vision tower in the published code, and smaller ones for the copy.
TOWER = {
    "image_emb_dim=1024": "image_emb_dim=64",
    "image_num_heads=16": "image_num_heads=2",
    "image_num_key_value_heads=16": "image_num_key_value_heads=2",
    "image_num_layers=23": "image_num_layers=10",
    "image_head_dim=64": "image_head_dim=32",
    "image_mlp_dim=4096": "image_mlp_dim=128",
}
PROMPTS = ["Is there a red circle ?", "a blue square left of a green star in the image", "a"]


class NotHad(Exception):
    """The published code cannot be had here."""


def write_molmo(folder: Path, code: str) -> Path:
    """Write all files but the weights, with the code named ``standin`` or ``published``.

    Raises:
        NotHad: when there is no published code.
    """
    if code == "standin":
        write_standin(folder)
    elif PUBLISHED in os.environ:
        write_published(folder, Path(os.environ[PUBLISHED]))
    else:
        raise NotHad(f"{PUBLISHED} names no folder with Molmo's published code")
    return folder


def whole_model(folder: Path) -> nn.Module:
    """The model of a folder as its code builds it, with its output head and random weights, always the same."""
    code = molmo.import_code({"model": "tiny", "folder": str(folder), "trust_remote_code": True})
    torch.manual_seed(5)
    model = code.model(code.config.from_pretrained(folder))
    molmo.draw(model, 0.05)
    return model


def save_weights(folder: Path) -> None:
    """Write the weights of :func:`whole_model`."""
    save_file(whole_model(folder).state_dict(), folder / "model.safetensors")


def forget_code() -> None:
    """Let code of another folder be imported under the same names."""
    for name in [name for name in sys.modules if name.split(".")[0] == "molmo"]:
        del sys.modules[name]


def write_standin(folder: Path) -> None:
    shutil.copytree(Path(__file__).parent / "molmo_standin", folder, ignore=shutil.ignore_patterns("__pycache__"))
    words = sorted({word for prompt in PROMPTS for word in prompt.split()})
    vocabulary = ["<unk>", "<eos>", *molmo.SPECIAL.values(), "User", ":", "Assistant", *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    wrapped.add_tokens(list(molmo.SPECIAL.values()), special_tokens=True)
    wrapped.save_pretrained(folder)
    named = {"AutoConfig": "config_molmo.MolmoConfig", "AutoModelForCausalLM": "modeling_molmo.MolmoForCausalLM"}
    sizes = {"num_hidden_layers": LAYERS, "hidden_size": 32, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps({"model_type": "molmo", "auto_map": named} | sizes))
    named = {"AutoImageProcessor": "image_preprocessing_molmo.MolmoImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({"auto_map": named}))


def write_published(folder: Path, code: Path) -> None:
    folder.mkdir()
    for file in code.iterdir():
        if file.suffix in (".json", ".py", ".txt", ".jinja") and not file.name.endswith(".index.json"):
            shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    config |= {"num_hidden_layers": LAYERS, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    config |= {"num_key_value_heads": 2, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    # The vision tower's sizes stand in the code.
    modeling = folder / "modeling_molmo.py"
    text = modeling.read_text()
    for size, smaller in TOWER.items():
        assert size in text, f"{modeling} has no {size}"
        text = text.replace(size, smaller)
    modeling.write_text(text)
