"""Where stimuli and models of a study lie: in folders named after all that decides what they hold.

Snakemake plans a run before any of its jobs has read anything. So whatever can change the content of a stimulus set or
a model must show when the run is planned, or the hidden states over it would be made anew only in the next run. Their
folder ends in their *recipe*, eight hexadecimal digits over the config, the code and the sources that they are made
from: other content is another folder, and what reads from it is planned along. The reverse does not hold. The same
content may come from another recipe; then the job that would run the model finds its states kept.

Works on a config as :func:`layerwise.config.validate` leaves it, without importing torch, because the Snakefile asks
each time it plans.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from layerwise.code_digest import code_digest
from layerwise.datasets.locations import Locations
from layerwise.embedded_models import embedded_name, seed_of, training_of
from layerwise.models.files import fingerprint
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.stimuli.source_marks import files_mark, table_mark

# What says where things lie, how fast they are run or what they will cost, but not what they are.
NOT_SHOWN = ("prompts", "dataset", "file", "image_root", "labels", "split_column")
HOW_IT_RUNS = ("batch_size", "device_map", "sharing", "expected", "prompts", "tasks", "shards", "cards", "mem_mb")
# Which trained model, and which seed, count by what they are in the end: a default written out changes nothing.
NAMED_OTHERWISE = ("embedded", "seed")
NOT_COMPUTED = ("source", *NAMED_OTHERWISE, *HOW_IT_RUNS)
# Keys that came after the first release, by section, each with the value that stands for what was done before it came.
# At this value a key is left out of recipes and of what jobs are given, so that nothing of an older study is stale by
# it. Code therefore reads it with `.get`.
CAME_LATER: dict[str, dict[str, Any]] = {"models": {"image_processor": "auto"}, "stimuli": {}}


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


def as_before(section: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A config entry without the later keys that say nothing new."""
    later = CAME_LATER[section]
    return {key: value for key, value in entry.items() if key not in later or value != later[key]}


def recipe_of(value: Any) -> str:
    """Eight hexadecimal digits for a recipe."""
    return hashlib.sha256(as_json(value).encode()).hexdigest()[:8]


def stimuli_folder(config: dict[str, Any], stimuli: str) -> str:
    """A stimulus set's folder under the results root. Where its sources lie, and what is a label in them, is no part of
    its recipe."""
    entry = config["stimuli"][stimuli]
    code = code_digest("make_stimuli.py")
    shown = without(as_before("stimuli", entry), *NOT_SHOWN)
    if entry["kind"] == "table":
        return f"stimuli/{stimuli}/{recipe_of([shown, table_mark(entry), code])}"
    dataset = config["datasets"].get(entry.get("dataset"), {})
    if corrected := sorted(set(dataset.get("corrected_labels", {})) & set(entry.get("images", {}))):
        # Pairs that have no corrected label are not shown.
        shown["corrected_labels"] = corrected
    sources = dataset_mark(config, entry["dataset"], list(entry["images"]))
    return f"stimuli/{stimuli}/{recipe_of([shown, sources, config['seed'], code])}"


def dataset_mark(config: dict[str, Any], name: str, parts: list[str]) -> Any:
    """What decides the content of a data set's parts: how its world is drawn, the checksums of what is downloaded, or
    the user's own annotation files as they are now."""
    world = config["datasets"][name].get("world")
    if world:
        return [config["worlds"][world], config["seed"], code_digest("make_world.py")]
    data, dataset = Locations(config), config["datasets"][name]
    receipts = map(Path, data.receipts(name, parts))
    expected = [data.expected(receipt.parents[1].name, receipt.stem) for receipt in receipts]
    downloaded = Path(data.root) / dataset["download"] if "download" in dataset else None
    files = [file for file in data.annotation_files(name, parts) if downloaded not in Path(file).parents]
    if "splits" in dataset:
        files += data.split_lists(dataset["download"])
    return [expected, files_mark(files), code_digest("build_snli_ve.py") if data.is_built(dataset) else None]


def model_folder(config: dict[str, Any], model: str) -> str:
    """The folder of a model's description under the results root. Its files count by their content, not by where they
    lie."""
    entry = config["models"][model]
    source, random = entry["source"], entry["weights"] == "random"
    if source == "embedded":
        content = [training_of(config, embedded_name(config, model)), code_digest("train_embedded_model.py")]
    else:
        # Weights that are converted are pinned by their checksums.
        weights = not random and "convert" not in entry
        content = fingerprint(source, weights) if Path(source).is_dir() else source
    upstream = config["adapters"].get(entry["adapter"], {}).get("upstream")
    code = [upstream["commit"]] if upstream else []
    described = without(as_before("models", in_order(entry)), *NOT_COMPUTED)
    computed = [described, content, seed_of(config, model) if random else None, *code, code_digest("register_model.py")]
    return f"models/{model}/{recipe_of(computed)}"


def adapter_file(config: dict[str, Any], model: str) -> str:
    """The module that runs a model, from ``scripts/``."""
    return f"layerwise/models/adapters/{config['models'][model]['adapter']}.py"


def model_files(config: dict[str, Any], model: str) -> list[str]:
    """The modules that run a model and that no import statement shows, from ``scripts/``: see
    :func:`layerwise.code_digest.code_digest`."""
    kinds = config["models"][model].get("intervention", {})
    return [adapter_file(config, model), *(INTERVENTIONS.file(kind) for kind in kinds)]


def converted_folder(config: dict[str, Any], model: str) -> str:
    """The folder under the results root for safetensors of a model whose weights came in an older format."""
    entry = in_order(config["models"][model])
    source = fingerprint(entry["source"], weights=False) if Path(entry["source"]).is_dir() else entry["source"]
    made_from = [source, entry.get("revision"), entry["convert"], code_digest("convert_weights.py")]
    return f"converted/{model}/{recipe_of(made_from)}"
