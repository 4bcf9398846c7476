"""Where stimuli and models of a study lie: in folders named after what the config says of them.

Stimuli and models are inputs of the expensive extraction, which must not rerun when they are made anew with the same
content. So a changed config must never remake them in place: their folder ends in their *recipe*, eight hexadecimal
digits over all that decides their content. Works on a config as :func:`layerwise.config.validate` leaves it, without
importing torch, because the Snakefile asks each time it plans.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from layerwise.code_digest import code_digest
from layerwise.models.files import fingerprint

# What says where things lie, how fast they are run or what they will cost, but not what they are.
NOT_SHOWN = ("prompts", "dataset", "file", "image_root", "labels", "split_column")
HOW_IT_RUNS = ("batch_size", "device_map", "sharing", "expected", "prompts", "shards", "cards", "mem_mb")
NOT_COMPUTED = ("source", *HOW_IT_RUNS)


def as_json(value: Any) -> str:
    """A config entry as text, its keys in order, so that a reordered config changes nothing."""
    return json.dumps(value, sort_keys=True)


def without(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A config entry without some keys."""
    return {key: value for key, value in entry.items() if key not in keys}


def only(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A config entry with no more than some keys."""
    return {key: entry[key] for key in keys if key in entry}


def in_order(entry: dict[str, Any]) -> dict[str, Any]:
    """A model's entry whose ``convert`` is a list of pairs: of weights in two files, those named later count."""
    return entry | {"convert": list(entry["convert"].items())} if "convert" in entry else entry


def recipe_of(value: Any) -> str:
    """Eight hexadecimal digits for a recipe."""
    return hashlib.sha256(as_json(value).encode()).hexdigest()[:8]


def stimuli_folder(config: dict[str, Any], stimuli: str) -> str:
    """A stimulus set's folder under the results root. Where its sources lie, and what is a label in them, is no part of
    its recipe."""
    entry = config["stimuli"][stimuli]
    shown = without(entry, *NOT_SHOWN)
    dataset = config["datasets"].get(entry.get("dataset"), {})
    if corrected := sorted(set(dataset.get("corrected_labels", {})) & set(entry.get("images", {}))):
        # Pairs that have no corrected label are not shown.
        shown["corrected_labels"] = corrected
    world = dataset.get("world")
    drawn = [config["worlds"][world], config["seed"], code_digest("make_world.py")] if world else None
    sampled = None if entry["kind"] == "table" else config["seed"]
    return f"stimuli/{stimuli}/{recipe_of([shown, drawn, sampled])}"


def model_folder(config: dict[str, Any], model: str) -> str:
    """The folder of a model's description under the results root. Its files count by their content, not by where they
    lie."""
    entry = config["models"][model]
    if entry.get("image_processor") != "torchvision":
        # Not named unless it is another one: an entry that says `pil` keeps the states from before it did.
        entry = without(entry, "image_processor")
    source, random = entry["source"], entry["weights"] == "random"
    if source == "embedded":
        content = [config["embedded_model"], config["seed"], code_digest("train_embedded_model.py")]
    else:
        # Weights that are converted are pinned by their checksums.
        weights = not random and "convert" not in entry
        content = fingerprint(source, weights) if Path(source).is_dir() else source
    upstream = config["adapters"].get(entry["adapter"], {}).get("upstream")
    code = [upstream["commit"]] if upstream else []
    computed = [without(in_order(entry), *NOT_COMPUTED), content, config["seed"] if random else None, *code]
    return f"models/{model}/{recipe_of(computed)}"


def converted_folder(config: dict[str, Any], model: str) -> str:
    """The folder under the results root for safetensors of a model whose weights came in an older format."""
    entry = in_order(config["models"][model])
    source = fingerprint(entry["source"], weights=False) if Path(entry["source"]).is_dir() else entry["source"]
    made_from = [source, entry.get("revision"), entry["convert"], code_digest("convert_weights.py")]
    return f"converted/{model}/{recipe_of(made_from)}"
