"""The grid of a study: which model x stimuli x prompt cells are run, and which tasks read them.

Built from a validated config (:func:`layerwise.config.validate`) without importing torch, because the
Snakefile builds it each time it plans.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.datasets.disk import is_dir, is_file
from layerwise.datasets.locations import Locations
from layerwise.datasets.table import check_columns, table_columns
from layerwise.embedded_models import embedded_name, seed_of
from layerwise.errors import InputError
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.recipes import NOT_COMPUTED, model_files, without

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")

# What each kind of stimulus can put into a prompt, and what it must.
ALLOWED_PLACEHOLDERS = {
    "coco-entailment": {"text"},
    "snli-ve": {"text"},
    "coco-objects": {"category", "categories"},
    "coco-relations": {"first", "second"},
    "table": {"text"},
}
REQUIRED_PLACEHOLDERS = {
    "coco-entailment": {"text"},
    "snli-ve": {"text"},
    "coco-objects": set(),
    "coco-relations": {"first", "second"},
    "table": set(),
}
DATASET_FORMAT = {"coco-entailment": "coco", "coco-objects": "coco", "coco-relations": "coco", "snli-ve": "snli-ve"}


class StatesCell(NamedTuple):
    """One HDF5 file of hidden states."""

    model: str
    stimuli: str
    prompt: str


class ProbeCell(NamedTuple):
    """One file of probe scores."""

    model: str
    task: str
    prompt: str


class Grid:
    """The cells of a study.

    Raises:
        InputError: when the config refers to something that is not there: an entry, a file, a placeholder.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config
        self.data = Locations(config)
        if not config["tasks"] and not config["flow"]["questions"]:
            raise InputError(
                "the config asks for nothing: give `stimuli` and `tasks` to probe for, or `flow` (or both)"
            )
        for name, stimuli in config["stimuli"].items():
            self._check_stimuli(name, stimuli)
        for name, task in config["tasks"].items():
            _find(config["stimuli"], task["stimuli"], f"tasks.{name}.stimuli")
            self._check_task(name, task)
        self._check_embedded()
        for name, model in config["models"].items():
            _check_model(name, model)
            self._check_prompts(f"models.{name}.prompts", model.get("prompts", []))
            for task in model.get("tasks", []):
                _find(config["tasks"], task, f"models.{name}.tasks", "`tasks`")
            if "intervention" in model:
                self._check_intervention(name, model)
        self._check_sites()
        for cell in self.states_cells():
            self._check_cell(cell)

    def states_cells(self) -> list[StatesCell]:
        """Every model x stimuli x prompt that some task reads."""
        return [
            StatesCell(model, stimuli, prompt)
            for model in self.config["models"]
            for stimuli in self.used_stimuli()
            if any(self.config["tasks"][task]["stimuli"] == stimuli for task in self._tasks_of(model))
            for prompt in self._prompts_of(model, stimuli)
        ]

    def probe_cells(self) -> list[ProbeCell]:
        """Every model x task x prompt of the task's stimuli."""
        return [
            ProbeCell(model, task, prompt)
            for model in self.config["models"]
            for task in self._tasks_of(model)
            for prompt in self._prompts_of(model, self.config["tasks"][task]["stimuli"])
        ]

    def site_cells(self) -> list[ProbeCell]:
        """The probe cells whose states are kept at more sites than the block's output."""
        return [cell for cell in self.probe_cells() if self.sites(cell.model, cell.prompt)]

    def sites(self, model: str, prompt: str) -> list[str]:
        """The sites within blocks that are kept of a cell."""
        states = self.config["states"]
        models = states["sites_of"].get("models", self.base_models())
        if model not in models or prompt not in states["sites_of"].get("prompts", [prompt]):
            return []
        return [site for site in states["sites"] if site != "block"]

    def planned(self, model: str, stimuli: str, prompt: str) -> dict[str, Any]:
        """What decides the hidden states of a cell beside its model and stimuli.

        Nothing that an earlier job finds out, such as their digests. Snakemake computes params when it plans, and
        records those whatever is run. That model or stimuli may have changed shows in their folders' names
        (:mod:`layerwise.recipes`); the job itself compares the digests (:mod:`layerwise.states.cells`).
        """
        # Named only where there are some: cells without stay what they were before there were sites.
        sites = self.sites(model, prompt)
        return ({"sites": sites} if sites else {}) | {
            "model": model,
            "stimuli": stimuli,
            "prompt": prompt,
            "prompt_entry": self.prompt(stimuli, prompt),
            # Probes read the first of them; to the states their order is nothing.
            "positions": sorted(self.config["states"]["positions"]),
            "dtype": self.config["states"]["dtype"],
            "code": code_digest("extract_states.py", *model_files(self.config, model)),
        }

    def base_models(self) -> list[str]:
        """Names of the models that run as they are, without an intervention."""
        return [name for name, model in self.config["models"].items() if "intervention" not in model]

    def intervened(self, kinds: Collection[str]) -> list[str]:
        """Names of the models with an intervention of one of these kinds."""
        models = self.config["models"].items()
        return [name for name, model in models if not set(kinds).isdisjoint(model.get("intervention", {}))]

    def _prompts_of(self, model: str, stimuli: str) -> list[str]:
        prompts = self.config["stimuli"][stimuli]["prompts"]
        only = self.config["models"][model].get("prompts", prompts)
        return [prompt for prompt in prompts if prompt in only]

    def _tasks_of(self, model: str) -> list[str]:
        only = self.config["models"][model].get("tasks", self.config["tasks"])
        return [task for task in self.config["tasks"] if task in only]

    def used_stimuli(self) -> list[str]:
        """Names of the stimulus sets that some task reads."""
        used = {task["stimuli"] for task in self.config["tasks"].values()}
        return [name for name in self.config["stimuli"] if name in used]

    def tasks_about(self, question: str) -> list[str]:
        """Names of the tasks whose question is ``global`` or ``local``."""
        return [name for name, task in self.config["tasks"].items() if task["question"] == question]

    def prompt(self, stimuli: str, prompt: str) -> dict[str, Any]:
        """The prompt entry that a stimulus set refers to."""
        return self.config["prompts"][self.config["stimuli"][stimuli]["kind"]][prompt]

    def prompts(self, stimuli: str) -> dict[str, dict[str, Any]]:
        """All prompt entries of a stimulus set."""
        return {name: self.prompt(stimuli, name) for name in self.config["stimuli"][stimuli]["prompts"]}

    def unused(self) -> list[str]:
        """Keys that change nothing as the study stands, to warn of."""
        said = []
        for name in self.used_stimuli():
            texts = [entry["text"] for entry in self.prompts(name).values()]
            if "text_column" in self.config["stimuli"][name] and not any("{text}" in text for text in texts):
                said.append(
                    f"stimuli.{name}.text_column: none of its prompts shows {{text}}, so models see the image alone"
                )
        return said

    def receipts(self, stimuli: str) -> list[str]:
        """Receipts of all downloads that a stimulus set needs."""
        entry = self.config["stimuli"][stimuli]
        return [] if entry["kind"] == "table" else self.data.receipts(entry["dataset"], list(entry["images"]))

    def _check_stimuli(self, name: str, stimuli: dict[str, Any]) -> None:
        kind = stimuli["kind"]
        if kind != "table":
            self._check_parts(name, stimuli)
        elif not is_file(stimuli["file"]):
            raise InputError(f"stimuli.{name}.file: there is no file {stimuli['file']!r}")
        else:
            try:
                check_columns(stimuli["file"], table_columns(stimuli))
            except InputError as error:
                raise InputError(f"stimuli.{name}.file: {error}") from error
        prompts = self.config["prompts"].get(kind, {})
        for prompt in stimuli["prompts"]:
            entry = _find(prompts, prompt, f"stimuli.{name}.prompts", f"prompts.{kind}")
            self._check_prompt(f"prompts.{kind}.{prompt}", kind, entry, stimuli)

    def _check_parts(self, name: str, stimuli: dict[str, Any]) -> None:
        """The data set of a stimulus set: of the right format, and with the files of each part."""
        kind = stimuli["kind"]
        dataset = _find(self.config["datasets"], stimuli["dataset"], f"stimuli.{name}.dataset")
        if dataset["format"] != DATASET_FORMAT[kind]:
            raise InputError(
                f"stimuli.{name}: {kind} reads data sets of format {DATASET_FORMAT[kind]}, "
                f"but {stimuli['dataset']} is {dataset['format']}"
            )
        self.data.check_parts(f"stimuli.{name}", stimuli["dataset"], list(stimuli["images"]))

    def _check_prompt(self, where: str, kind: str, entry: dict[str, Any], stimuli: dict[str, Any]) -> None:
        found = set(PLACEHOLDER.findall(entry["text"]))
        if unknown := found - ALLOWED_PLACEHOLDERS[kind]:
            allowed = ", ".join(f"{{{p}}}" for p in sorted(ALLOWED_PLACEHOLDERS[kind]))
            raise InputError(f"{where}: unknown placeholder {{{min(unknown)}}}; a {kind} prompt knows {allowed}")
        if missing := REQUIRED_PLACEHOLDERS[kind] - found:
            raise InputError(f"{where}: the prompt needs {{{min(missing)}}}, or every item would read the same")
        if {"category", "categories"} <= found:
            raise InputError(f"{where}: {{category}} and {{categories}} are two different cues; use one of them")
        if kind == "table" and "text" in found and "text_column" not in stimuli:
            raise InputError(f"{where}: the prompt has {{text}}, but its stimulus set names no `text_column`")
        if "categories" in entry and "categories" not in found:
            raise InputError(f"{where}: `categories` is given, but the prompt has no {{categories}}")
        if entry.get("image") == "none":
            if "image-mean" in self.config["states"]["positions"]:
                raise InputError(f"{where}: without an image (`image: none`) there is no position image-mean to keep")
            if not found & {"text", "category", "first"}:
                raise InputError(f"{where}: without an image (`image: none`) every item would read the same")

    def _check_prompts(self, where: str, prompts: list[str]) -> None:
        known = {prompt for stimuli in self.config["stimuli"].values() for prompt in stimuli["prompts"]}
        for prompt in prompts:
            _find({name: {} for name in sorted(known)}, prompt, where, "`stimuli`")

    def _check_intervention(self, name: str, model: dict[str, Any]) -> None:
        """Whether the adapter serves it, and the same model without it is there to compare with."""
        self._check_reach(name, f"models.{name}.intervention")
        for kind, how in model["intervention"].items():
            INTERVENTIONS[kind].check(f"models.{name}.intervention.{kind}", how, None)
        base = _computed(self.config, name)
        if not any(_computed(self.config, other) == base for other in self.base_models()):
            raise InputError(
                f"models.{name}: an intervention is shown beside the same model without it; add an entry that has all "
                "of this one's keys but `intervention`"
            )

    def _check_embedded(self) -> None:
        """Whether each of the models that are to be trained is one of `models`, and each of these is there."""
        used = {embedded_name(self.config, model) for model in self.config["models"]}
        for name in self.config["embedded_models"]:
            if name not in used:
                raise InputError(
                    f"embedded_models.{name}: no model uses it; add `models: {{{name}: {{source: embedded, embedded: "
                    f"{name}}}}}`, or leave it out"
                )

    def _check_sites(self) -> None:
        only = self.config["states"]["sites_of"]
        for name in only.get("models", []):
            _find(self.config["models"], name, "states.sites_of.models", "`models`")
        self._check_prompts("states.sites_of.prompts", only.get("prompts", []))
        for model in {cell.model for cell in self.site_cells()}:
            self._check_reach(model, "states.sites")

    def _check_reach(self, model: str, where: str) -> None:
        if self._runs_authors_code(model):
            raise InputError(
                f"{where}: the adapter {self.config['models'][model]['adapter']} of models.{model} runs its authors' "
                "code, and does not reach into its blocks"
            )

    def _check_cell(self, cell: StatesCell) -> None:
        kinds = self.config["models"][cell.model].get("intervention", {})
        on_image = [kind for kind in kinds if INTERVENTIONS[kind].touches_image]
        if on_image and self.prompt(cell.stimuli, cell.prompt).get("image") == "none":
            raise InputError(
                f"models.{cell.model}.intervention.{min(on_image)}: the prompt {cell.prompt} of stimuli.{cell.stimuli} "
                "shows no image (`image: none`), so that nothing would be changed; name the other prompts in "
                f"models.{cell.model}.prompts"
            )
        if self._runs_authors_code(cell.model) and self.prompt(cell.stimuli, cell.prompt).get("image") == "none":
            adapter = self.config["models"][cell.model]["adapter"]
            raise InputError(
                f"stimuli.{cell.stimuli}.prompts: {cell.prompt} shows no image, but the adapter {adapter} of "
                f"models.{cell.model} reads no text without one; use `image: blank`, or a study without this model"
            )

    def _runs_authors_code(self, model: str) -> bool:
        adapter = self.config["models"][model]["adapter"]
        return self.config["adapters"].get(adapter, {}).get("environment") == "legacy"

    def _check_task(self, name: str, task: dict[str, Any]) -> None:
        stimuli = self.config["stimuli"][task["stimuli"]]
        if stimuli["kind"] == "table":
            for label in task.get("labels", []):
                if label not in stimuli["labels"]:
                    raise InputError(
                        f"tasks.{name}.labels: {label!r} is not among the table's labels {stimuli['labels']}"
                    )
            if task["split"]["by"] == "official" and "split_column" not in stimuli:
                raise InputError(f"tasks.{name}.split.by: official needs `split_column` in stimuli.{task['stimuli']}")
        if "knowledge" in task:
            if DATASET_FORMAT.get(stimuli["kind"]) != "coco":
                raise InputError(
                    f"tasks.{name}.knowledge: only data sets of format coco have annotated objects, and "
                    f"stimuli.{task['stimuli']} is {stimuli['kind']}"
                )
            if task["knowledge"]["about"] == "asked-attribute" and stimuli["kind"] != "coco-objects":
                raise InputError(
                    f"tasks.{name}.knowledge: asked-attribute is about the category that coco-objects ask for, and "
                    f"stimuli.{task['stimuli']} is {stimuli['kind']}"
                )
        elif stimuli["kind"] == "coco-relations" and len(task.get("labels", [])) != 1:
            raise InputError(f"tasks.{name}.labels: name one relation, left-right or above-below")
        if task["split"]["by"] == "random" and task["split"]["val"] + task["split"]["test"] >= 1:
            raise InputError(f"tasks.{name}.split: val and test together leave nothing to train on")


def _find(entries: dict[str, Any], name: str, where: str, section: str | None = None) -> dict[str, Any]:
    if name not in entries:
        known = ", ".join(entries) or "nothing"
        raise InputError(f"{where}: there is no {name!r}; {section or 'the config'} has {known}")
    return entries[name]


def _computed(config: dict[str, Any], name: str) -> dict[str, Any]:
    """What decides what a model computes, but for its intervention."""
    model = config["models"][name]
    seed = seed_of(config, name) if model["weights"] == "random" else None
    made = {"source": model["source"], "embedded": embedded_name(config, name), "seed": seed}
    return made | without(model, "intervention", *NOT_COMPUTED)


def _check_model(name: str, model: dict[str, Any]) -> None:
    source = model["source"]
    conversation = model["conversation"]
    if conversation not in ("auto", "chat"):
        for placeholder in ("<image>", "{prompt}"):
            if conversation.count(placeholder) != 1:
                raise InputError(f"models.{name}.conversation: {conversation!r} must hold {placeholder} exactly once")
    if model["weights"] == "random":
        for key in ("quantization", "convert"):
            if model.get(key, "none") != "none":
                raise InputError(f"models.{name}.{key}: a model with random weights has none to load; leave it out")
    if "seed" in model and model["weights"] != "random":
        raise InputError(f"models.{name}.seed: it draws random weights; add `weights: random`, or leave it out")
    if "embedded" in model and source != "embedded":
        raise InputError(f"models.{name}.embedded: only with `source: embedded`; leave it out")
    if source == "embedded" and "convert" in model:
        raise InputError(f"models.{name}.convert: the embedded model is saved as safetensors; leave it out")
    if source == "embedded" or is_dir(source):
        if "revision" in model:
            raise InputError(f"models.{name}.revision: only a Hugging Face id has revisions, and {source!r} is none")
        return
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", source):
        raise InputError(
            f"models.{name}.source: {source!r} is neither an existing folder, nor a Hugging Face id "
            "(organisation/name), nor the word embedded"
        )
    if model["trust_remote_code"] and not re.fullmatch(r"[0-9a-f]{40}", model.get("revision", "")):
        raise InputError(
            f"models.{name}.trust_remote_code: code from the hub runs only from a commit that you chose; give its 40 "
            "digits as `revision`"
        )
