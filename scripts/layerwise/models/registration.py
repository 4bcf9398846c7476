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
from layerwise.models.older import ABOUT, About

# No pickles: weights come as safetensors, the rest is text.
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


def describe_model(
    name: str,
    entry: dict[str, Any],
    embedded_folder: Path | None,
    seed: int,
    upstream: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Describe a model entry; files are used where they lie, never copied.

    Args:
        name: the model's name in the config.
        entry: its config entry.
        embedded_folder: where the workflow saved its own model, for the source ``embedded``.
        seed: draws the weights of an entry with ``weights: random``.
        upstream: ``commit`` and ``folder`` of the code of the model's authors, for a family that runs theirs.

    Returns:
        ``model, source, revision, folder, weights, seed, dtype, adapter, conversation, model_type, n_layers, width``,
        ``upstream`` and ``digest``, a SHA-256 over all that decides what the model computes.

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
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights and entry["weights"] == "pretrained":
        raise InputError(f"models.{name}: there is no .safetensors file in {folder}; pickled weights are not loaded")
    if entry["adapter"] in ABOUT:
        about = ABOUT[entry["adapter"]](folder, Path(upstream["folder"]) if upstream else None)
        conversation = about.conversation if entry["conversation"] == "auto" else entry["conversation"]
    else:
        about, conversation = _about(name, folder), entry["conversation"]
    description = {
        "source": source,
        "revision": revision,
        "weights": entry["weights"],
        "seed": seed if entry["weights"] == "random" else None,
        "dtype": about.dtype if entry["dtype"] == "auto" else entry["dtype"],
        "adapter": entry["adapter"],
        "conversation": conversation,
        "model_type": about.model_type,
        "n_layers": about.n_layers,
        "width": about.width,
    }
    if upstream:
        description["upstream"] = upstream
    # A hub commit names its files for good. A folder can be moved, and its files can change under the same name.
    files = revision or {
        str(file.relative_to(folder)): _sha256(file)
        for file in deciding_files(folder, entry["weights"] == "pretrained")
    }
    identity = {key: value for key, value in description.items() if key != "source" or revision}
    if upstream:
        # A commit, too, names its files for good.
        identity["upstream"] = upstream["commit"]
    digest = hashlib.sha256(json.dumps([identity, files], sort_keys=True).encode()).hexdigest()
    return {"model": name, "folder": str(folder), **description, "digest": digest}


def _about(name: str, folder: Path) -> About:
    """What transformers' own configuration of a family says."""
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"models.{name}: {folder} has no config.json that transformers knows ({error})") from error
    text = config.get_text_config()
    return About(config.model_type, text.num_hidden_layers, text.hidden_size, _precision(config), "auto")


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
