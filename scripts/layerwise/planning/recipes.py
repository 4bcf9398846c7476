"""The folders of stimuli and models, named after everything that decides their content.

Snakemake plans a run before any of its jobs has read anything. So whatever can change a stimulus set or a model must
show when the run is planned; otherwise its hidden states would be remade only in the next run. The folder's name ends
in a *recipe*: eight hexadecimal digits over the config, the code and the sources. So changed content gets another
folder, and everything that reads it is planned as well. The reverse does not hold: another recipe may give the same
content. Then the job that would run the model finds the finished states and reuses them (:mod:`layerwise.jobs.kept`).

Imports no torch, because the Snakefile imports this module each time it plans.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerwise.code_digest import code_digest
from layerwise.config.flow import TableQuestions
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.datasets.question_table import questions_mark
from layerwise.embedded_models import embedded_name, seed_of, training_of
from layerwise.models.files import fingerprint
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.stimuli.catalogue import KINDS

if TYPE_CHECKING:
    from layerwise.config.study import StudyConfig
    from layerwise.datasets.locations import Locations

# Keys that say how a model is run, what it will cost or is compared with, but not what it computes.
HOW_IT_RUNS = (
    *("batch_size", "device_map", "sharing", "expected", "prompts", "tasks", "shards", "cards", "mem_mb", "made_from"),
)
# Recipes hold the final values of these keys instead, so that writing out a default changes nothing.
NAMED_OTHERWISE = ("embedded", "seed")
NOT_COMPUTED = ("source", *NAMED_OTHERWISE, *HOW_IT_RUNS)
# Keys added after the first release, by section, each with the value that keeps the old behaviour. A key with this
# value is left out of recipes and job options, so that a new key makes nothing in an older study stale. Code reads such
# a key with `.get`.
CAME_LATER: dict[str, dict[str, Any]] = {"models": {"image_processor": "auto"}, "stimuli": {"premise": False}}


# The program that makes the folder of an entry with `processor`.
PROCESSOR_CODE = "set_processor.py"


def as_json(value: Any) -> str:
    """A config entry as text, with sorted keys, so that reordering the config changes nothing."""
    return json.dumps(value, sort_keys=True)


def without(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A config entry without these keys."""
    return {key: value for key, value in entry.items() if key not in keys}


def only(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A config entry with these keys only."""
    return {key: entry[key] for key in keys if key in entry}


def in_order(entry: dict[str, Any]) -> dict[str, Any]:
    """A model's entry with ``convert`` as a list of pairs. Order counts: later files replace earlier weights."""
    return entry | {"convert": list(entry["convert"].items())} if "convert" in entry else entry


def as_before(section: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A config entry without the keys of ``CAME_LATER`` that have their old value."""
    later = CAME_LATER[section]
    return {key: value for key, value in entry.items() if key not in later or value != later[key]}


def recipe_of(value: Any) -> str:
    """Eight hexadecimal digits for a recipe."""
    return hashlib.sha256(as_json(value).encode()).hexdigest()[:8]


def stimuli_folder(config: StudyConfig, data: Locations, stimuli: str) -> str:
    """A stimulus set's folder under the results root. Its recipe does not depend on where its sources lie, nor on which
    of their columns are labels.

    Args:
        config: the study's config.
        data: where its data sets lie.
        stimuli: name of the stimulus set.
    """
    entry = config.stimuli[stimuli]
    kind = KINDS[entry.kind]
    shown = as_before("stimuli", kind.shown(entry, data))
    code = code_digest("make_stimuli.py", *kind.files(entry, data))
    return f"stimuli/{stimuli}/{recipe_of([shown, *kind.mark(entry, data), code])}"


def questions_folder(config: StudyConfig, data: Locations, questions: str) -> str:
    """The folder of a set of questions under the results root; see :func:`stimuli_folder`."""
    entry = config.flow.questions[questions]
    if isinstance(entry, TableQuestions):
        # Where the table and its pictures lie, and how they are prompted, decides no question.
        asked = [without(entry.entry(), "file", "image_root", "prompt"), questions_mark(entry), config.seed]
        return f"questions/{questions}/{recipe_of([*asked, code_digest('make_questions.py')])}"
    sources = data.mark(entry.dataset, list(entry.types))
    code = code_digest("make_questions.py", QUESTIONS.file(config.datasets[entry.dataset].format))
    asked = [without(entry.entry(), "dataset", "prompt"), sources, config.seed, code]
    return f"questions/{questions}/{recipe_of(asked)}"


def model_folder(config: StudyConfig, model: str) -> str:
    """The folder of a model's description under the results root. Its recipe depends on the content of the model's
    files, not on where they are."""
    entry = config.models[model]
    random, embedded = entry.weights == "random", embedded_name(config, model)
    content: Any
    if embedded is not None:
        content = [training_of(config, embedded)._asdict(), code_digest("train_embedded_model.py")]
    else:
        # Weights that are converted are pinned by their checksums.
        weights = not random and entry.convert is None
        content = fingerprint(entry.source, weights) if Path(entry.source).is_dir() else entry.source
    adapter = config.adapters.get(entry.adapter)
    code = [] if adapter is None or adapter.upstream is None else [adapter.upstream.commit]
    if entry.processor is not None:
        code.append(code_digest(PROCESSOR_CODE))
    described = without(as_before("models", in_order(entry.entry())), *NOT_COMPUTED)
    computed = [described, content, seed_of(config, model) if random else None, *code, code_digest("register_model.py")]
    return f"models/{model}/{recipe_of(computed)}"


def adapter_file(config: StudyConfig, model: str) -> str:
    """The adapter module that runs a model: its path relative to ``scripts/``."""
    return f"layerwise/models/adapters/{config.models[model].adapter}.py"


def model_files(config: StudyConfig, model: str) -> list[str]:
    """The modules that run a model but appear in no import statement: their paths relative to ``scripts/``, for
    :func:`layerwise.code_digest.code_digest`."""
    intervention = config.models[model].intervention
    return [adapter_file(config, model), *([] if intervention is None else [INTERVENTIONS.file(intervention.kind)])]


def converted_folder(config: StudyConfig, model: str) -> str:
    """The folder under the results root for safetensors of a model whose weights came in an older format."""
    entry = in_order(config.models[model].entry())
    source = fingerprint(entry["source"], weights=False) if Path(entry["source"]).is_dir() else entry["source"]
    made_from = [source, entry.get("revision"), entry["convert"], code_digest("convert_weights.py")]
    return f"converted/{model}/{recipe_of(made_from)}"


def processor_folder(config: StudyConfig, model: str) -> str:
    """The folder under the results root for a model's files with other settings of its image processor."""
    entry = in_order(config.models[model].entry())
    weights = entry["weights"] == "pretrained" and "convert" not in entry
    source = fingerprint(entry["source"], weights) if Path(entry["source"]).is_dir() else entry["source"]
    made_from = without(as_before("models", entry), *NOT_COMPUTED, "intervention", "dtype", "quantization")
    return f"processors/{model}/{recipe_of([source, made_from, code_digest(PROCESSOR_CODE)])}"
