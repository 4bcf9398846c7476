"""Sample the test items of a study for its page: choose them, and gather all that the page shows of them."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from layerwise.compare.inputs import Given, Task
from layerwise.explore.items import budget
from layerwise.explore.items.choosing import choose, wanted_of_each
from layerwise.explore.items.files import COLUMNS, Sample, named_pictures
from layerwise.explore.items.held_out import ESTIMATE, MARGINS, TestItems, by_layer, tested, wrong_by
from layerwise.explore.items.pictures import Picture, grey, linked, opened
from layerwise.explore.items.said import said, written
from layerwise.explore.items.shown import GREY, Stimuli

log = logging.getLogger(__name__)

Name = tuple[str, str, str]


@dataclass(frozen=True)
class Plan:
    """What is sampled of a study.

    Attributes:
        cells: model, task and prompt of each probe cell.
        says, writes: those whose answers are read off states, and are written.
        shown_as: by model the name that the page gives it, where that is another.
        prompts: by stimulus set its prompts' entries by name.
        items: how many of each task are drawn, and how many of the worst.
        seed: of the study.
        pictures: copied, linked or none.
        linked: stimulus sets whose pictures are linked in any case.
        side: of copies, in pixels.
        megabytes: of the page.
        folder: of the page.
    """

    cells: Sequence[Name]
    says: Sequence[Name]
    writes: Sequence[Name]
    shown_as: Mapping[str, str]
    prompts: Mapping[str, Mapping[str, Any]]
    items: int
    seed: int
    pictures: str
    linked: Sequence[str]
    side: int
    megabytes: float
    folder: Path


class _Cell(NamedTuple):
    """A cell of a task: its model and prompt, and the file of what its probes read."""

    model: str
    prompt: str
    path: Path


@dataclass(frozen=True)
class _Asked:
    """A task, its cells, and which column of their files holds what is read."""

    task: Task
    cells: Sequence[_Cell]
    column: str

    @property
    def is_number(self) -> bool:
        return self.column == ESTIMATE


def sample(plan: Plan, given: Given) -> Sample:
    """The sample of a study, within its budget.

    Reads one layer of one cell at a time, so it takes no more memory for more cells.

    Args:
        plan: what is sampled.
        given: ``tasks`` and ``predictions`` (a folder), ``number-tasks`` and ``estimates``, ``stimuli`` (descriptions,
            each in its folder), and where the study has them ``answers``, ``generated`` and ``labels``.

    Raises:
        InputError: a file is missing or damaged, or of another cell.
    """
    stimuli = _Stimuli([path.parent for path in given.paths("stimuli")])
    tables: dict[str, list[pd.DataFrame]] = {"items": [], "texts": [], "margins": []}
    described = {}
    for asked in _asked(plan, given):
        task = asked.task
        log.info("Sampling the test items of %s from %d cells", task.task, len(asked.cells))
        everything = tested(asked.cells[0].path, asked.column)
        wrong = {(cell.model, cell.prompt): wrong_by(cell.path, asked.column, everything) for cell in asked.cells}
        wanted = wanted_of_each(plan.items, len(task.labels))
        chosen = choose(everything, wrong, wanted, task.task, plan.seed)
        of_task = stimuli.of(task)
        ids = pd.Index(chosen["item_id"])
        of_task.check(ids, task.task)
        tables["items"].append(_items(chosen, task, of_task, given))
        tables["texts"] += [
            of_task.of_prompt(plan.prompts[task.stimuli][prompt], ids.unique()).assign(task=task.task, prompt=prompt)
            for prompt in dict.fromkeys(cell.prompt for cell in asked.cells)
        ]
        tables["margins"] += list(_margins(plan, given, asked, chosen))
        counts = everything.keys.get_level_values("label").value_counts()
        described[task.task] = {
            "stimuli": task.stimuli,
            "number": asked.is_number,
            "classes": list(task.classes),
            "labels": list(dict.fromkeys(everything.keys.get_level_values("label"))),
            "unit": next(iter(task.units.values()), ""),
            "tested": {str(label): int(n) for label, n in counts.items()},
        }
    joined = {name: pd.concat(parts, ignore_index=True)[COLUMNS[name]] for name, parts in tables.items()}
    description = {"tasks": described, "seed": plan.seed, "wanted": plan.items, "pictures": plan.pictures}
    found = Sample(**joined, thumbnails=pd.DataFrame(columns=COLUMNS["thumbnails"]), description=description)
    return budget.within(found, *_pictures(plan, found, stimuli), plan.side, plan.megabytes)


class _Stimuli:
    """The stimulus sets of a study, by name; the last one that was asked for stays in memory."""

    def __init__(self, folders: Iterable[Path]):
        # A folder is called NAME/RECIPE.
        self._folders = {folder.parent.name: folder for folder in folders}
        self._last: Stimuli | None = None

    def of(self, task: Task) -> Stimuli:
        """That of a task."""
        return self.named(task.stimuli)

    def named(self, name: str) -> Stimuli:
        """That of a name."""
        if self._last is None or self._last.folder != self._folders[name]:
            self._last = Stimuli.read(self._folders[name])
        return self._last


def _asked(plan: Plan, given: Given) -> Iterator[_Asked]:
    """The tasks in the order of the study, with their cells."""
    classes = given.tasks if given.files.get("tasks") else {}
    numbers = given.number_tasks if given.files.get("number-tasks") else {}
    for task in {**classes, **numbers}.values():
        is_number = task.task in numbers
        ending, column = ("estimates", ESTIMATE) if is_number else ("predictions", MARGINS)
        names = [(model, prompt) for model, of, prompt in plan.cells if of == task.task]
        if names:
            folder = given.path(ending)
            yield _Asked(
                task,
                [
                    _Cell(model, prompt, folder / model / task.task / f"{prompt}.{ending}.parquet")
                    for model, prompt in names
                ],
                column,
            )


def _items(chosen: pd.DataFrame, task: Task, stimuli: Stimuli, given: Given) -> pd.DataFrame:
    """The chosen items with their classes, parts of the test and pictures."""
    truth = [task.classes[y] for y in chosen["y"]] if task.classes else [None] * len(chosen)
    found = chosen.assign(task=task.task, y=chosen["y"].astype(float), truth=truth)
    found["pictures"] = stimuli.own_pictures(pd.Index(chosen["item_id"]))
    labels = next((path for path in given.files.get("labels", ()) if path.parent.name == task.task), None)
    if labels is None:
        return found.assign(test_part=None)
    parts = pd.read_parquet(labels, columns=["item_id", "label", "test_part"])
    return found.merge(parts, on=["item_id", "label"], how="left", validate="one_to_one")


def _margins(plan: Plan, given: Given, asked: _Asked, chosen: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """What probes read and models say of the chosen items, a table per cell."""
    keys = pd.MultiIndex.from_frame(chosen[["label", "item_id"]])
    items, ids = TestItems(keys, chosen["y"].to_numpy()), pd.Index(chosen["item_id"])
    says, writes = set(plan.says), set(plan.writes)
    for cell in asked.cells:
        values, predicted = by_layer(cell.path, asked.column, items)
        name, file = (cell.model, asked.task.task, cell.prompt), f"{cell.model}/{asked.task.stimuli}/{cell.prompt}"
        answered = said(given.path("answers") / f"{file}.parquet", asked.task.classes, ids) if name in says else None
        wrote = written(given.path("generated") / f"{file}.parquet", ids) if name in writes else None
        found = chosen[["label", "item_id"]].assign(
            model=plan.shown_as.get(cell.model, cell.model),
            task=asked.task.task,
            prompt=cell.prompt,
            by_layer=list(values),
            predicted=list(predicted),
        )
        for table, columns in ((answered, ("said", "p")), (wrote, ("written", "written_class"))):
            for column in columns:
                found[column] = None if table is None else table[column].to_numpy()
        yield found


def _pictures(plan: Plan, found: Sample, stimuli: _Stimuli) -> tuple[dict[str, Picture], dict[str, Any]]:
    """The pictures of the chosen items by checksum: those that are linked, and the others at their largest."""
    links: dict[str, Picture] = {}
    copies: dict[str, Any] = {}
    if plan.pictures == "none":
        return links, copies
    for name in dict.fromkeys(described["stimuli"] for described in found.description["tasks"].values()):
        tasks = [task for task, described in found.description["tasks"].items() if described["stimuli"] == name]
        cells = [frame.loc[frame["task"].isin(tasks), "pictures"] for frame in (found.items, found.texts)]
        files = stimuli.named(name).files()
        for checksum in named_pictures([*cells[0], *cells[1]]):
            if checksum == GREY:
                copies[checksum] = grey(plan.side)
            elif plan.pictures == "linked" or name in plan.linked:
                links[checksum] = linked(files[checksum], plan.folder)
                copies.pop(checksum, None)
            elif checksum not in links and checksum not in copies:
                copies[checksum] = opened(files[checksum], plan.side)
    return links, copies
