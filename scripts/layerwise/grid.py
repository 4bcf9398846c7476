"""The grid of a study: which model x stimuli x prompt cells are run, which tasks read them, which questions are asked.

Built from the config alone, without importing torch, because the Snakefile builds it each time it plans.
:mod:`layerwise.grid_checks` refuses what cannot be run.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.config.prompts import Prompt
from layerwise.config.study import StudyConfig
from layerwise.recipes import adapter_file, model_files
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.relations import RELATIONS


class StatesCell(NamedTuple):
    """One set of hidden states."""

    model: str
    stimuli: str
    prompt: str


class ProbeCell(NamedTuple):
    """One file of probe scores."""

    model: str
    task: str
    prompt: str


class SpecificationCell(NamedTuple):
    """One specification curve."""

    model: str
    task: str


class KindCell(NamedTuple):
    """One file of scores of a further kind of probe."""

    model: str
    task: str
    prompt: str
    kind: str


class FlowCell(NamedTuple):
    """One model that is asked one set of questions."""

    model: str
    questions: str


class Grid:
    """The cells of a study.

    Args:
        config: the study's config, without models that are left out.
    """

    def __init__(self, config: StudyConfig):
        self.config = config
        self._base_models = [name for name, model in config.models.items() if model.intervention is None]

    def states_cells(self) -> list[StatesCell]:
        """Every model x stimuli x prompt that some task reads."""
        return [
            StatesCell(model, stimuli, prompt)
            for model in self.config.models
            for stimuli in self.used_stimuli()
            if any(self.config.tasks[task].stimuli == stimuli for task in self._tasks_of(model))
            for prompt in self._prompts_of(model, stimuli)
        ]

    def probe_cells(self) -> list[ProbeCell]:
        """Every model x task x prompt of the task's stimuli."""
        return [
            ProbeCell(model, task, prompt)
            for model in self.config.models
            for task in self._tasks_of(model)
            for prompt in self._prompts_of(model, self.config.tasks[task].stimuli)
        ]

    def kind_cells(self) -> list[KindCell]:
        """Every probe cell with each kind of probe beside logistic regression, whose scores every cell has."""
        kinds = [kind for kind in self.config.probes.kinds if kind != "logistic"]
        return [KindCell(*cell, kind) for cell in self.probe_cells() for kind in kinds]

    def site_cells(self) -> list[ProbeCell]:
        """The probe cells whose states are kept at more sites than the block's output."""
        return [cell for cell in self.probe_cells() if self.sites(cell.model, cell.prompt)]

    def answers_cells(self) -> list[StatesCell]:
        """The states cells in which the probability of the model's answers is read: those of prompts with `answers`.

        Untrained twins have no answers, and adapters that run their authors' code do not show their output head.
        """
        return [cell for cell in self.states_cells() if self._answers(cell.model, cell.stimuli, cell.prompt)]

    def said_cells(self) -> list[ProbeCell]:
        """The probe cells whose classes the model is asked for, so that what it says can be scored."""
        return [
            cell
            for cell in self.probe_cells()
            if self._says(cell.task, self._answers(cell.model, self.config.tasks[cell.task].stimuli, cell.prompt))
        ]

    def specification_cells(self) -> list[SpecificationCell]:
        """Every model x task that has a specification curve."""
        asked = self.config.specifications
        if asked is None:
            return []
        models = [name for name in self._base_models if self.config.models[name].weights != "random"]
        if asked.models is not None:
            models = [name for name in self._base_models if name in asked.models]
        tasks = self.tasks_about("global") if asked.tasks is None else asked.tasks
        return [
            SpecificationCell(model, task)
            for model in models
            for task in self._tasks_of(model)
            if task in tasks and self.specification_prompts(model, task)
        ]

    def specification_prompts(self, model: str, task: str) -> list[str]:
        """The prompts of a specification curve: those that are named, or all that show the item's own image."""
        stimuli, asked = self.config.tasks[task].stimuli, self.config.specifications
        named = None if asked is None else asked.prompts
        return [
            prompt
            for prompt in self._prompts_of(model, stimuli)
            if (self.prompt(stimuli, prompt).image in (None, "shown") if named is None else prompt in named)
        ]

    def flow_cells(self) -> list[FlowCell]:
        """Every model x questions under ``flow``."""
        flow = self.config.flow
        return [FlowCell(model, questions) for model in flow.models for questions in flow.questions]

    def sites(self, model: str, prompt: str) -> list[str]:
        """The sites within blocks that are kept for a cell."""
        states = self.config.states
        models, prompts = states.sites_of.models, states.sites_of.prompts
        if model not in (self._base_models if models is None else models):
            return []
        if prompts is not None and prompt not in prompts:
            return []
        return [site for site in states.sites if site != "block"]

    def planned(self, model: str, stimuli: str, prompt: str) -> dict[str, Any]:
        """What decides the hidden states of a cell, besides its model and stimuli.

        This holds nothing that only a job can find out, such as digests of files, because Snakemake computes and
        records params when it plans. A change of model or stimuli shows in their folders' names
        (:mod:`layerwise.recipes`); the job itself compares digests (:mod:`layerwise.states.cells`).
        """
        # A cell without sites has no such key, so that states from before there were sites stay valid.
        sites = self.sites(model, prompt)
        return ({"sites": sites} if sites else {}) | {
            "model": model,
            "stimuli": stimuli,
            "prompt": prompt,
            "prompt_entry": self.prompt(stimuli, prompt).shown(),
            # Sorted, because states do not depend on the order. Only probes do: they read the first position.
            "positions": sorted(self.config.states.positions),
            "dtype": self.config.states.dtype,
            "code": code_digest("extract_states.py", *model_files(self.config, model)),
        }

    def planned_flow(self, model: str, questions: str) -> dict[str, Any]:
        """What decides the measured flow of a cell, besides its model and questions; see :meth:`planned`."""
        return {
            "model": model,
            "questions": questions,
            "prompt_entry": self.questions_prompt(questions).shown(),
            "window": self.window(model),
            "question_tokens": self.config.flow.question_tokens,
            "code": code_digest("trace_flow.py", adapter_file(self.config, model)),
        }

    def window(self, model: str) -> int:
        """The number of neighbouring blocks in which a model's attention is blocked at a time."""
        return self.config.flow.models[model].window

    def base_models(self) -> list[str]:
        """Names of the models that run as they are, without an intervention."""
        return list(self._base_models)

    def intervened(self, kinds: Collection[str]) -> list[str]:
        """Names of the models with an intervention of one of these kinds."""
        models = self.config.models.items()
        return [name for name, model in models if model.intervention is not None and model.intervention.kind in kinds]

    def used_stimuli(self) -> list[str]:
        """Names of the stimulus sets that some task reads."""
        used = {task.stimuli for task in self.config.tasks.values()}
        return [name for name in self.config.stimuli if name in used]

    def tasks_about(self, question: str) -> list[str]:
        """Names of the tasks whose question is ``global`` or ``local``."""
        return [name for name, task in self.config.tasks.items() if task.question == question]

    def prompt(self, stimuli: str, prompt: str) -> Prompt:
        """A prompt of a stimulus set."""
        return self.config.prompts[self.config.stimuli[stimuli].kind][prompt]

    def prompts(self, stimuli: str) -> dict[str, Prompt]:
        """All prompts of a stimulus set."""
        return {name: self.prompt(stimuli, name) for name in self.config.stimuli[stimuli].prompts}

    def questions_prompt(self, questions: str) -> Prompt:
        """The prompt of a set of questions."""
        entry = self.config.flow.questions[questions]
        return self.config.prompts[self.config.datasets[entry.dataset].format][entry.prompt]

    def unused(self) -> list[str]:
        """Keys that have no effect in this study, for a warning."""
        said = []
        for name in self.used_stimuli():
            entry = self.config.stimuli[name]
            said += KINDS[entry.kind].unused(f"stimuli.{name}", entry, list(self.prompts(name).values()))
        return said

    def classes_of(self, task: str) -> Sequence[str] | None:
        """The classes of a task in index order, as far as the config alone tells them; else None."""
        entry = self.config.tasks[task]
        if entry.classes is not None:
            return entry.classes
        if entry.knowledge is not None:
            return RELATIONS[entry.knowledge.about][1] if entry.knowledge.about in RELATIONS else None
        return KINDS[self.config.stimuli[entry.stimuli].kind].classes

    def _answers(self, model: str, stimuli: str, prompt: str) -> Mapping[str, Sequence[str]]:
        """The answers that can be read in a cell of states, by class; empty where there are none."""
        entry = self.config.models[model]
        adapter = self.config.adapters.get(entry.adapter)
        if entry.weights == "random" or (adapter is not None and adapter.environment == "legacy"):
            return {}
        return self.prompt(stimuli, prompt).answers or {}

    def _says(self, task: str, answers: Mapping[str, Sequence[str]]) -> bool:
        entry, classes = self.config.tasks[task], self.classes_of(task)
        if classes is None:
            # A table's classes are known only when it is read. Measured quantities are no words.
            return bool(answers) and entry.knowledge is None
        return set(classes) <= set(answers)

    def _prompts_of(self, model: str, stimuli: str) -> list[str]:
        prompts, only = self.config.stimuli[stimuli].prompts, self.config.models[model].prompts
        return [prompt for prompt in prompts if only is None or prompt in only]

    def _tasks_of(self, model: str) -> list[str]:
        only = self.config.models[model].tasks
        return [task for task in self.config.tasks if only is None or task in only]
