"""Where stimuli and models of a study lie: in folders named after all that decides what they hold.

Snakemake plans a run before any of its jobs has read anything. So whatever can change the content of a stimulus set or
a model must show when the run is planned, or the hidden states over it would be made anew only in the next run. Their
folder ends in their *recipe*, eight hexadecimal digits over the config, the code and the sources that they are made
from: other content is another folder, and what reads from it is planned along. The reverse does not hold. The same
content may come from another recipe; then the job that would run the model finds its states kept.

Imports no torch, because the Snakefile asks each time it plans.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerwise.code_digest import code_digest
from layerwise.embedded_models import embedded_name, seed_of, training_of
from layerwise.models.files import fingerprint
from layerwise.stimuli.catalogue import KINDS

if TYPE_CHECKING:
    from layerwise.config.study import StudyConfig
    from layerwise.datasets.locations import Locations

# What says where things lie, how fast they are run or what they will cost, but not what they are.
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


def stimuli_folder(config: StudyConfig, data: Locations, stimuli: str) -> str:
    """A stimulus set's folder under the results root. Its recipe leaves out where its sources lie, and which of their
    columns are labels.

    Args:
        config: the study's config.
        data: where its data sets lie.
        stimuli: name of the stimulus set.
    """
    entry = config.stimuli[stimuli]
    kind = KINDS[entry.kind]
    shown, code = as_before("stimuli", kind.shown(entry, data)), code_digest("make_stimuli.py", KINDS.file(entry.kind))
    return f"stimuli/{stimuli}/{recipe_of([shown, *kind.mark(entry, data), code])}"


def questions_folder(config: StudyConfig, data: Locations, questions: str) -> str:
    """The folder of a set of questions under the results root; see :func:`stimuli_folder`."""
    entry = config.flow.questions[questions]
    sources = data.mark(entry.dataset, list(entry.types))
    asked = [without(entry.entry(), "dataset", "prompt"), sources, config.seed, code_digest("make_questions.py")]
    return f"questions/{questions}/{recipe_of(asked)}"


def model_folder(config: StudyConfig, model: str) -> str:
    """The folder of a model's description under the results root. Its files count by their content, not by where they
    lie."""
    entry = config.models[model]
    random, embedded = entry.weights == "random", embedded_name(config, model)
    content: Any
    if embedded is not None:
        content = [training_of(config, embedded).entry(), code_digest("train_embedded_model.py")]
    else:
        # Weights that are converted are pinned by their checksums.
        weights = not random and entry.convert is None
        content = fingerprint(entry.source, weights) if Path(entry.source).is_dir() else entry.source
    adapter = config.adapters.get(entry.adapter)
    code = [] if adapter is None or adapter.upstream is None else [adapter.upstream.commit]
    described = without(as_before("models", in_order(entry.entry())), *NOT_COMPUTED)
    computed = [described, content, seed_of(config, model) if random else None, *code, code_digest("register_model.py")]
    return f"models/{model}/{recipe_of(computed)}"


def adapter_file(config: StudyConfig, model: str) -> str:
    """The module that runs a model, from ``scripts/``."""
    return f"layerwise/models/adapters/{config.models[model].adapter}.py"


def converted_folder(config: StudyConfig, model: str) -> str:
    """The folder under the results root for safetensors of a model whose weights came in an older format."""
    entry = in_order(config.models[model].entry())
    source = fingerprint(entry["source"], weights=False) if Path(entry["source"]).is_dir() else entry["source"]
    made_from = [source, entry.get("revision"), entry["convert"], code_digest("convert_weights.py")]
    return f"converted/{model}/{recipe_of(made_from)}"
