"""Find a model's files and describe them in ``model.json``, the only thing that later stages know of a model entry."""

import hashlib
import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import AutoConfig

from layerwise.errors import InputError
from layerwise.models.files import deciding_files

# No pickles: weights come as safetensors, the rest is text.
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


def describe_model(name: str, entry: dict[str, Any], embedded_folder: Path | None, seed: int) -> dict[str, Any]:
    """Describe a model entry; files are used where they lie, never copied.

    Args:
        name: the model's name in the config.
        entry: its config entry.
        embedded_folder: where the workflow saved its own model, for the source ``embedded``.
        seed: draws the weights of an entry with ``weights: random``.

    Returns:
        ``model, source, revision, folder, weights, seed, dtype, adapter, conversation, model_type, n_layers, width``
        and ``digest``, a SHA-256 over all that decides what the model computes.

    Raises:
        InputError: when the source cannot be had, or has no safetensors.
    """
    source, revision = entry["source"], None
    if source == "embedded":
        folder = embedded_folder
    elif Path(source).is_dir():
        folder = Path(source)
    else:
        folder, revision = _from_hub(name, source, entry.get("revision"))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and entry["weights"] == "pretrained":
        raise InputError(f"models.{name}: there is no .safetensors file in {folder}; pickled weights are not loaded")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"models.{name}: {folder} has no config.json that transformers knows ({error})") from error
    text_config = config.get_text_config()
    description = {
        "source": source,
        "revision": revision,
        "weights": entry["weights"],
        "seed": seed if entry["weights"] == "random" else None,
        "dtype": _precision(config) if entry["dtype"] == "auto" else entry["dtype"],
        "adapter": entry["adapter"],
        "conversation": entry["conversation"],
        "model_type": config.model_type,
        "n_layers": text_config.num_hidden_layers,
        "width": text_config.hidden_size,
    }
    # A hub commit names its files for good. A folder can be moved, and its files can change under the same name.
    files = revision or {file.name: _sha256(file) for file in deciding_files(folder, entry["weights"] == "pretrained")}
    identity = {key: value for key, value in description.items() if key != "source" or revision}
    digest = hashlib.sha256(json.dumps([identity, files], sort_keys=True).encode()).hexdigest()
    return {"model": name, "folder": str(folder), **description, "digest": digest}


def _precision(config: Any) -> str:
    """The precision that the weights were saved in, as their config says; float32 where it says nothing."""
    return str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")


def _from_hub(name: str, source: str, revision: str | None) -> tuple[Path, str]:
    try:
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(f"models.{name}: cannot download {source} (revision {revision or 'main'}): {error}") from error
    # The cache keeps a snapshot under its commit.
    return folder, folder.name


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
