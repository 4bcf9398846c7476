"""What is refused when a study is planned: entries that refer to something missing, or do not fit each other.

What a single entry may say is checked when it is read (:mod:`layerwise.config`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from layerwise.config.data import FolderEntry
from layerwise.config.flow import TABLE_PROMPTS, TableQuestions
from layerwise.config.models import Intervention, Model
from layerwise.config.prompts import Prompt
from layerwise.config.stimuli import StimuliEntry
from layerwise.config.study import StudyConfig
from layerwise.config.tasks import R2, Task
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.datasets.disk import is_dir
from layerwise.datasets.locations import Locations
from layerwise.datasets.question_table import check_table
from layerwise.embedded_models import embedded_name
from layerwise.errors import InputError
from layerwise.models.families import is_measured, is_text
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.picture_checks import one_picture_by_adapter, one_picture_by_folder
from layerwise.models.site_names import ALL_PICTURES
from layerwise.planning.grid import EACH_PICTURE, Grid, StatesCell, had_by_questions
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.kind import LIST, PLACEHOLDER
from layerwise.stimuli.picture_places import IMAGE, check_places
from layerwise.stimuli.question_prompts import check_behind_pictures, check_wording

Found = TypeVar("Found")

# Names of other sets of a question's tokens.
NO_SPANS = ("image", "object", "other", "question", "last")


def check_study(grid: Grid, data: Locations) -> None:
    """Refuse a study that cannot be run.

    Args:
        grid: its cells.
        data: where its data sets lie.

    Raises:
        InputError: naming the key and what is known.
    """
    config = grid.config
    if not config.tasks and not config.flow.questions:
        raise InputError("the config asks for nothing: give `stimuli` and `tasks` to probe for, or `flow` (or both)")
    for name in config.stimuli:
        _check_stimuli(config, data, name)
    for name in config.tasks:
        _check_task(config, name)
    _check_embedded(config)
    for name, model in config.models.items():
        _check_model(name, model, sees=grid.sees(name))
        _check_processor(name, model)
        check_prompt_names(config, f"models.{name}.prompts", model.prompts or [])
        for task in model.tasks or []:
            find(config.tasks, task, f"models.{name}.tasks", "`tasks`")
        if not grid.sees(name):
            _check_language_model(grid, name)
        if model.intervention is not None:
            _check_intervention(grid, name)
        if model.made_from is not None:
            _check_made_from(grid, name, model.made_from)
    _check_positions(config)
    _check_sites(grid)
    _check_kinds(grid)
    _check_specifications(grid)
    for cell in grid.states_cells():
        _check_cell(grid, cell)
    _check_carry(grid)
    _check_flow(config, data)
    for name in config.explore.linked:
        find(config.stimuli, name, "explore.linked", "`stimuli`")


def find(entries: dict[str, Found], name: str, where: str, section: str | None = None) -> Found:
    """The entry of a name.

    Args:
        entries: to look in.
        name: of the entry.
        where: the key that names it.
        section: what the entries are called.

    Raises:
        InputError: when there is none, naming those that there are.
    """
    if name not in entries:
        known = ", ".join(entries) or "nothing"
        raise InputError(f"{where}: there is no {name!r}; {section or 'the config'} has {known}")
    return entries[name]


def _check_stimuli(config: StudyConfig, data: Locations, name: str) -> None:
    entry, where = config.stimuli[name], f"stimuli.{name}"
    kind, prompts = KINDS[entry.kind], config.prompts.get(entry.kind, {})
    kind.check(where, entry, data)
    for prompt in entry.prompts:
        wording = find(prompts, prompt, f"{where}.prompts", f"prompts.{entry.kind}")
        of_prompt = f"prompts.{entry.kind}.{prompt}"
        try:
            _check_number_of_pictures(of_prompt, wording, entry)
            kind.check_prompt(of_prompt, wording, entry)
        except InputError as error:
            # Several sets may name the prompt, and it may fit the others.
            raise InputError(f"{error} ({where} names this prompt)") from error
        _check_answers(config, name, of_prompt, wording)
        if wording.image == "none" and config.states.positions[0] == ALL_PICTURES:
            raise InputError(
                f"{of_prompt}: without an image (`image: none`) there is no position {ALL_PICTURES}, and probes read "
                "the first of `states.positions`; name last before it"
            )


def _check_answers(config: StudyConfig, stimuli: str, where: str, wording: Prompt) -> None:
    """The answers to a prompt name classes that can be told apart."""
    answers = wording.answers
    if answers is None:
        if wording.generate is not None:
            raise InputError(
                f"{where}.generate: there are no `answers` to look for in what the model writes; give them, or leave "
                "it out"
            )
        return
    where = f"{where}.answers"
    if len(answers) < 2:
        raise InputError(f'{where}: give words for two classes or more, such as {{match: ["yes"], mismatch: ["no"]}}')
    known = _classes_asked(config, stimuli)
    if known and (unknown := [name for name in answers if name not in known]):
        raise InputError(f"{where}: there is no class {unknown[0]!r}; stimuli.{stimuli} has {', '.join(known)}")
    said: dict[str, str] = {}
    for name, word in ((name, word.strip().lower()) for name, words in answers.items() for word in words):
        if not word:
            raise InputError(f"{where}.{name}: an answer of blanks says nothing; leave it out")
        if said.setdefault(word, name) != name:
            raise InputError(f"{where}: {word!r} says both {said[word]} and {name}; leave it out of one")
    _check_looked_for(KINDS[config.stimuli[stimuli].kind].allowed - {LIST}, where, wording.generate, answers)


def _check_looked_for(
    allowed: frozenset[str], where: str, generate: int | None, answers: Mapping[str, Sequence[str]]
) -> None:
    """Answers with placeholders, and classes that are any other answer, are only found in what a model writes."""
    rest = [name for name, words in answers.items() if not words]
    if len(rest) > 1:
        raise InputError(f"{where}: {rest[0]} and {rest[1]} have no words; only one class can be any other answer")
    held = {found for words in answers.values() for word in words for found in PLACEHOLDER.findall(word)}
    if unknown := held - allowed:
        names = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "no placeholders"
        raise InputError(f"{where}: unknown placeholder {{{min(unknown)}}}; answers may hold {names}")
    if (rest or held) and generate is None:
        raise InputError(
            f"{where}: {'a class without words' if rest else 'words with placeholders'} can only be found in what the "
            "model writes; add `generate`, the number of tokens that it may write"
        )


def _check_number_of_pictures(where: str, prompt: Prompt, entry: StimuliEntry) -> None:
    """A place of a second picture, where a table shows one: a key is missing rather than a place too many."""
    if entry.kind != "table" or KINDS["table"].pictures(entry) > 1:
        return
    if far := [number for number in IMAGE.findall(prompt.text) if number != "1"]:
        raise InputError(
            f"{where}: the prompt has a place for {{image {far[0]}}}, but items of its stimulus set show one picture; "
            "name a column for each picture (`image_column: [left, right]`), or say how many a cell lists "
            "(`pictures: 3`)"
        )


def _classes_asked(config: StudyConfig, stimuli: str) -> list[str]:
    """The classes that a stimulus set and the tasks over it have; empty where the config alone does not tell."""
    grid = Grid(config)
    asked = [grid.classes_of(name) for name, task in config.tasks.items() if task.stimuli == stimuli]
    entry = config.stimuli[stimuli]
    of_all = [KINDS[entry.kind].classes_of(entry, None), *asked]
    return [] if None in of_all else list(dict.fromkeys(name for some in of_all for name in some or ()))


def _check_unseen_texts(task: Task, where: str, kind: str) -> None:
    if task.split.unseen_texts is None:
        return
    if task.is_number:
        raise InputError(
            f"{where}.split.unseen_texts: parts of the test set are scored for classes alone; leave it out"
        )
    if KINDS[kind].asks_category and task.knowledge is None:
        raise InputError(
            f"{where}.split.unseen_texts: each category of {kind} is a label of its own with one text, so that no "
            "probe could be fitted for an unseen one; leave it out"
        )


def _check_task(config: StudyConfig, name: str) -> None:
    task, where = config.tasks[name], f"tasks.{name}"
    entry = find(config.stimuli, task.stimuli, f"{where}.stimuli")
    KINDS[entry.kind].check_task(where, task, entry, task.stimuli)
    _check_unseen_texts(task, where, entry.kind)
    if task.split.by == "random" and task.split.val + task.split.test >= 1:
        raise InputError(f"{where}.split: val and test together leave nothing to train on")
    of_items = task.knowledge is None and bool(KINDS[entry.kind].numbers(entry))
    _check_numbers(task, where, can_be_numbers=task.knowledge is not None or of_items)


def _check_numbers(task: Task, where: str, can_be_numbers: bool) -> None:
    if not (task.is_number and can_be_numbers):
        if task.metric == R2:
            raise InputError(
                f"{where}.metric: {R2} is for numbers, and this task has classes; take {', '.join(METRICS)}"
            )
        return
    if task.metric != R2:
        raise InputError(f"{where}.metric: the labels are numbers; write `metric: {R2}`")
    if task.classes is not None:
        raise InputError(f"{where}.classes: the labels are numbers and have no classes; leave it out")
    if task.split.seeds is not None:
        raise InputError(f"{where}.split.seeds: numbers are read under one split; leave it out")


def _check_embedded(config: StudyConfig) -> None:
    """Every model that is to be trained is one of `models`, and every model that is named is there."""
    used = {embedded_name(config, model) for model in config.models}
    for name in config.embedded_models:
        if name not in used:
            raise InputError(
                f"embedded_models.{name}: no model uses it; add `models: {{{name}: {{source: embedded, embedded: "
                f"{name}}}}}`, or leave it out"
            )


def _check_model(name: str, model: Model, sees: bool) -> None:
    where = f"models.{name}"
    if model.conversation not in ("auto", "chat"):
        for placeholder in ("<image>", "{prompt}"):
            # For a language model <image> stands for nothing, so that it can have a multimodal model's conversation.
            needless = placeholder == "<image>" and not sees and placeholder not in model.conversation
            if model.conversation.count(placeholder) != 1 and not needless:
                raise InputError(f"{where}.conversation: {model.conversation!r} must hold {placeholder} exactly once")
    if model.weights == "random":
        for key, given in (("quantization", model.quantization != "none"), ("convert", model.convert is not None)):
            if given:
                raise InputError(f"{where}.{key}: a model with random weights has none to load; leave it out")
    if model.seed is not None and model.weights != "random":
        raise InputError(f"{where}.seed: it draws random weights; add `weights: random`, or leave it out")
    if model.embedded is not None and model.source != "embedded":
        raise InputError(f"{where}.embedded: only with `source: embedded`; leave it out")
    if model.source == "embedded" and model.convert is not None:
        raise InputError(f"{where}.convert: the embedded model is saved as safetensors; leave it out")
    if model.source == "embedded" or is_dir(model.source):
        if model.revision is not None:
            raise InputError(f"{where}.revision: only a Hugging Face id has revisions, and {model.source!r} is none")
        return
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", model.source):
        raise InputError(
            f"{where}.source: {model.source!r} is neither an existing folder, nor a Hugging Face id "
            "(organisation/name), nor the word embedded"
        )
    if model.trust_remote_code and not re.fullmatch(r"[0-9a-f]{40}", model.revision or ""):
        raise InputError(
            f"{where}.trust_remote_code: code from the hub runs only from a commit that you chose; give its 40 "
            "digits as `revision`"
        )


def _check_processor(name: str, model: Model) -> None:
    """A model whose image processor is given other settings has one of transformers, and was not trained here."""
    if model.processor is None:
        return
    where = f"models.{name}.processor"
    if is_text(model.adapter):
        raise InputError(f"{where}: a language model is shown no picture; leave it out")
    if not is_measured(model.adapter):
        raise InputError(
            f"{where}: the adapter {model.adapter!r} makes the pixels with its authors' code; leave it out"
        )
    if model.source == "embedded":
        raise InputError(f"{where}: the embedded model is trained on pictures of one size; leave it out")


def _check_language_model(grid: Grid, name: str) -> None:
    """Nothing asks it for a picture, and it has prompts without one."""
    model, where = grid.config.models[name], f"models.{name}"
    if model.source == "embedded":
        raise InputError(f"{where}.adapter: the embedded model sees pictures; leave `adapter` out")
    if model.image_processor is not None:
        raise InputError(f"{where}.image_processor: a language model is shown no picture; leave it out")
    if model.made_from is not None:
        raise InputError(
            f"{where}.made_from: this is a language model itself; give the key to the multimodal model that was made "
            "from it"
        )
    if model.intervention is not None and _is_on_image(model.intervention):
        raise InputError(
            f"{where}.intervention.{model.intervention.kind}: it changes the image, and a language model is shown "
            "none; leave the entry out"
        )
    for stimuli in dict.fromkeys(grid.config.tasks[task].stimuli for task in grid.tasks_of(name)):
        for prompt in grid.config.stimuli[stimuli].prompts:
            if prompt in (model.prompts or ()) and not grid.is_text_only(stimuli, prompt):
                raise InputError(
                    f"{where}.prompts: the prompt {prompt} of stimuli.{stimuli} shows a picture, and a language model "
                    "sees none; name prompts with `image: none`, or leave `prompts` out to ask it all of these"
                )
    if not any(cell.model == name for cell in grid.states_cells()):
        raise InputError(
            f"{where}: a language model is asked prompts without a picture, and its tasks have none; name a prompt "
            "with `image: none` in their stimulus sets, or leave the model out"
        )


def _check_made_from(grid: Grid, name: str, base: str) -> None:
    where = f"models.{name}.made_from"
    entry = find(grid.config.models, base, where, "`models`")
    if grid.sees(base):
        raise InputError(f"{where}: {base} is not a language model; name an entry with `adapter: text`")
    if grid.config.models[name].weights == "random":
        raise InputError(f"{where}: random weights were made from no other model; leave it out")
    if entry.weights == "random" or entry.intervention is not None:
        raise InputError(
            f"{where}: {base} has random weights or an intervention; name the language model as it was trained"
        )


def _check_specifications(grid: Grid) -> None:
    """What a specification curve names is there, and its budget holds what the study itself does."""
    config, asked = grid.config, grid.config.specifications
    if asked is None:
        return
    for model in asked.models or []:
        find(dict.fromkeys(grid.base_models()), model, "specifications.models", "`models`, without interventions,")
    for task in asked.tasks or []:
        _find_class_task(config, task, "specifications.tasks")
    check_prompt_names(config, "specifications.prompts", asked.prompts or [])
    # A run without the models that have a curve has none.
    if not grid.specification_cells() and not config.leave_out:
        raise InputError(
            "specifications: no model has a task and a prompt to make a curve of; name some (`models`, `tasks`, "
            "`prompts`), or leave the section out"
        )
    for model, task in grid.specification_cells():
        prompts = grid.specification_prompts(model, task)
        if len(prompts) > asked.budget:
            raise InputError(
                f"specifications.budget: {asked.budget} is less than the {len(prompts)} prompts of the task {task!r}, "
                "whose own specifications are always made; raise it, or name fewer `prompts`"
            )


def _find_class_task(config: StudyConfig, name: str, where: str) -> None:
    if find(config.tasks, name, where, "`tasks`").is_number:
        raise InputError(f"{where}: {name} is about numbers, which ridge regression alone reads; leave it out")


def _is_on_image(intervention: Intervention) -> bool:
    return INTERVENTIONS[intervention.kind].on_image(intervention.how.entry())


def check_prompt_names(config: StudyConfig, where: str, prompts: Iterable[str]) -> None:
    """Refuse names that no stimulus set has among its prompts."""
    known = {prompt for stimuli in config.stimuli.values() for prompt in stimuli.prompts}
    for prompt in prompts:
        find(dict.fromkeys(sorted(known)), prompt, where, "`stimuli`")


def _check_intervention(grid: Grid, name: str) -> None:
    """The adapter serves it, and the same model without it is there to compare with."""
    config, model = grid.config, grid.config.models[name]
    _check_reach(config, name, f"models.{name}.intervention")
    if model.intervention is not None:
        kind = model.intervention.kind
        INTERVENTIONS[kind].check(f"models.{name}.intervention.{kind}", model.intervention.how.entry(), None)
    if grid.base_of(name) is None:
        raise InputError(
            f"models.{name}: an intervention is shown beside the same model without it; add an entry that has all "
            "of this one's keys but `intervention`"
        )


def _check_positions(config: StudyConfig) -> None:
    if config.states.positions[0] == EACH_PICTURE:
        raise InputError(
            f"states.positions: probes read the first position, and {EACH_PICTURE} stands for one of each picture; "
            "name last or image-mean before it"
        )


def _check_sites(grid: Grid) -> None:
    only = grid.config.states.sites_of
    for name in only.models or []:
        find(grid.config.models, name, "states.sites_of.models", "`models`")
    check_prompt_names(grid.config, "states.sites_of.prompts", only.prompts or [])
    for model in {cell.model for cell in grid.site_cells()}:
        _check_reach(grid.config, model, "states.sites")


def _check_kinds(grid: Grid) -> None:
    only = grid.config.probes.kinds_of
    for name in only.models or []:
        find(grid.config.models, name, "probes.kinds_of.models", "`models`")
    for name in only.tasks or []:
        _find_class_task(grid.config, name, "probes.kinds_of.tasks")
    check_prompt_names(grid.config, "probes.kinds_of.prompts", only.prompts or [])


def _check_reach(config: StudyConfig, model: str, where: str) -> None:
    if runs_authors_code(config, model):
        raise InputError(
            f"{where}: the adapter {config.models[model].adapter} of models.{model} runs its authors' code, and does "
            "not reach into its blocks"
        )


def _check_cell(grid: Grid, cell: StatesCell) -> None:
    model = grid.config.models[cell.model]
    pictures = grid.prompt(cell.stimuli, cell.prompt).shows(grid.pictures(cell.stimuli))
    if pictures:
        _check_pictures(grid, cell, pictures)
        return
    if model.intervention is not None and _is_on_image(model.intervention):
        raise InputError(
            f"models.{cell.model}.intervention.{model.intervention.kind}: the prompt {cell.prompt} of "
            f"stimuli.{cell.stimuli} shows no image (`image: none`), so that nothing would be changed; name the other "
            f"prompts in models.{cell.model}.prompts"
        )
    if runs_authors_code(grid.config, cell.model):
        raise InputError(
            f"stimuli.{cell.stimuli}.prompts: {cell.prompt} shows no image, but the adapter {model.adapter} of "
            f"models.{cell.model} reads no text without one; use `image: blank`, or a study without this model"
        )


def _check_pictures(grid: Grid, cell: StatesCell, pictures: int) -> None:
    """The model takes so many pictures in a text, and has the one that its intervention is about."""
    model = grid.config.models[cell.model]
    prompt = f"the prompt {cell.prompt} of stimuli.{cell.stimuli}"
    if pictures > 1 and (why := one_picture_by_adapter(model.adapter)):
        raise InputError(
            f"models.{cell.model}: {prompt} shows {pictures} pictures, and models with the adapter {model.adapter} "
            f"take one: {why}; leave the model out of these tasks (models.{cell.model}.tasks), or name the prompts "
            f"that show one picture in models.{cell.model}.prompts"
        )
    if pictures > 1 and (why := one_picture_by_folder(model.source)):
        raise InputError(
            f"models.{cell.model}: {prompt} shows {pictures} pictures, and the model in {model.source} takes one: "
            f"{why}; leave it out of these tasks (models.{cell.model}.tasks), or name the prompts that show one "
            f"picture in models.{cell.model}.prompts"
        )
    if model.intervention is None:
        return
    number = model.intervention.how.entry().get("image")
    if number is not None and number > pictures:
        shows = "one picture" if pictures == 1 else f"{pictures} pictures"
        raise InputError(
            f"models.{cell.model}.intervention.{model.intervention.kind}.image: {prompt} shows {shows}, so that there "
            f"is no picture {number} to change; name the other prompts in models.{cell.model}.prompts"
        )


def _check_carry(grid: Grid) -> None:
    config = grid.config
    for place, pair in enumerate(config.carry.tasks):
        where = f"carry.tasks.{place}"
        for key, task in (("from", pair.from_), ("to", pair.to)):
            if find(config.tasks, task, f"{where}.{key}", "`tasks`").is_number:
                raise InputError(f"{where}.{key}: {task} is about numbers, and only probes of classes are carried")
        if pair.from_ == pair.to:
            raise InputError(f"{where}: `from` and `to` are both {pair.to}; name two tasks")
        here, there = grid.classes_of(pair.from_), grid.classes_of(pair.to)
        if pair.classes is None:
            if here is not None and there is not None and len(set(here) & set(there)) < 2:
                raise InputError(
                    f"{where}: {pair.from_} has the classes {', '.join(here)}, and {pair.to} has {', '.join(there)}; "
                    f"say which mean the same, as in `classes: {{{here[0]}: {there[0]}, {here[1]}: {there[1]}}}`"
                )
            continue
        if len(pair.classes) < 2:
            raise InputError(f"{where}.classes: a probe needs two classes; name another one")
        if len(set(pair.classes.values())) < len(pair.classes):
            raise InputError(f"{where}.classes: two classes of {pair.from_} are one of {pair.to}; name each once")
        for task, known, names in ((pair.from_, here, pair.classes.keys()), (pair.to, there, pair.classes.values())):
            if known is not None and (missing := [name for name in names if name not in known]):
                raise InputError(
                    f"{where}.classes: the task {task} has no class {missing[0]!r}; it has {', '.join(known)}"
                )
    for task in config.carry.labels:
        entry = find(config.tasks, task, "carry.labels", "`tasks`")
        if entry.is_number:
            raise InputError(f"carry.labels: {task} is about numbers, and only probes of classes are carried")
        stimuli = config.stimuli[entry.stimuli]
        kind = KINDS[stimuli.kind]
        if entry.knowledge is None and not kind.asks_category and kind.labels(stimuli, entry) == 1:
            raise InputError(f"carry.labels: the task {task} has only one label; leave it out")


def _check_flow(config: StudyConfig, data: Locations) -> None:
    flow = config.flow
    for key, given, other, missing in (
        ("questions", flow.questions, "models", not flow.models),
        ("models", flow.models, "questions", not flow.questions),
    ):
        if given and missing:
            raise InputError(f"flow.{other}: there are none, though flow.{key} has {', '.join(given)}")
    for name in flow.questions:
        _check_questions(config, data, name)
    for name in flow.models:
        where = f"flow.models.{name}"
        model = find(config.models, name, where, "models")
        if is_text(model.adapter):
            raise InputError(
                f"{where}: flows start at the question's image, and a language model sees none; leave it out"
            )
        if model.intervention is not None:
            raise InputError(f"{where}: attention is blocked in models without an intervention; leave it out")
        if runs_authors_code(config, name):
            raise InputError(
                f"{where}: its adapter {model.adapter} runs code whose attention is not blocked; leave it out"
            )
        several = [asked for asked in flow.questions if "pictures" in had_by_questions(config, asked)]
        if several and (why := one_picture_by_adapter(model.adapter)):
            raise InputError(
                f"{where}: flow.questions.{several[0]} shows several pictures, and models with the adapter "
                f"{model.adapter} take one: {why}; leave the model out, or ask about one picture"
            )
        if several and (why := one_picture_by_folder(model.source)):
            raise InputError(
                f"{where}: flow.questions.{several[0]} shows several pictures, and the model in {model.source} takes "
                f"one: {why}; leave the model out, or ask about one picture"
            )


def _check_questions(config: StudyConfig, data: Locations, name: str) -> None:
    where, entry = f"flow.questions.{name}", config.flow.questions[name]
    if isinstance(entry, TableQuestions):
        _check_table_questions(config, where, entry)
        return
    dataset = find(config.datasets, entry.dataset, f"{where}.dataset")
    if dataset.format not in QUESTIONS:
        raise InputError(
            f"{where}.dataset: questions are read from data sets of format {' or '.join(QUESTIONS)}, and "
            f"{entry.dataset} is {dataset.format}"
        )
    if isinstance(dataset, FolderEntry) and dataset.world is None and dataset.annotations is not None:
        try:
            QUESTIONS[dataset.format].check(dataset.annotations, entry.types)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    section = f"prompts.{dataset.format}"
    prompt = find(config.prompts.get(dataset.format, {}), entry.prompt, f"{where}.prompt", section)
    if set(PLACEHOLDER.findall(prompt.text)) != {"text"}:
        raise InputError(
            f"{section}.{entry.prompt}: the prompt needs {{text}}, which stands for the question, and nothing else"
        )
    check_places(f"{section}.{entry.prompt}", prompt.text, 1)
    check_behind_pictures(f"{section}.{entry.prompt}", prompt.text)
    _check_own_pictures(f"{section}.{entry.prompt}", prompt)


def _check_table_questions(config: StudyConfig, where: str, entry: TableQuestions) -> None:
    section = f"prompts.{TABLE_PROMPTS}"
    prompt = find(config.prompts.get(TABLE_PROMPTS, {}), entry.prompt, f"{where}.prompt", section)
    check_wording(f"{section}.{entry.prompt}", prompt.text, len(entry.image_columns), bool(entry.option_columns))
    _check_own_pictures(f"{section}.{entry.prompt}", prompt)
    if taken := [name for name in entry.spans if name in NO_SPANS]:
        raise InputError(f"{where}.spans.{taken[0]}: a flow's name would have two meanings; rename the span")
    try:
        check_table(entry)
    except InputError as error:
        raise InputError(f"{where}.file: {error}") from error


def _check_own_pictures(where: str, prompt: Prompt) -> None:
    if not prompt.is_own:
        key = "image" if prompt.images is None else "images"
        raise InputError(f"{where}: flows start at the question's own image; leave out `{key}`")


def runs_authors_code(config: StudyConfig, model: str) -> bool:
    """Whether a model runs on its authors' code, in the older environment."""
    adapter = config.adapters.get(config.models[model].adapter)
    return adapter is not None and adapter.environment == "legacy"
