"""The grid of a study: which model x stimuli x prompt cells are run, which tasks read them, which questions are asked.

Built from the config alone, without importing torch, because the Snakefile builds it each time it plans.
:mod:`layerwise.planning.grid_checks` refuses what cannot be run.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.config.flow import TABLE_PROMPTS, TableQuestions
from layerwise.config.prompts import Prompt
from layerwise.config.study import StudyConfig
from layerwise.embedded_models import embedded_name, seed_of
from layerwise.models.families import is_text
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.site_names import ALL_PICTURES, picture_position
from layerwise.planning import (
    consistency_grid,
    lens_grid,
    likeness_grid,
    pooled_grid,
    position_grid,
    route_grid,
    shortcut_grid,
    tower_grid,
    used_grid,
)
from layerwise.planning.lens_grid import LensCell
from layerwise.planning.pooled_grid import PooledCell, TokensCell
from layerwise.planning.position_grid import PositionProbes, PositionStates
from layerwise.planning.recipes import NOT_COMPUTED, adapter_file, as_json, model_files, without
from layerwise.planning.shortcut_grid import PicturesCell, ShortcutCell
from layerwise.planning.tower_grid import TowerCell, TowerProbeCell
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.item_texts import shows_text
from layerwise.stimuli.relations import RELATIONS

# The code that decides a concept at the last token. Its program also scores probes on what is left, which decides none.
FITTED_BY = tuple(f"layerwise/used/concepts/{module}.py" for module in ("labelled", "erasers", "steering"))


# Stands for the positions of single pictures in `states.positions`.
EACH_PICTURE = "each-image-mean"


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


class CarriedCell(NamedTuple):
    """The states of one model and one task, which kept probes of other cells read."""

    model: str
    task: str


class CarriedFrom(NamedTuple):
    """Kept probes of one cell that read the states of a prompt of another.

    ``kind`` is prompts, versions, tasks or labels. ``classes`` says which class of the source is which of the target;
    None stands for classes of the same names. ``flipped`` says the same where one of the two prompts negates.
    """

    kind: str
    prompt: str
    source: ProbeCell
    classes: Mapping[str, str] | None = None
    flipped: Mapping[str, str] | None = None


class KindCell(NamedTuple):
    """The scores of a further kind of probe in one cell."""

    model: str
    task: str
    prompt: str
    kind: str


class FlowCell(NamedTuple):
    """One model that is asked one set of questions."""

    model: str
    questions: str


class FittedOn(NamedTuple):
    """What the concept that a model's intervention erases or steers along is fitted to.

    ``cell`` is one of the model as it is. ``at`` says which tokens: last, text or image. ``block`` is the block whose
    output they are.
    """

    cell: ProbeCell
    at: str
    block: int


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
            if any(self.config.tasks[task].stimuli == stimuli for task in self.tasks_of(model))
            for prompt in self._prompts_of(model, stimuli)
        ]

    def probe_cells(self) -> list[ProbeCell]:
        """Every model x task x prompt of the tasks whose labels are classes."""
        return [cell for cell in self._task_cells() if not self.config.tasks[cell.task].is_number]

    def number_cells(self) -> list[ProbeCell]:
        """Every model x task x prompt of the tasks whose labels are numbers."""
        return [cell for cell in self._task_cells() if self.config.tasks[cell.task].is_number]

    def kind_cells(self) -> list[KindCell]:
        """Probe cells with each kind of probe beside logistic regression, whose scores every cell has."""
        kinds = [kind for kind in self.config.probes.kinds if kind != "logistic"]
        only = self.config.probes.kinds_of
        models = self._base_models if only.models is None else only.models
        return [
            KindCell(*cell, kind)
            for cell in self.probe_cells()
            if cell.model in models
            and (only.tasks is None or cell.task in only.tasks)
            and (only.prompts is None or cell.prompt in only.prompts)
            for kind in kinds
        ]

    def site_cells(self) -> list[ProbeCell]:
        """The probe cells whose states are kept at more sites than the block's output."""
        return [cell for cell in self.probe_cells() if self.sites(cell.model, cell.prompt)]

    def answers_cells(self) -> list[StatesCell]:
        """The states cells in which the probability of the model's answers is read: those of prompts with `answers`.

        Untrained twins have no answers, and adapters that run their authors' code do not show their output head. There
        are none where the last token is not kept, words hold placeholders, or a class has no words.
        """
        return [cell for cell in self.states_cells() if self._answers(cell.model, cell.stimuli, cell.prompt)]

    def answers_entry(self, stimuli: str, prompt: str) -> dict[str, Any]:
        """What decides the answers of a prompt, besides the states: what is shown, and the words."""
        entry = self.prompt(stimuli, prompt)
        return entry.shown() | {"answers": entry.entry()["answers"]}

    def generated_cells(self) -> list[StatesCell]:
        """The cells in which the model writes its answers: those of prompts with `generate`.

        Interventions change a forward pass over a whole input, not one that goes on token by token.
        """
        return [
            cell
            for cell in self.states_cells()
            if self.prompt(cell.stimuli, cell.prompt).generate is not None
            and self._can_answer(cell.model)
            and cell.model in self._base_models
        ]

    def said_cells(self) -> list[ProbeCell]:
        """The probe cells whose classes the model is asked for, so that what it says can be scored."""
        return [
            cell
            for cell in self.probe_cells()
            if self._says(cell.task, self._answers(cell.model, self.config.tasks[cell.task].stimuli, cell.prompt))
        ]

    def carried_cells(self) -> list[CarriedCell]:
        """Every model x task whose states some kept probes of other cells read."""
        return list(self._carried)

    def carried(self, model: str, task: str) -> list[CarriedFrom]:
        """The kept probes that read the states of a task in a model; see :class:`layerwise.config.carry.Carry`."""
        return list(self._carried.get(CarriedCell(model, task), ()))

    def carried_models(self) -> list[str]:
        """The models without intervention whose probes are carried, or whose states are read."""
        found = {name for cell in self.carried_cells() for name in (cell.model, self._version_of(cell.model))}
        return [name for name in self._base_models if name in found]

    def source_models(self) -> list[str]:
        """The models whose probes are carried, so that a map has them as sources."""
        found = {each.source.model for carried in self._carried.values() for each in carried}
        return [name for name in self._base_models if name in found]

    def written_cells(self) -> list[ProbeCell]:
        """The probe cells whose classes are looked for in what the model writes."""
        writing = set(self.generated_cells())
        found = []
        for cell in self.probe_cells():
            stimuli = self.config.tasks[cell.task].stimuli
            answers = self.prompt(stimuli, cell.prompt).answers or {}
            if StatesCell(cell.model, stimuli, cell.prompt) in writing and self._says(cell.task, answers):
                found.append(cell)
        return found

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
            for task in self.tasks_of(model)
            if task in tasks and task in self.class_tasks() and self.specification_prompts(model, task)
        ]

    def specification_prompts(self, model: str, task: str) -> list[str]:
        """The prompts of a specification curve: those that are named, or all that show the item's own image."""
        stimuli, asked = self.config.tasks[task].stimuli, self.config.specifications
        named = None if asked is None else asked.prompts
        return [
            prompt
            for prompt in self._prompts_of(model, stimuli)
            if (self.prompt(stimuli, prompt).is_own if named is None else prompt in named)
        ]

    def flow_cells(self) -> list[FlowCell]:
        """Every model x questions under ``flow``."""
        flow = self.config.flow
        return [FlowCell(model, questions) for model in flow.models for questions in flow.questions]

    def used_cells(self) -> list[ProbeCell]:
        """The probe cells in which a task's classes are erased and steered; see :class:`layerwise.config.used.Used`."""
        return list(self._used)

    def concept_cells(self) -> list[ProbeCell]:
        """The probe cells that a concept is fitted in: erased and steered there, or by the intervention of a model."""
        return used_grid.concept_cells(self)

    def other_concepts(self, cell: ProbeCell) -> dict[str, ProbeCell]:
        """The other concepts that are erased in a used cell, by ``task/prompt``: those of every other used task in the
        same model, each as its first used prompt has it."""
        return used_grid.other_concepts(self, cell)

    def concept_draws(self) -> int:
        """How many random controls a concept has."""
        return used_grid.concept_draws(self)

    def planned_sweep(self, cell: ProbeCell) -> dict[str, Any]:
        """What decides the sweep of a used cell, besides its model, stimuli, task, concepts and kept probes; see
        :meth:`planned`."""
        return used_grid.planned_sweep(self, cell)

    def route_cells(self) -> dict[str, ProbeCell]:
        """By trained route the probe cell that it is trained on; see :class:`layerwise.config.routes.Route`."""
        entries = route_grid.routes(self).items()
        return {name: ProbeCell(route.model, route.task, route.prompt) for name, route in entries}

    def route_of(self, model: str) -> str | None:
        """The trained route that a model runs with; None for models without one."""
        return route_grid.route_of(self, model)

    def planned_route(self, name: str) -> dict[str, Any]:
        """What decides a trained route, besides its states, labels and model; see :meth:`planned`."""
        return route_grid.planned_route(self, name)

    def consistency_tasks(self) -> list[str]:
        """Names of the tasks whose items may belong together: the same words about several pictures."""
        return consistency_grid.consistency_tasks(self)

    def likeness_cells(self) -> list[StatesCell]:
        """The states cells whose layers are to be measured; see :class:`layerwise.config.likeness.Likeness`."""
        return likeness_grid.likeness_cells(self)

    def shortcut_cells(self) -> list[ShortcutCell]:
        """Every model x task that is compared with simple features; see ``probes.shortcuts``."""
        return list(self.shortcuts)

    def pictures_cells(self) -> list[PicturesCell]:
        """The models whose vision tower runs over the pictures of a stimulus set, for shortcuts."""
        return shortcut_grid.pictures_cells(self)

    def shortcut_columns(self, task: str) -> list[str]:
        """The columns of a task's items whose words the shortcuts read."""
        return shortcut_grid.shortcut_columns(self, task)

    def shortcut_prompts(self) -> dict[str, dict[str, list[str]]]:
        """By task the prompts that are compared with its shortcuts (``shown``), and those of the text alone."""
        return shortcut_grid.compared_prompts(self)

    def planned_pictures(self, cell: PicturesCell) -> dict[str, Any]:
        """What decides the features of pictures, besides the model and its stimuli; see :meth:`planned`."""
        return shortcut_grid.planned_pictures(self, cell)

    def tower_probe_cells(self) -> list[TowerProbeCell]:
        """Every model x task whose labels are looked for in the vision tower; see ``tower``."""
        return list(self._tower)

    def tower_cells(self) -> list[TowerCell]:
        """The models whose vision tower is read block by block over the pictures of a stimulus set."""
        return tower_grid.tower_cells(self)

    def pooled_prompt(self, model: str, task: str) -> str | None:
        """The prompt whose states at the image's tokens continue the tower's curve in the decoder; None without."""
        return tower_grid.pooled_prompt(self, model, task)

    def compared_with_tower(self) -> dict[str, dict[str, list[str]]]:
        """By model and task the prompts whose decoder is compared with the tower."""
        return tower_grid.compared_with_tower(self)

    def planned_tower(self, cell: TowerCell) -> dict[str, Any]:
        """What decides a tower's states, besides the model and its stimuli; see :meth:`planned`."""
        return tower_grid.planned_tower(self, cell)

    def lens_cells(self) -> list[LensCell]:
        """Every model x stimuli whose image tokens the output head reads; see :class:`layerwise.config.lens.Lens`."""
        return lens_grid.lens_cells(self)

    def planned_lens(self, cell: LensCell) -> dict[str, Any]:
        """What decides the patch lens of a cell, besides its model and stimuli; see :meth:`planned`."""
        return lens_grid.planned_lens(self, cell)

    def pooled_cells(self) -> list[PooledCell]:
        """Every model x task that is probed over image tokens; see :class:`layerwise.config.pooled.Pooled`."""
        return pooled_grid.pooled_cells(self)

    def tokens_cells(self) -> list[TokensCell]:
        """The models whose image tokens are kept, of pictures of a stimulus set."""
        return pooled_grid.tokens_cells(self)

    def planned_tokens(self, cell: TokensCell) -> dict[str, Any]:
        """What decides the kept image tokens of a cell, besides its model and stimuli; see :meth:`planned`."""
        return pooled_grid.planned_tokens(self, cell)

    def sites(self, model: str, prompt: str) -> list[str]:
        """The sites within blocks that are kept for a cell."""
        states = self.config.states
        models, prompts = states.sites_of.models, states.sites_of.prompts
        if model not in (self._base_models if models is None else models):
            return []
        if self.config.models[model].draw_of is not None:
            return []
        if prompts is not None and prompt not in prompts:
            return []
        return [site for site in states.sites if site != "block"]

    def pictures(self, stimuli: str) -> int:
        """How many pictures each item of a stimulus set shows."""
        entry = self.config.stimuli[stimuli]
        return KINDS[entry.kind].pictures(entry)

    def picture_positions(self, stimuli: str, prompt: str) -> list[str]:
        """The positions of single pictures that are kept for a cell: none where items have one picture.

        They count the pictures that the prompt shows.
        """
        n_pictures = self.pictures(stimuli)
        if EACH_PICTURE not in self.config.states.positions or n_pictures == 1:
            return []
        return [picture_position(number + 1) for number in range(self.prompt(stimuli, prompt).shows(n_pictures))]

    def positions(self, stimuli: str, prompt: str) -> list[str]:
        """The token positions that are kept for a cell; probes read the first. A prompt without images has no token of
        one."""
        kept = [position for position in self.config.states.positions if position != EACH_PICTURE]
        if self.is_text_only(stimuli, prompt):
            return [position for position in kept if position != ALL_PICTURES]
        return kept + self.picture_positions(stimuli, prompt)

    def position_cells(self) -> list[ProbeCell]:
        """The probe cells in which the positions of single pictures are probed, too: those of models without
        intervention whose prompt shows an item's own pictures. Draws of random weights have none."""
        return [
            cell
            for cell in self.probe_cells()
            if cell.model in self._base_models
            and self.config.models[cell.model].draw_of is None
            and self.prompt(self.config.tasks[cell.task].stimuli, cell.prompt).is_own
            and self.picture_positions(self.config.tasks[cell.task].stimuli, cell.prompt)
        ]

    def position_probes(self) -> list[PositionProbes]:
        """The probe cells with each further position at which their task is probed; see ``tasks.NAME.positions``."""
        return list(self._position_probes)

    def position_states(self) -> list[PositionStates]:
        """The states at further positions that no main file holds."""
        return list(self._position_states)

    def planned_position(self, cell: PositionStates) -> dict[str, Any]:
        """What decides the states of a cell at a further position; see :meth:`planned`."""
        return position_grid.planned_at(self, cell)

    def picture_controls(self) -> list[ProbeCell]:
        """The probe cells that are compared with the same words and other pictures than an item's own, or none.

        Items have several pictures there. Models have no intervention, and are nobody's untrained twin.
        """
        own_twins = {twin for of_model in self.twins().values() for twin in of_model}
        wordings: dict[tuple[str, str, str], set[bool]] = {}
        found = []
        for cell in self.probe_cells():
            stimuli = self.config.tasks[cell.task].stimuli
            if self.pictures(stimuli) > 1 and cell.model in self._base_models and cell.model not in own_twins:
                prompt = self.prompt(stimuli, cell.prompt)
                wordings.setdefault((cell.model, cell.task, prompt.text), set()).add(prompt.is_own)
                found.append((cell, prompt))
        return [
            cell for cell, prompt in found if prompt.is_own and len(wordings[cell.model, cell.task, prompt.text]) == 2
        ]

    def planned(self, model: str, stimuli: str, prompt: str) -> dict[str, Any]:
        """What decides the hidden states of a cell, besides its model and stimuli.

        This holds nothing that only a job can find out, such as digests of files, because Snakemake computes and
        records params when it plans. A change of model or stimuli shows in their folders' names
        (:mod:`layerwise.planning.recipes`); the job itself compares digests (:mod:`layerwise.states.cells`).
        """
        # A cell without sites has no such key, so that states from before there were sites stay valid.
        sites = self.sites(model, prompt)
        return (
            ({"sites": sites} if sites else {})
            | {
                "model": model,
                "stimuli": stimuli,
                "prompt": prompt,
                "prompt_entry": self.prompt(stimuli, prompt).shown(),
                # Sorted, because states do not depend on the order. Only probes do: they read the first position.
                "positions": sorted(self.positions(stimuli, prompt)),
                "dtype": self.config.states.dtype,
                "code": code_digest("extract_states.py", *model_files(self.config, model)),
            }
            | self._fitted_by(model)
        )

    def planned_writing(self, model: str, stimuli: str, prompt: str) -> dict[str, Any]:
        """What decides what a model writes in a cell, besides the model and its stimuli; see :meth:`planned`."""
        entry = self.prompt(stimuli, prompt)
        return {
            "model": model,
            "stimuli": stimuli,
            "prompt": prompt,
            "prompt_entry": entry.shown(),
            "most_tokens": entry.generate,
            "code": code_digest("generate_answers.py", *model_files(self.config, model)),
        }

    def planned_flow(self, model: str, questions: str) -> dict[str, Any]:
        """What decides the measured flow of a cell, besides its model and questions; see :meth:`planned`."""
        by_head = self.config.flow.heads
        # Without heads there is no such key, so that cells from before there were any stay as they are.
        heads = {} if by_head is None else {"heads": by_head.entry()}
        return {
            "model": model,
            "questions": questions,
            "prompt_entry": self.questions_prompt(questions).shown(),
            "window": self.window(model),
            "question_tokens": self.config.flow.question_tokens,
            **heads,
            "code": code_digest("trace_flow.py", adapter_file(self.config, model)),
        }

    def window(self, model: str) -> int:
        """The number of neighbouring blocks in which a model's attention is blocked at a time."""
        return self.config.flow.models[model].window

    def base_models(self) -> list[str]:
        """Names of the models that run as they are, without an intervention."""
        return list(self._base_models)

    def draws(self) -> dict[str, str]:
        """By model that is one of several draws the name of their entry."""
        entries = self.config.models.items()
        return {name: entry.draw_of for name, entry in entries if entry.draw_of is not None}

    def base_of(self, model: str) -> str | None:
        """The model without an intervention that has all other keys of one with an intervention; None if there is
        none."""
        computed = self._computed(model)
        return next((name for name in self._base_models if self._computed(name) == computed), None)

    def fitted_on(self, model: str) -> FittedOn | None:
        """What the concept of a model's intervention is fitted to; None for models that need no concept."""
        intervention, base = self.config.models[model].intervention, self.base_of(model)
        if intervention is None or base is None or INTERVENTIONS[intervention.kind].fitted != "concept":
            return None
        how = intervention.how.entry()
        return FittedOn(ProbeCell(base, how["task"], how["prompt"]), how["at"], how["block"])

    def twins(self) -> dict[str, list[str]]:
        """By model without intervention the names of its untrained twins, several if there are several draws.

        A twin has the same architecture and reads the same inputs. All models that the workflow trains have one
        architecture. Models without a twin are left out.
        """
        of_kind: dict[tuple, dict[str, list[str]]] = {}
        for name in self._base_models:
            entry = self.config.models[name]
            same = (entry.source, entry.revision, entry.adapter, entry.conversation)
            of_kind.setdefault(same, {"pretrained": [], "random": []})[entry.weights].append(name)
        pairs = [(model, kind["random"]) for kind in of_kind.values() for model in kind["pretrained"] if kind["random"]]
        order = self._base_models.index
        return dict(sorted(pairs, key=lambda pair: order(pair[0])))

    def intervened(self, kinds: Collection[str]) -> list[str]:
        """Names of the models with an intervention of one of these kinds."""
        models = self.config.models.items()
        return [name for name, model in models if model.intervention is not None and model.intervention.kind in kinds]

    def asked_tasks(self) -> list[str]:
        """Names of the tasks that are asked of some model. An included recipe may have more than a study needs."""
        asked = {task for model in self.config.models for task in self.tasks_of(model)}
        return [name for name in self.config.tasks if name in asked]

    def used_stimuli(self) -> list[str]:
        """Names of the stimulus sets that some task reads which is asked of a model."""
        used = {self.config.tasks[name].stimuli for name in self.asked_tasks()}
        return [name for name in self.config.stimuli if name in used]

    def class_tasks(self) -> list[str]:
        """Names of the tasks that are asked, and whose labels are classes."""
        return [name for name in self.asked_tasks() if not self.config.tasks[name].is_number]

    def number_tasks(self) -> list[str]:
        """Names of the tasks that are asked, and whose labels are numbers."""
        return [name for name in self.asked_tasks() if self.config.tasks[name].is_number]

    def unseen_text_tasks(self) -> list[str]:
        """Names of the tasks whose test items have texts that were seen in training and texts that were not."""
        return [name for name, task in self.config.tasks.items() if task.split.unseen_texts is not None]

    def tasks_in_parts(self) -> list[str]:
        """Names of the tasks whose test items are scored in parts.

        They have unseen texts and a prompt that shows them, or a prompt whose words are also read without an image, by
        a model that is nobody's untrained twin.
        """
        own_twins = {twin for of_model in self.twins().values() for twin in of_model}
        unseen, found = set(self.unseen_text_tasks()), set()
        wordings: dict[tuple[str, str, str], set[bool]] = {}
        for cell in self.probe_cells():
            if cell.model not in self._base_models or cell.model in own_twins:
                continue
            stimuli = self.config.tasks[cell.task].stimuli
            text = self.prompt(stimuli, cell.prompt).text
            images = wordings.setdefault((cell.model, cell.task, text), set())
            images.add(self.is_text_only(stimuli, cell.prompt))
            if len(images) == 2 or (cell.task in unseen and shows_text(text)):
                found.add(cell.task)
        return [task for task in self.class_tasks() if task in found]

    def tasks_about(self, question: str) -> list[str]:
        """Names of the tasks about classes whose question is ``global`` or ``local``."""
        return [name for name in self.class_tasks() if self.config.tasks[name].question == question]

    def prompt(self, stimuli: str, prompt: str) -> Prompt:
        """A prompt of a stimulus set."""
        return self.config.prompts[self.config.stimuli[stimuli].kind][prompt]

    def is_text_only(self, stimuli: str, prompt: str) -> bool:
        """Whether a prompt of a stimulus set shows no image."""
        return self.prompt(stimuli, prompt).image == "none"

    def sees(self, model: str) -> bool:
        """Whether a model sees images. A language model does not, and is asked text-only prompts alone."""
        return not is_text(self.config.models[model].adapter)

    def made_from(self) -> dict[str, str]:
        """By multimodal model without intervention the name of the language model that it was made from."""
        made = {name: self.config.models[name].made_from for name in self._base_models}
        return {name: base for name, base in made.items() if base is not None}

    def made_from_cells(self) -> list[ProbeCell]:
        """The probe cells of models that were made from a language model, and have the same cell of that one."""
        made, cells = self.made_from(), self.probe_cells()
        known = set(cells)
        return [cell for cell in cells if cell.model in made and ProbeCell(made[cell.model], *cell[1:]) in known]

    def tasks_of(self, model: str) -> list[str]:
        """Names of the tasks that are asked of a model."""
        only = self.config.models[model].tasks
        return [task for task in self.config.tasks if only is None or task in only]

    def prompts(self, stimuli: str) -> dict[str, Prompt]:
        """All prompts of a stimulus set."""
        return {name: self.prompt(stimuli, name) for name in self.config.stimuli[stimuli].prompts}

    def questions_prompt(self, questions: str) -> Prompt:
        """The prompt of a set of questions."""
        entry = self.config.flow.questions[questions]
        return self.config.prompts[self.prompts_of(questions)][entry.prompt]

    def had_by_questions(self, questions: str) -> frozenset[str]:
        """See :func:`had_by_questions`."""
        return had_by_questions(self.config, questions)

    def prompts_of(self, questions: str) -> str:
        """The section of `prompts` that a set of questions is wrapped in."""
        entry = self.config.flow.questions[questions]
        return TABLE_PROMPTS if isinstance(entry, TableQuestions) else self.config.datasets[entry.dataset].format

    def unused(self) -> list[str]:
        """Keys that have no effect in this study, for a warning."""
        said = []
        for name in self.used_stimuli():
            entry = self.config.stimuli[name]
            said += KINDS[entry.kind].unused(f"stimuli.{name}", entry, list(self.prompts(name).values()))
            asked = [prompt for prompt, wording in self.prompts(name).items() if wording.answers]
            if asked and "last" not in self.config.states.positions:
                said.append(
                    f"stimuli.{name}.prompts: how probable the answers to {', '.join(asked)} are is read at the last "
                    "token, which is not kept; add last to states.positions to read them"
                )
        numbers = [
            name
            for name in self.number_tasks()
            if EACH_PICTURE in self.config.states.positions and self.pictures(self.config.tasks[name].stimuli) > 1
        ]
        if numbers:
            said.append(
                f"states.positions: {EACH_PICTURE} is kept but not probed in tasks about numbers "
                f"({', '.join(numbers)}); single pictures have probes in tasks about classes alone"
            )
        compared = {cell.model for cell in self.made_from_cells()}
        for name, base in self.made_from().items():
            if name not in compared:
                said.append(
                    f"models.{name}.made_from has no effect: no prompt without an image is asked of both {name} and "
                    f"{base} in a task about classes"
                )
        if (self.config.carry.tasks or self.config.carry.labels) and not self.config.probes.keep:
            said.append("carry has no effect, because `probes.keep` is false")
        return said

    def classes_of(self, task: str) -> Sequence[str] | None:
        """The classes of a task in index order, as far as the config alone tells them; else None."""
        entry = self.config.tasks[task]
        if entry.classes is not None:
            return entry.classes
        if entry.knowledge is not None:
            return RELATIONS[entry.knowledge.about][1] if entry.knowledge.about in RELATIONS else None
        stimuli = self.config.stimuli[entry.stimuli]
        return KINDS[stimuli.kind].classes_of(stimuli, entry)

    # Cached, because several rules ask.
    @cached_property
    def shortcuts(self) -> list[ShortcutCell]:
        """See :meth:`shortcut_cells`."""
        return shortcut_grid.shortcut_cells(self)

    @cached_property
    def _position_probes(self) -> list[PositionProbes]:
        return position_grid.probes_at(self)

    @cached_property
    def _position_states(self) -> list[PositionStates]:
        return position_grid.states_at(self)

    # Cached, because several rules ask.
    @cached_property
    def _tower(self) -> list[TowerProbeCell]:
        return tower_grid.tower_probe_cells(self)

    # Cached, because planning asks for each job.
    @cached_property
    def _used(self) -> list[ProbeCell]:
        return used_grid.used_cells(self)

    # Cached, because planning asks for each job several times.
    @cached_property
    def _carried(self) -> dict[CarriedCell, list[CarriedFrom]]:
        """All kept probes that read other states, by the cell of these states."""
        if not self.config.probes.keep:
            return {}
        cells = dict.fromkeys(CarriedCell(cell.model, cell.task) for cell in self.probe_cells())
        found = {cell: self._carried_into(*cell) for cell in cells}
        return {cell: carried for cell, carried in found.items() if carried}

    def _carried_into(self, model: str, task: str) -> list[CarriedFrom]:
        carry = self.config.carry
        there = self._carrying
        prompts = there.get((model, task), [])
        origin = self._version_of(model) if carry.versions else None
        found = [
            CarriedFrom("versions", prompt, ProbeCell(origin, task, prompt))
            for prompt in prompts
            if origin is not None and prompt in there.get((origin, task), [])
        ]
        # An intervention is compared with the model as it is, and with nothing else.
        for prompt in prompts if model in self._base_models else ():
            if carry.prompts:
                sources = [ProbeCell(model, task, other) for other in prompts if other != prompt]
                found += [self._from("prompts", task, prompt, source) for source in sources]
            for other, classes in self._same_tasks(task):
                sources = [ProbeCell(model, other, asked) for asked in there.get((model, other), [])]
                found += [self._from("tasks", task, prompt, source, classes) for source in sources]
            if task in carry.labels:
                found.append(CarriedFrom("labels", prompt, ProbeCell(model, task, prompt)))
        return found

    @cached_property
    def _carrying(self) -> dict[tuple[str, str], list[str]]:
        """The prompts of each model and task that is probed."""
        found: dict[tuple[str, str], list[str]] = {}
        for cell in self.probe_cells():
            found.setdefault((cell.model, cell.task), []).append(cell.prompt)
        return found

    def _version_of(self, model: str) -> str | None:
        """The model that another is a version of: the first of the same source that is as it was trained."""
        models = self.config.models

        def source(name: str) -> tuple[str, str | None]:
            return models[name].source, embedded_name(self.config, name)

        for name in self._base_models:
            entry = models[name]
            if source(name) == source(model) and entry.weights != "random" and entry.quantization == "none":
                return None if name == model else name
        return None

    def _same_tasks(self, task: str) -> list[tuple[str, Mapping[str, str] | None]]:
        """The tasks whose probes are carried to a task, and which of their classes is which of its own."""
        found: list[tuple[str, Mapping[str, str] | None]] = []
        for pair in self.config.carry.tasks:
            if pair.to == task:
                found.append((pair.from_, pair.classes))
            if pair.from_ == task and pair.back:
                back = None if pair.classes is None else {there: here for here, there in pair.classes.items()}
                found.append((pair.to, back))
        return found

    def _from(
        self, kind: str, task: str, prompt: str, source: ProbeCell, classes: Mapping[str, str] | None = None
    ) -> CarriedFrom:
        """Probes of another prompt, with flipped classes where one of the two prompts negates."""
        stimuli = self.config.tasks[task].stimuli, self.config.tasks[source.task].stimuli
        here, there = self.prompt(stimuli[0], prompt), self.prompt(stimuli[1], source.prompt)
        flipped = None
        if bool(here.negates) != bool(there.negates):
            # A table's classes are known only when it is read: then those that have answers are flipped.
            own = self.classes_of(task) or tuple(here.answers or ())
            others = self.classes_of(source.task) or tuple(there.answers or ())
            named = classes or {name: name for name in others if name in own}
            flipped = _flipped(named, here.answers or {}, there.answers or {})
        return CarriedFrom(kind, prompt, source, classes, flipped)

    def _fitted_by(self, model: str) -> dict[str, str]:
        """The code that fits what a model's intervention needs; what it is fitted to, the job finds out by content."""
        if (route := self.route_of(model)) is not None:
            return {"fitted_by": route_grid.route_code(self, route)}
        if (on := self.fitted_on(model)) is None:
            return {}
        if on.at == "last":
            return {"fitted_by": code_digest(*FITTED_BY)}
        return {"fitted_by": code_digest("stream_concept.py", adapter_file(self.config, on.cell.model))}

    def _computed(self, model: str) -> dict[str, Any]:
        """What decides what a model computes, but for its intervention."""
        entry = self.config.models[model]
        seed = seed_of(self.config, model) if entry.weights == "random" else None
        made = {"source": entry.source, "embedded": embedded_name(self.config, model), "seed": seed}
        return made | without(entry.entry(), "intervention", *NOT_COMPUTED)

    def _answers(self, model: str, stimuli: str, prompt: str) -> Mapping[str, Sequence[str]]:
        """The answers that can be read in a cell of states, by class; empty where there are none."""
        # They are read at the last token. What differs between items, or is any other word, has no first token.
        kept = "last" in self.config.states.positions
        answers = used_grid.plain_answers(self.prompt(stimuli, prompt))
        return answers if kept and self._can_answer(model) else {}

    def _can_answer(self, model: str) -> bool:
        """Whether a model's answers mean something, and its adapter shows its output head."""
        entry = self.config.models[model]
        adapter = self.config.adapters.get(entry.adapter)
        return entry.weights != "random" and (adapter is None or adapter.environment != "legacy")

    def _says(self, task: str, answers: Mapping[str, Sequence[str]]) -> bool:
        entry, classes = self.config.tasks[task], self.classes_of(task)
        if classes is None:
            # A table's classes are known only when it is read. Measured quantities are no words.
            stimuli = self.config.stimuli[entry.stimuli]
            of_others = KINDS[stimuli.kind].asks_of_others(stimuli, entry, answers)
            return bool(answers) and entry.knowledge is None and not of_others
        return set(classes) <= set(answers)

    def _task_cells(self) -> list[ProbeCell]:
        """Every model x task x prompt of the task's stimuli."""
        return [
            ProbeCell(model, task, prompt)
            for model in self.config.models
            for task in self.tasks_of(model)
            for prompt in self._prompts_of(model, self.config.tasks[task].stimuli)
        ]

    def _prompts_of(self, model: str, stimuli: str) -> list[str]:
        prompts, only = self.config.stimuli[stimuli].prompts, self.config.models[model].prompts
        asked = [prompt for prompt in prompts if only is None or prompt in only]
        return asked if self.sees(model) else [prompt for prompt in asked if self.is_text_only(stimuli, prompt)]


def in_short(carried: Sequence[CarriedFrom]) -> list[dict[str, Any]]:
    """Carried probes as JSON has them: those that differ only in the source's prompt are one entry, so that all of a
    task fit on a command line."""
    found: dict[str, dict[str, Any]] = {}
    for each in carried:
        entry = {key: value for key, value in each._asdict().items() if value is not None}
        entry |= {"source": [each.source.model, each.source.task]}
        found.setdefault(as_json(entry), entry | {"source_prompts": []})["source_prompts"].append(each.source.prompt)
    return list(found.values())


def as_patterns(cells: Sequence[ProbeCell]) -> list[str]:
    """Cells as a few MODELS/TASK/PROMPTS with commas between names, because those of a large study do not fit into one
    argument of a command line (128 KiB). :func:`layerwise.compare.statistics.answered.named_cells` reads them."""
    by_model: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        by_model.setdefault(cell.model, {}).setdefault(cell.task, []).append(cell.prompt)
    return [
        f"{names}/{task}/{','.join(prompts)}"
        for tasks, models in groupby(by_model, key=by_model.__getitem__)
        for names in [",".join(models)]
        for task, prompts in tasks.items()
    ]


def _flipped(
    classes: Mapping[str, str], here: Mapping[str, Sequence[str]], there: Mapping[str, Sequence[str]]
) -> Mapping[str, str] | None:
    """Classes that are answered alike by two prompts, of which one negates.

    Args:
        classes: which class of the source means which of the target.
        here, there: the answers of the target's and the source's prompt, by class.

    Returns:
        By class of the source; None where no classes are known, or where there are more than two and the answers do not
        tell.
    """
    if not classes:
        return None
    by_words = {
        name: other
        for name in classes
        for other in classes.values()
        if name in there and other in here and set(there[name]) & set(here[other])
    }
    if len(by_words) == len(classes) == len(set(by_words.values())):
        return by_words
    if len(classes) == 2:
        (first, other), (second, another) = classes.items()
        return {first: another, second: other}
    return None


def had_by_questions(config: StudyConfig, questions: str) -> frozenset[str]:
    """What the questions of a set have: "boxes", "pictures" (several), "spans" and "distractors"."""
    entry = config.flow.questions[questions]
    if not isinstance(entry, TableQuestions):
        return frozenset({"boxes"})
    has = entry.has | {"pictures": entry.has["pictures"] > 1}
    return frozenset(name for name, had in has.items() if had)
