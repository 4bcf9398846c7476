"""Measure a cell: what erasing and steering do to a model's answers, and to what probes find above.

The work is done in parts, so that a killed job can resume. A part is saved as arrays with one row per item, by the
names in ``MEASURED``. In all of them the free run comes first, then the changed ones in the order of their table.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.answers.finding_head import conversation_of
from layerwise.answers.tokens import ClassTokens, tokens_of
from layerwise.errors import InputError
from layerwise.flow.free import FreeRun, check_served, free_runs
from layerwise.models.frozen import AnsweringModel, FrozenModel
from layerwise.models.host import HostSide
from layerwise.models.interventions.concept_file import ConceptFile
from layerwise.probes.kept import KeptProbes
from layerwise.several_pictures import before_last
from layerwise.states.image_checks import check_sight
from layerwise.states.named import prepare_rows
from layerwise.states.shape_checks import check_pictures
from layerwise.states.work import WorkFolder
from layerwise.used.answering import Answering, Speaker
from layerwise.used.checks import check_sweep
from layerwise.used.items import Items
from layerwise.used.pseudo import pseudo_classes
from layerwise.used.reading import Reading
from layerwise.used.results import Above, Sweep, Told
from layerwise.used.runs import CONTROL, ERASE, FREE, OWN, RUN_COLUMNS, Plan, Runs, planned_runs
from layerwise.used.sweep import SWEEP, row_room, swept

log = logging.getLogger(__name__)

# What is saved for each item: scores of the answers and their mass, of each run; the class that each changed run's
# concept gives it; margins of the probes, of the free run and of each run that is read, behind each block.
MEASURED = ("scores", "mass", "pseudo", "margins")


class Measuring:
    """A cell whose model is loaded and has been checked.

    Attributes:
        told: what the tables say of the cell.
        runs: its changed runs.

    Raises:
        InputError: when concepts cannot be swept in this model, or the model does not see its pictures.
    """

    def __init__(
        self,
        model: FrozenModel,
        description: Mapping[str, Any],
        cell: Mapping[str, Any],
        items: Items,
        concept: ConceptFile,
        others: Mapping[str, ConceptFile],
        probes: KeptProbes,
    ):
        """
        Args:
            model: the loaded model.
            description: its ``model.json``.
            cell: what decides the numbers.
            items: what it is shown.
            concept, others: see :func:`layerwise.used.runs.planned_runs`.
            probes: kept probes of the same cell.
        """
        self.model = served(model)
        self.items, self.with_image = items, bool(items.rows["image"].notna().all())
        check_served(self.model, SWEEP, self.with_image)
        check_sight(model, description["model"], items.rows, untrained=description["weights"] == "random")
        where = f"stimuli.{cell['stimuli']}.prompts: {cell['prompt']}"
        tokens = tokens_of_classes(self.model, where, cell["prompt_entry"], items)
        devices = [next(block.parameters()).device for block in self.model.blocks]
        _check_width(self.model, [concept, *others.values()])
        plan = Plan(f"{cell['task']}/{cell['prompt']}", cell["strengths"], cell["along"], cell["draws"])
        self.answering = Answering(self.model, tokens)
        self.runs: Runs = planned_runs(plan, concept, others, self.model.n_layers, devices[-1])
        self.reading = Reading(probes, items.classes, description["digest"], devices)
        self.room = row_room(self.model.device)
        # What is reserved behind a prefix.
        self.room.size = min(self.room.size, len(self.runs.table))
        strengths = sorted(set(self.runs.table.loc[self.runs.table["strength"] != 0, "strength"]))
        along = cell["along"] if strengths else ""
        self.told = Told(items.classes, tokens, dict(cell), self.model.n_layers, along, strengths, draws=cell["draws"])

    def make(self, work: WorkFolder) -> list[tuple[int, int]]:
        """Make every part that is missing.

        Args:
            work: where parts are kept.

        Returns:
            The parts as (first row, row after the last).

        Raises:
            InputError: when changed runs of the first item differ from whole forward passes, a change moves no state,
                or the model refuses an item.
            FloatingPointError: on a number that is not finite.
        """
        parts, rows = self.items.parts(), self.items.rows
        check_pictures(self.model, rows)
        self._check(rows.iloc[[0]])
        with tqdm(total=len(rows), unit="item", mininterval=5) as progress:
            for start, stop in parts:
                if work.load(start, stop, MEASURED) is None:
                    work.save(start, stop, self._part(rows.iloc[start:stop]))
                else:
                    log.info("items %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
        return parts

    def _check(self, row: pd.DataFrame) -> None:
        """Compare the changed runs of one item with whole forward passes."""
        for _, run, prepared in self._free(row):
            check_sweep(self.model, run, prepared, self.answering, self.runs)

    def _part(self, rows: pd.DataFrame) -> dict[str, Tensor]:
        """One part: tensors by name, with one row per item."""
        found: dict[str, list[Tensor]] = {name: [] for name in MEASURED}
        moved = torch.zeros(len(self.runs.table))
        for row, run, _ in self._free(rows):
            read = self.reading.of(row.label)
            changed = swept(run, self.runs.changes, read, self.room)
            moved = torch.maximum(moved, changed.moved)
            scores, mass = self.answering.of_states(torch.cat([run.top[:, -1], changed.top]))
            before = run.last_states
            of_free = [read(block, before[block : block + 1]) for block in self._blocks()]
            free = torch.stack([margins.float().cpu() for margins in of_free], dim=1)
            assert changed.above is not None
            pseudo = pseudo_classes(before, self.runs.changes)
            values = (scores, mass, pseudo, torch.cat([free, changed.above]))
            if not (torch.isfinite(scores).all() and torch.isfinite(mass).all() and torch.isfinite(free).all()):
                raise FloatingPointError(
                    f"an answer's probability or a margin is not a number, item {row.item_id}; a model in float16 may "
                    "overflow: try dtype bfloat16 or float32"
                )
            for name, value in zip(MEASURED, values, strict=True):
                found[name].append(value)
        self._check_moved(moved, rows)
        return {name: torch.stack(values) for name, values in found.items()}

    def _blocks(self) -> range:
        return range(1, self.model.n_layers + 1)

    def _free(self, rows: pd.DataFrame) -> Iterator[tuple[Any, FreeRun, Any]]:
        """Each item with its free run and its inputs. Items share a run if they are shown the same pictures, and read
        the same before the last of them."""
        places = range(len(rows))
        heads = list(map(before_last, rows["prompt"]))
        for _, of_image in groupby(places, key=lambda i: (rows["image_sha256"].iat[i], heads[i])):
            shown = rows.iloc[list(of_image)]
            prepared = [prepare_rows(self.model, shown.iloc[[i]]) for i in range(len(shown))]
            lasts = [inputs["input_ids"].shape[1] - 1 for inputs in prepared]
            runs = free_runs(self.model, prepared, lasts, self.room, self.with_image)
            yield from zip(shown.itertuples(index=False), runs, prepared, strict=True)

    def _check_moved(self, moved: Tensor, rows: pd.DataFrame) -> None:
        """Refuse a change that moves the state of none of the items."""
        if bool((moved > 0).all()):
            return
        what = self.runs.table.loc[int((moved <= 0).int().argmax())]
        whose = what["of"] or f"control {what['draw']}"
        raise InputError(
            f"{what['change']} of {whose} in block {what['block']} changes no state of the items "
            f"{rows['item_id'].iat[0]} to {rows['item_id'].iat[-1]}: it is smaller than the rounding of "
            f"{self.model.dtype}; fit the concept again, load the model in float32 (models.NAME.dtype), or raise "
            "`used.strengths`"
        )

    def tables(self, work: WorkFolder, parts: Sequence[tuple[int, int]]) -> tuple[Sweep, Above]:
        """The tables of finished parts."""
        measured = [values for _, values in work.assemble(parts, MEASURED)]
        scores, mass, pseudo, margins = (np.concatenate([values[name] for values in measured]) for name in MEASURED)
        return self._sweep(scores, mass, pseudo), self._above(margins)

    def _sweep(self, scores: np.ndarray, mass: np.ndarray, pseudo: np.ndarray) -> Sweep:
        """Tables from scores, shape (items, runs, K), masses, and pseudo classes, shape (items, changed runs)."""
        free = {"block": 0, "change": FREE, "strength": 0.0, "source": OWN, "of": "", "draw": -1}
        runs = pd.concat([pd.DataFrame([free]), self.runs.table], ignore_index=True)[RUN_COLUMNS]
        drawn = (runs["change"] == ERASE) & (runs["source"] == CONTROL)
        of_draws = np.where(drawn, np.insert(pseudo, 0, -1, axis=1), -1)
        table = self._per_item(runs).assign(pseudo=of_draws.reshape(-1), mass=mass.reshape(-1))
        return Sweep(self.told, table, scores.reshape(-1, scores.shape[2]))

    def _above(self, margins: np.ndarray) -> Above:
        """The table of margins, shape (items, the free and the read runs, L, M)."""
        free = pd.DataFrame([{"block": 0, "source": OWN, "draw": -1}])
        runs = pd.concat([free, self.runs.erased[["block", "source", "draw"]]], ignore_index=True)
        runs = runs.loc[runs.index.repeat(self.model.n_layers)].reset_index(drop=True)
        runs["above"] = np.tile(list(self._blocks()), len(runs) // self.model.n_layers)
        there = (runs["above"] >= runs["block"]).to_numpy()
        flat = margins.reshape(len(margins), len(runs), -1)[:, there]
        table = self._per_item(runs[there].reset_index(drop=True))
        return Above(self.told, table, flat.reshape(-1, flat.shape[2]))

    def _per_item(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Rows of all runs for each item."""
        rows = self.items.rows
        items = pd.DataFrame(
            {
                "item_id": rows["item_id"].astype("category"),
                "image": rows["own_image"].astype("category"),
                "y": rows["y"],
            }
        )
        runs = runs.astype({name: "category" for name in ("change", "source", "of") if name in runs})
        place = np.tile(np.arange(len(runs)), len(items))
        which = np.repeat(np.arange(len(items)), len(runs))
        return pd.concat([items.iloc[which].reset_index(drop=True), runs.iloc[place].reset_index(drop=True)], axis=1)


def served(model: FrozenModel) -> HostSide:
    """A model that answers.

    Raises:
        InputError: when its adapter answers no questions.
    """
    if not isinstance(model, HostSide):
        raise InputError(
            f"{SWEEP.what} cannot be measured in this model of type {model.model_type}: its adapter answers no "
            f"questions; {SWEEP.advice}"
        )
    return model


def tokens_of_classes(model: HostSide, where: str, entry: Mapping[str, Any], items: Items) -> ClassTokens:
    """The tokens of the answers of a task's classes, in the order of the classes.

    Args:
        model: the loaded model.
        where: the prompt's key, for messages.
        entry: of the prompt.
        items: the items, with the task's classes.

    Raises:
        InputError: when the prompt has no answers for a class; or see :func:`layerwise.answers.tokens.tokens_of`.
    """
    answers = entry.get("answers") or {}
    if missing := [name for name in items.classes if name not in answers]:
        raise InputError(f"{where}: has no `answers` for the class {missing[0]!r}; add them, or leave the prompt out")
    speaker = Speaker(model.model_type, conversation_of(model, where))
    tokens = tokens_of(speaker, where, entry, items.all, items.categories)
    return {name: tokens[name] for name in items.classes}


def _check_width(model: AnsweringModel, concepts: Sequence[ConceptFile]) -> None:
    for concept in concepts:
        if concept.width != model.width:
            raise InputError(
                f"{concept.path}: is of states of width {concept.width}, but this model's have {model.width}: it is of "
                "another model; delete it and run again"
            )
