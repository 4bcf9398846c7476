"""A study: its checked config, its cells, where its files are, and readers of its finished results.

The Snakefile, the programs and notebooks read a study through this one class, so that they agree on it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from layerwise.compare.catalogue import COMPARISONS
from layerwise.config.flow import Questions
from layerwise.config.including import included
from layerwise.config.reading import merge, read_config, validate
from layerwise.config.study import StudyConfig
from layerwise.datasets.locations import Locations
from layerwise.embedded_models import embedded_name
from layerwise.errors import InputError
from layerwise.flow.planned import check_heads, head_flows
from layerwise.planning import recipes
from layerwise.planning.fitted_checks import check_fitted
from layerwise.planning.grid import FittedOn, FlowCell, Grid, KindCell, ProbeCell, StatesCell
from layerwise.planning.grid_checks import check_study
from layerwise.planning.input_paths import InputPaths
from layerwise.planning.leaving_out import leave_out as leave_out_of
from layerwise.planning.lens_grid import LensCell, check_lens
from layerwise.planning.likeness_checks import check_likeness
from layerwise.planning.pooled_checks import check_pooled
from layerwise.planning.pooled_grid import PooledCell, TokensCell
from layerwise.planning.position_grid import PositionProbes, PositionStates, check_task_positions
from layerwise.planning.route_checks import check_routes
from layerwise.planning.shortcut_grid import PicturesCell, ShortcutCell
from layerwise.planning.tower_checks import check_tower
from layerwise.planning.tower_grid import TowerCell, TowerProbeCell
from layerwise.planning.used_checks import check_used
from layerwise.stimuli.catalogue import KINDS
from layerwise.workflow_folder import IS_INSTALLED, WORKFLOW, snakefile_option

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from layerwise.probes.kept import LayerProbe
    from layerwise.results import FlowTables, ItemStates, UsedTables
    from layerwise.states.shards import States

# Config files that every study's own config is merged over.
DEFAULTS = ("adapters.yaml", "prompts.yaml", "sources.yaml")

Cell = TypeVar("Cell", StatesCell, ProbeCell, FlowCell)


class NamedDownload(NamedTuple):
    """What a data format downloads: for which data set, and what decides what it is."""

    dataset: str
    asked: dict[str, Any]


class FlowFiles(NamedTuple):
    """The files of a flow cell, by what they hold."""

    changes: str
    tracing: str
    answers: str
    description: str
    heads: str


class LensFiles(NamedTuple):
    """The files of a patch lens: how probable words are at image tokens, and how well that finds their objects."""

    maps: str
    scores: str


class UsedFiles(NamedTuple):
    """The files of a sweep: the answers under every change, and what kept probes find in the layers above."""

    answers: str
    above: str


class LikenessFiles(NamedTuple):
    """The files of what the layers of a cell are like: their measures, and the products of its items."""

    measures: str
    grams: str


class RouteFiles(NamedTuple):
    """The files of a trained route: the route, and what a probe in its place finds."""

    route: str
    control: str


class Study:
    """A study: its config, its cells (:attr:`grid`), where its files lie, and readers of its finished results.

    Example::

        study = Study.load("my-study.yaml")
        study.grid.probe_cells()  # each a model, a task and a prompt
        study.scores().query("task == 'objects' and split == 'test' and metric == 'accuracy'")

    Paths are strings that begin with the results root (:attr:`results`). A folder's name may end in a recipe: see
    :mod:`layerwise.planning.recipes`.

    Args:
        config: the checked config, without the models that are left out.
        left_out: names of the models that are left out.
        files: the study's config files.
        directory: where Snakemake runs. Default: the working directory.

    Attributes:
        config, left_out, files, directory: as given.
        results: the results root.
        shown: where figures, tables and gathered scores go: `results`, or a folder in it if models are left out, so
            that partial figures never replace complete ones.
        data: where the data sets are.
        grid: the study's cells.
        notes: warnings about the config, for the user.

    Raises:
        InputError: when the config names something that does not exist, or asks for something that cannot run.
    """

    def __init__(
        self,
        config: StudyConfig,
        left_out: Sequence[str] = (),
        files: Sequence[Path] = (),
        directory: str | Path | None = None,
    ):
        self.config, self.left_out, self.files = config, list(left_out), list(files)
        self.directory = Path.cwd() if directory is None else Path(directory).absolute()
        self.results = config.pathvars.results
        self.shown = f"{self.results}/partial/without-{'+'.join(left_out)}" if left_out else self.results
        self.data = Locations(config)
        self.grid = Grid(config)
        check_study(self.grid, self.data)
        check_used(self.grid)
        check_routes(self.grid)
        check_fitted(self.grid)
        check_heads(self.grid)
        check_lens(self.grid)
        check_likeness(self.grid)
        check_task_positions(self.grid)
        check_tower(self.grid)
        check_pooled(self.grid)
        self.notes = [f"The config: {key}." for key in self.grid.unused()]
        self._folders: dict[tuple[str, str], str] = {}

    @classmethod
    def load(cls, *files: str | Path, leave_out: Sequence[str] = (), directory: str | Path | None = None) -> Study:
        """Read a study from its config files; later files override earlier ones, and all of them what they include.

        Relative paths to the user's own files start from the folder of the first config file; see
        :mod:`layerwise.planning.input_paths`.

        Args:
            files: config files.
            leave_out: models to leave out, besides those that the config leaves out.
            directory: where Snakemake runs; paths of results and data start there. Default: the working directory.

        Raises:
            InputError: naming what is wrong with the config.
        """
        config: dict[str, Any] = {}
        shared = shared_config(files)
        for file in [*(shared / name for name in DEFAULTS), *included(files, shared), *files]:
            merge(config, read_config(file))
        return cls.from_config(config, [Path(file) for file in files], leave_out, directory)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        files: Sequence[Path] = (),
        leave_out: Sequence[str] = (),
        directory: str | Path | None = None,
    ) -> Study:
        """A study from a merged config, as Snakemake has it; see :meth:`load`."""
        paths = InputPaths(files[0].parent if files else directory or Path(), directory)
        checked = validate(config, paths)
        checked, left_out = leave_out_of(checked.model_copy(update={"leave_out": [*checked.leave_out, *leave_out]}))
        if directory is not None:
            places = {key: str(Path(directory, place)) for key, place in checked.pathvars}
            checked = checked.model_copy(update={"pathvars": checked.pathvars.model_copy(update=places)})
        study = cls(checked, left_out, files, directory)
        study.notes = [*paths.notes(), *study.notes]
        return study

    @property
    def receipts(self) -> list[str]:
        """The receipts of all downloads that the study needs."""
        entries = [self.config.stimuli[name] for name in self.grid.used_stimuli()]
        read = [KINDS[entry.kind].reads(entry) for entry in entries]
        of_questions = self.config.flow.questions.values()
        asked = [(entry.dataset, entry.types) for entry in of_questions if isinstance(entry, Questions)]
        needed = [self.data.receipts(*parts) for parts in [*read, *asked] if parts is not None]
        return list(dict.fromkeys(receipt for receipts in needed for receipt in receipts))

    @cached_property
    def own_downloads(self) -> dict[str, NamedDownload]:
        """The downloads that data formats make themselves, by their receipts."""
        read = [KINDS[entry.kind].reads(entry) for entry in self.config.stimuli.values()]
        made = [(parts.dataset, self.data.own_download(*parts)) for parts in read if parts is not None]
        return {own.receipt: NamedDownload(name, own.asked) for name, own in made if own is not None}

    def stimuli_folder(self, stimuli: str) -> str:
        """The folder of a stimulus set."""
        return self._folder("stimuli", stimuli)

    def stimuli_file(self, stimuli: str, file: str) -> str:
        """A file of a stimulus set."""
        return f"{self.stimuli_folder(stimuli)}/{file}"

    def allows_copies(self, stimuli: str) -> bool:
        """Whether small copies of a stimulus set's pictures may be shown to others."""
        entry = self.config.stimuli[stimuli]
        read = KINDS[entry.kind].reads(entry)
        return stimuli not in self.config.explore.linked and (read is None or self.data.allows_copies(read.dataset))

    def questions_folder(self, questions: str) -> str:
        """The folder of a set of questions."""
        return self._folder("questions", questions)

    def model_folder(self, model: str) -> str:
        """The folder of a model's description, ``model.json``."""
        return self._folder("model", model)

    def model_file(self, model: str) -> str:
        """The description of a model."""
        return f"{self.model_folder(model)}/model.json"

    def converted_folder(self, model: str) -> str:
        """The folder of a model's weights as safetensors, for an entry with ``convert``."""
        return self._folder("converted", model)

    def trained_folder(self, embedded: str) -> str:
        """The folder of a model that the workflow trains: ``weights/`` and ``curve.csv``."""
        return f"{self.results}/embedded_models/{embedded}"

    def processor_folder(self, model: str) -> str:
        """The folder of a model's files with other settings of its image processor, for an entry with `processor`."""
        return self._folder("processor", model)

    def weights_folder(self, model: str) -> str | None:
        """The folder of the weights that the workflow makes for a model; None if it makes none."""
        name = embedded_name(self.config, model)
        if name is not None:
            return f"{self.trained_folder(name)}/weights"
        return None if self.config.models[model].convert is None else self.converted_folder(model)

    def states_files(self, model: str, stimuli: str, prompt: str) -> list[str]:
        """The files of a cell's hidden states, one per shard. A cell that was finished with another number of shards
        keeps its files."""
        return self._states_files(model, stimuli, prompt)

    def position_states_files(self, cell: PositionStates) -> list[str]:
        """The files of a cell's states at a further position, one per shard; those of :meth:`states_files` where these
        hold it."""
        held = cell.position in self.grid.positions(cell.stimuli, cell.prompt)
        name = cell.prompt if held else f"{cell.prompt}.at-{cell.position}"
        return self._states_files(cell.model, cell.stimuli, name)

    def _states_files(self, model: str, stimuli: str, prompt: str) -> list[str]:
        folder, wanted = f"{self.results}/states/{model}/{stimuli}", self.config.models[model].shards
        found = _names_in(folder)
        for shards in (wanted, *_other_shards(found, prompt)):
            names = _shard_names(prompt, shards)
            if found.issuperset(names):
                break
        else:
            names = _shard_names(prompt, wanted)
        return [f"{folder}/{name}" for name in names]

    def head_file(self, model: str) -> str:
        """The end of a model, which its answers are read with; see :mod:`layerwise.answers.head_file`."""
        return f"{self.model_folder(model)}/head.safetensors"

    def answers_file(self, cell: StatesCell) -> str:
        """How probable the model's answers are, by layer; only for :meth:`Grid.answers_cells`."""
        return f"{self.results}/answers/{cell.model}/{cell.stimuli}/{cell.prompt}.parquet"

    def written_file(self, cell: StatesCell) -> str:
        """What the model wrote; only for :meth:`layerwise.planning.grid.Grid.generated_cells`."""
        return f"{self.results}/written/{cell.model}/{cell.stimuli}/{cell.prompt}.parquet"

    def generated_file(self, cell: StatesCell) -> str:
        """What the model wrote, and the class that it says; see :meth:`written_file`."""
        return f"{self.results}/generated/{cell.model}/{cell.stimuli}/{cell.prompt}.parquet"

    def likeness_files(self, cell: StatesCell) -> LikenessFiles:
        """What the layers of a cell are like; only for :meth:`likeness_cells`."""
        stem = f"{self.results}/likeness/{cell.model}/{cell.stimuli}/{cell.prompt}"
        return LikenessFiles(f"{stem}.parquet", f"{stem}.grams.safetensors")

    def likeness_cells(self) -> list[StatesCell]:
        """The cells whose layers are measured: of those that the config names, none for which a model would run again.

        That is so where states are not kept, or were deleted after probes had read them. `likeness.measured: true`
        asks for these too.
        """
        cells = self.grid.likeness_cells()
        return cells if self.config.likeness.measured else [cell for cell in cells if self._has_states(cell)]

    def _has_states(self, cell: StatesCell) -> bool:
        """Whether the layers of a cell were measured already, or its states are there or are made for its probes."""
        measured = Path(self.likeness_files(cell).grams).exists()
        if measured or not self.config.states.keep:
            return measured
        tasks = [task for task, entry in self.config.tasks.items() if entry.stimuli == cell.stimuli]
        probed = [ProbeCell(cell.model, task, cell.prompt) for task in tasks]
        scores = [file(each) for each in probed for file in (self.scores_file, self.regression_file)]
        there = any(Path(file).exists() for file in self.states_files(*cell))
        return there or not any(Path(file).exists() for file in scores)

    def task_folder(self, task: str) -> str:
        """The folder of a task: ``task.json`` and ``labels.parquet``."""
        return f"{self.results}/tasks/{task}"

    def scores_file(self, cell: ProbeCell) -> str:
        """Scores by layer and label."""
        return self._probe_file(cell, "scores")

    def predictions_file(self, cell: ProbeCell) -> str:
        """Held-out predictions."""
        return self._probe_file(cell, "predictions")

    def curve_file(self, cell: ProbeCell) -> str:
        """Test scores by number of training images."""
        return self._probe_file(cell, "curve")

    def regression_file(self, cell: ProbeCell) -> str:
        """Scores of ridge regression by layer and label; only for :meth:`layerwise.planning.grid.Grid.number_cells`."""
        return self._probe_file(cell, "regression")

    def probes_file(self, cell: ProbeCell) -> str:
        """The probes themselves, unless ``probes.keep`` is false; see :mod:`layerwise.probes.kept`."""
        return f"{self.results}/probes/{cell.model}/{cell.task}/{cell.prompt}.probes.h5"

    def kind_file(self, cell: KindCell) -> str:
        """Scores of a further kind of probe by layer and label."""
        return self._probe_file(ProbeCell(*cell[:3]), f"kind-{cell.kind}")

    def pictures_file(self, cell: PicturesCell) -> str:
        """What a decoder gets of a stimulus set's pictures; only for :meth:`Grid.pictures_cells`."""
        return f"{self.results}/pictures/{cell.model}/{cell.stimuli}.h5"

    def tower_file(self, cell: TowerCell) -> str:
        """A vision tower's states of a stimulus set's pictures; only for :meth:`Grid.tower_cells`."""
        return f"{self.results}/tower/{cell.model}/{cell.stimuli}.h5"

    def tower_scores_file(self, cell: TowerProbeCell) -> str:
        """Scores of probes in the vision tower; only for :meth:`layerwise.planning.grid.Grid.tower_probe_cells`."""
        return f"{self.results}/probes/{cell.model}/{cell.task}/tower.parquet"

    def lens_files(self, cell: LensCell) -> LensFiles:
        """The files of the patch lens; only for :meth:`layerwise.planning.grid.Grid.lens_cells`."""
        stem = f"{self.results}/lens/{cell.model}/{cell.stimuli}"
        return LensFiles(f"{stem}.maps.h5", f"{stem}.parquet")

    def tokens_file(self, cell: TokensCell) -> str:
        """Every image token of some pictures; only for :meth:`layerwise.planning.grid.Grid.tokens_cells`."""
        return f"{self.results}/tokens/{cell.model}/{cell.stimuli}.h5"

    def pooled_scores_file(self, cell: PooledCell) -> str:
        """Scores of probes over image tokens; only for :meth:`layerwise.planning.grid.Grid.pooled_cells`."""
        return f"{self.results}/probes/{cell.model}/{cell.task}/pooled.parquet"

    def shortcuts_file(self, cell: ShortcutCell) -> str:
        """Scores of simple features; only for :meth:`layerwise.planning.grid.Grid.shortcut_cells`."""
        return f"{self.results}/probes/{cell.model}/{cell.task}/shortcuts.parquet"

    def sites_file(self, cell: ProbeCell) -> str:
        """Scores of attention, MLP and heads; only for :meth:`layerwise.planning.grid.Grid.site_cells`."""
        return self._probe_file(cell, "sites")

    def positions_file(self, cell: ProbeCell) -> str:
        """Scores of each picture's tokens; only for :meth:`layerwise.planning.grid.Grid.position_cells`."""
        return self._probe_file(cell, "positions")

    def position_probes_file(self, cell: PositionProbes) -> str:
        """Scores at a further position; only for :meth:`layerwise.planning.grid.Grid.position_probes`."""
        return self._probe_file(ProbeCell(*cell[:3]), f"at-{cell.position}")

    def gathered_file(self, table: str) -> str:
        """A table of all cells, such as ``scores``, ``curves`` or ``kinds``."""
        return f"{self.shown}/probes/{table}.parquet"

    def flow_files(self, cell: FlowCell) -> FlowFiles:
        """The files of one model and one set of questions."""
        stem = f"{self.results}/flow/{cell.model}/{cell.questions}"
        return FlowFiles(
            f"{stem}.parquet",
            f"{stem}.tracing.parquet",
            f"{stem}.answers.parquet",
            f"{stem}.json",
            f"{stem}.heads.parquet",
        )

    def had_by_questions(self, questions: str) -> frozenset[str]:
        """What a set of questions has: see :meth:`layerwise.planning.grid.Grid.had_by_questions`, "heads" if flows of
        theirs are blocked head by head, and "head differences" if they also have distractors."""
        had = self.grid.had_by_questions(questions)
        if not head_flows(self.grid, questions):
            return had
        return had | {"heads"} | ({"head differences"} if "distractors" in had else set())

    def concept_file(self, cell: ProbeCell) -> str:
        """How a task's classes are erased and steered, block by block; only for
        :meth:`layerwise.planning.grid.Grid.concept_cells`."""
        return f"{self.results}/used/{cell.model}/{cell.task}/{cell.prompt}.concept.safetensors"

    def streamed_file(self, on: FittedOn) -> str:
        """How a task's classes are erased and steered at all tokens of the text or of the image, behind one block."""
        cell = on.cell
        return f"{self.results}/used/{cell.model}/{cell.task}/{cell.prompt}.{on.at}-{on.block}.streamed.safetensors"

    def fitted_file(self, model: str) -> str | None:
        """The fitted file that a model's intervention needs; None for models that need none."""
        if (route := self.grid.route_of(model)) is not None:
            return self.route_files(route).route
        on = self.grid.fitted_on(model)
        if on is None:
            return None
        return self.concept_file(on.cell) if on.at == "last" else self.streamed_file(on)

    def route_files(self, name: str) -> RouteFiles:
        """The files of a trained route."""
        cell = self.grid.route_cells()[name]
        stem = f"{self.results}/used/routes/{cell.model}/{cell.task}/{cell.prompt}/{name}"
        return RouteFiles(f"{stem}.safetensors", f"{stem}.control.parquet")

    def used_files(self, cell: ProbeCell) -> UsedFiles:
        """The files of a sweep; only for :meth:`layerwise.planning.grid.Grid.used_cells`."""
        stem = f"{self.results}/used/{cell.model}/{cell.task}/{cell.prompt}"
        return UsedFiles(f"{stem}.parquet", f"{stem}.above.parquet")

    def states(
        self, model: str, stimuli: str, prompt: str, position: str = "last", layer: int | str | None = None
    ) -> ItemStates:
        """Hidden states of a cell, one vector per item.

        Example::

            found = study.states("llava", "objects", "category", layer=12)
            x = found.of(labels["item_id"])  # (items, width), in the order of the labels

        Args:
            model, stimuli, prompt: names that the config gives.
            position: ``last``, ``image-mean``, of items with several pictures ``image-1-mean`` and so on, one that a
                task names, such as ``question-last``, or a site that was kept, such as ``last-attention``.
            layer: its index (0 is the embedding output), its name (``block 12``, ``final norm``), or None for all.
                One layer is read contiguously.

        Returns:
            ``values``, float32 of shape (items, width), or (layers, items, width) for all layers; ``item_ids``;
            ``layers``, their names.

        Raises:
            InputError: when there is no such cell, layer or position, when the states have not been made yet, or when
                they were made from another model, prompt or stimulus set than the config names now.
        """
        from layerwise import results

        cell = _named(self.grid.states_cells(), model=model, stimuli=stimuli, prompt=prompt)
        made_by = self.command("states")
        at, planned = PositionStates(*cell, position), self.grid.planned(*cell)
        files = self.states_files(*cell)
        if at in self.grid.position_states():
            files, planned = self.position_states_files(at), self.grid.planned_position(at)
        return results.states(
            [Path(file) for file in files],
            position,
            layer,
            cell=self._content(cell, made_by, planned),
            made_by=made_by,
        )

    def open_states(self, model: str, stimuli: str, prompt: str) -> States:
        """The hidden states of a cell as an open file, to read layer by layer. Items with the same input share a row.

        Example::

            with study.open_states("llava", "objects", "category") as states:
                rows = states.layer("last", 12)[states.row_of_item]

        Raises:
            InputError: as :meth:`states`.
        """
        from layerwise import results
        from layerwise.states.shards import open_states

        cell = _named(self.grid.states_cells(), model=model, stimuli=stimuli, prompt=prompt)
        files, made_by = self.states_files(*cell), self.command("states")
        results.check_there(map(Path, files), made_by)
        return open_states(files, self._content(cell, made_by))

    def answers(self, model: str, stimuli: str, prompt: str) -> pd.DataFrame:
        """How probable a model's answers are in every layer, read off the hidden states at the last token.

        Example::

            answers = study.answers("llava", "objects", "category")
            answers.groupby("layer")["p:present"].mean()

        Args:
            model, stimuli, prompt: names that the config gives; the prompt has `answers`.

        Returns:
            A row per layer and item: ``layer`` (0 is the embedding output; the last is what the model says),
            ``item_id``, ``p:CLASS`` for each class (the probability of its answers among the answers of all classes),
            ``said`` (the class whose answers are most probable), and ``mass`` (the probability of all answers among all
            tokens; NaN where it was not computed).

        Raises:
            InputError: when there is no such cell, or its answers have not been read yet.
        """
        from layerwise import results

        cell = _named(self.grid.answers_cells(), model=model, stimuli=stimuli, prompt=prompt)
        return results.answers(Path(self.answers_file(cell)), made_by=self.command("answers"))

    def generated(self, model: str, stimuli: str, prompt: str) -> pd.DataFrame:
        """What a model wrote in answer to every item, and which class it says.

        Example::

            study.generated("llava", "objects", "no-cue-objects")["class"].value_counts()

        Args:
            model, stimuli, prompt: names that the config gives; the prompt has `generate`.

        Returns:
            A row per item: ``item_id``, ``text``, and ``class``, which is empty where the text says none.

        Raises:
            InputError: when there is no such cell, or the model has not written yet.
        """
        from layerwise import results

        cell = _named(self.grid.generated_cells(), model=model, stimuli=stimuli, prompt=prompt)
        return results.generated(Path(self.generated_file(cell)), made_by=self.command("answers"))

    def items(self, stimuli: str) -> pd.DataFrame:
        """What a stimulus set shows, and where it comes from.

        Example::

            study.items("captions")[["item_id", "image", "text", "prompt:agree"]]

        Returns:
            A row per item: ``item_id``, ``image_id``, ``group`` (what a split keeps together), ``part`` (the official
            one), ``image`` (path; of several pictures one a line), ``text``, ``category``, further placeholders of the
            kind (such as ``first`` and ``second`` of relations), the labels of the data set (``label:...``), and for
            each prompt the user's turn (``prompt:NAME``).

        Raises:
            InputError: when there is no such stimulus set, or it has not been made yet.
        """
        from layerwise import results

        _known("stimuli", stimuli, self.grid.used_stimuli())
        prompts = {name: entry.shown() for name, entry in self.grid.prompts(stimuli).items()}
        folder = Path(self.stimuli_folder(stimuli))
        return results.items(folder, self.directory, prompts, made_by=self.command("states"))

    @staticmethod
    def picture(image: str) -> Image.Image:
        """What a cell of the column ``image`` shows, to look at: its picture, or several side by side at one height.

        Example::

            study.picture(study.items("captions")["image"].iat[0]).show()

        Raises:
            InputError: when a file cannot be read.
        """
        from layerwise import results

        return results.picture(image)

    def labels(self, task: str) -> pd.DataFrame:
        """The labels of a task, with their splits and groups.

        Example::

            labels = study.labels("objects").query("label == 'dog' and split == 'train'")

        Returns:
            A row per item and label: ``item_id``, ``image_id``, ``group``, ``label``, ``y`` (index of the class),
            ``truth`` (its name), ``split`` (train, val, test), and ``split:SEED`` for further seeds of the split. Of
            a task about numbers ``y`` is the number, and there is no ``truth``. A task with unseen texts has ``text``
            and ``test_part`` too, and a split is missing for the items that it leaves out.

        Raises:
            InputError: when there is no such task, or it has not been made yet.
        """
        from layerwise import results

        _known("task", task, self.config.tasks)
        return results.labels(Path(self.task_folder(task)), made_by=self.command("probes"))

    def scores(self) -> pd.DataFrame:
        """The scores of all probes of this study.

        Example::

            study.scores().query("task == 'objects' and label == 'macro' and metric == 'accuracy' and split == 'test'")

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``probe``, ``layer``, ``label``, ``split`` and ``metric``, with
            ``value``, ``low`` and ``high`` (95 % interval), and the other columns of docs/formats.md.

        Raises:
            InputError: when a cell has not been probed yet.
        """
        return self._gathered(self.grid.probe_cells(), self.scores_file)

    def curves(self) -> pd.DataFrame:
        """The learning curves of all probes of this study: test scores by the number of training images.

        Example::

            study.curves().query("task == 'objects' and layer == 12").plot("train_groups", "value")

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``layer``, ``label`` and ``train_groups``, with ``train_items``,
            ``metric``, ``value``, ``low`` and ``high``, and the other columns of docs/formats.md.

        Raises:
            InputError: when a cell has not been probed yet.
        """
        return self._gathered(self.grid.probe_cells(), self.curve_file)

    def kinds(self) -> pd.DataFrame:
        """The scores of the kinds of probes that this study fits beside logistic regression.

        Example::

            kinds = study.kinds()
            kinds.query("kind == 'mlp' and probe == 'task' and split == 'test' and metric == 'accuracy'")
            kinds.query("metric == 'layer_weight'")  # of the mix

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``kind``, ``probe`` (task, control or selectivity), ``layer`` (-1
            for a probe of all layers), ``label``, ``split`` and ``metric``, with ``value``, ``low`` and ``high``, and
            the other columns of docs/formats.md.

        Raises:
            InputError: when the study names no further kind, or a cell has not been probed yet.
        """
        from layerwise import results

        if not self.grid.kind_cells():
            raise InputError(
                "the study fits no further kind of probe; name mean-difference, mlp or mix in probes.kinds"
            )
        files = {cell: Path(self.kind_file(cell)) for cell in self.grid.kind_cells()}
        return results.gathered_kinds(files, made_by=self.command("kinds"))

    def shortcuts(self) -> pd.DataFrame:
        """What simple features of texts and pictures reach, in tasks with a global question.

        Example::

            study.shortcuts().query("features == 'words' and split == 'test' and metric == 'accuracy'")

        Returns:
            A row per ``model``, ``task``, ``features`` (words, picture, words + picture, words x picture), ``label``,
            ``split`` and ``metric``, with ``value``, ``low`` and ``high`` (95 % interval), and the other columns of
            docs/formats.md.

        Raises:
            InputError: when the study has no shortcuts, or a task has not been probed yet.
        """
        from layerwise import results

        cells = self.grid.shortcut_cells()
        if not cells:
            raise InputError(
                "the study has no shortcuts: no task with a global question has prompts with a picture and a {text}, "
                "or probes.shortcuts is false"
            )
        files = {cell: Path(self.shortcuts_file(cell)) for cell in cells}
        return results.gathered_by_task(files, made_by=self.command("shortcuts"))

    def tower(self) -> pd.DataFrame:
        """The scores of probes in the vision tower, behind the projector, and at the image's tokens in the decoder.

        Example::

            study.tower().query("part == 'tower' and split == 'test' and probe == 'logistic'")

        Returns:
            A row per ``model``, ``task``, ``part`` (tower, projector, decoder), ``pooling``, ``depth``, ``probe``,
            ``label``, ``split`` and ``metric``, with ``value``, ``low`` and ``high``, and the other columns of
            docs/formats.md.

        Raises:
            InputError: when the study does not read the tower, or a task has not been probed yet.
        """
        from layerwise import results

        cells = self.grid.tower_probe_cells()
        if not cells:
            raise InputError("the study does not read the vision tower; add tower to its config")
        files = {cell: Path(self.tower_scores_file(cell)) for cell in cells}
        return results.gathered_by_task(files, made_by=self.command("tower"))

    def pooled(self) -> pd.DataFrame:
        """The scores of probes over image tokens, in their mean and with a query that chooses among them.

        Example::

            study.pooled().query("split == 'test' and label == 'macro'").pivot_table("value", "depth", "pooling")

        Returns:
            A row per ``model``, ``task``, ``pooling`` (mean, attention), ``depth``, ``probe``, ``label``, ``split`` and
            ``metric``, with ``value``, ``low`` and ``high``, and the other columns of docs/formats.md.

        Raises:
            InputError: when the study keeps no image tokens, or a task has not been probed yet.
        """
        from layerwise import results

        cells = self.grid.pooled_cells()
        if not cells:
            raise InputError("the study keeps no image tokens; add pooled to its config")
        files = {cell: Path(self.pooled_scores_file(cell)) for cell in cells}
        return results.gathered_by_task(files, made_by=self.command("pooled"))

    def sites(self) -> pd.DataFrame:
        """The scores of probes of attention, MLPs and heads, within blocks.

        Example::

            study.sites().query("site == 'heads' and split == 'test'").nlargest(10, "value")

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``site``, ``layer`` (the block, from 1), ``head`` (from 1; 0 for
            a whole site), ``label`` and ``split``, with ``value``, ``low`` and ``high``, and the other columns of
            docs/formats.md.

        Raises:
            InputError: when the study keeps no sites, or a cell has not been probed yet.
        """
        if not self.grid.site_cells():
            raise InputError("the study keeps nothing within blocks; name attention, mlp or heads in states.sites")
        return self._gathered(self.grid.site_cells(), self.sites_file)

    def positions(self) -> pd.DataFrame:
        """The scores of probes at further positions: those that tasks name, and the tokens of each of several pictures.

        Example::

            study.positions().query("position == 'image-mean' and split == 'test'").nlargest(10, "value")

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``position``, ``layer`` (0 is the embedding output), ``label``
            and ``split``, with ``value``, ``low`` and ``high``, and the other columns of docs/formats.md.

        Raises:
            InputError: when the study keeps no such positions, or a cell has not been probed yet.
        """
        import pandas as pd

        from layerwise import results

        files: dict[str, dict[tuple[str, str, str], Path]] = {}
        files[""] = {cell: Path(self.positions_file(cell)) for cell in self.grid.position_cells()}
        for at in self.grid.position_probes():
            files.setdefault(at.position, {})[ProbeCell(*at[:3])] = Path(self.position_probes_file(at))
        if not any(files.values()):
            raise InputError(
                "the study probes one position alone; name further ones in tasks.NAME.positions, or for stimuli with "
                "several pictures each-image-mean in states.positions"
            )
        tables = [results.gathered(found, made_by=self.command("probes")) for found in files.values() if found]
        return pd.concat(tables, ignore_index=True)

    def numbers(self) -> pd.DataFrame:
        """The scores of ridge regression, of all tasks about numbers.

        Example::

            study.numbers().query("task == 'area' and probe == 'ridge' and metric == 'r2' and split == 'test'")

        Returns:
            A row per ``model``, ``task``, ``prompt``, ``probe``, ``layer``, ``label``, ``split`` and ``metric`` (r2,
            mae, spearman), with ``value``, ``low`` and ``high`` (95 % interval), and the other columns of
            docs/formats.md.

        Raises:
            InputError: when no task is about numbers, or a cell has not been probed yet.
        """
        if not self.grid.number_cells():
            raise InputError(
                "no task is about numbers; ask for one with `metric: r2`, over a table's label `as: number` or with "
                "`knowledge: {about: count, as: number}`"
            )
        return self._gathered(self.grid.number_cells(), self.regression_file)

    def predictions(
        self, model: str, task: str, prompt: str, layer: int | None = None, split: str | None = None
    ) -> pd.DataFrame:
        """The predictions of a cell's probes for each held-out item, beside what the item shows.

        Example::

            misread = study.predictions("llava", "objects", "category", layer=12).query("truth != predicted")
            misread[["image", "question", "truth", "predicted"]]

        Args:
            model, task, prompt: names that the config gives.
            layer: index of one layer (0 is the embedding output); None for all.
            split: ``val`` or ``test``; None for both.

        Returns:
            A row per layer, label and item: ``layer``, ``label``, ``split``, ``item_id``, ``group``, ``y`` and ``pred``
            (indices of classes), ``truth`` and ``predicted`` (their names), ``scores`` (an array of margins: one margin
            for two classes, otherwise one per class), ``question`` (the user's turn), and the columns of :meth:`items`.

        Raises:
            InputError: when there is no such cell, layer or split, or the cell has not been probed yet.
        """
        from layerwise import results

        cell = _named(self.grid.probe_cells(), model=model, task=task, prompt=prompt)
        shown = self.items(self.config.tasks[task].stimuli).rename(columns={f"prompt:{prompt}": "question"})
        shown = shown[[column for column in shown if not column.startswith("prompt:")]]
        file, folder = Path(self.predictions_file(cell)), Path(self.task_folder(task))
        return results.predictions(file, folder, shown, layer, split, made_by=self.command("probes"))

    def comparison(self, name: str) -> pd.DataFrame:
        """A table of comparisons: tests and intervals over cells, as figures and tables show them.

        Example::

            study.comparison("which-layer")[["model", "task", "prompt", "first_above_all", "best_layer"]]

        Args:
            name: a key of :data:`layerwise.compare.catalogue.COMPARISONS`; the module of each says what its columns
                hold.

        Returns:
            The table; of information flow those of all models and questions, with the columns ``model`` and
            ``questions``.

        Raises:
            InputError: when there is no such table, or it has not been made yet.
        """
        from layerwise import results

        _known("comparison", name, COMPARISONS)
        if not COMPARISONS[name].per_flow:
            file = f"{self.shown}/compare/{name}.parquet"
            return results.comparison(Path(file), made_by=self.command(file))
        folder = Path(self.results, "compare", "flow")
        cells = map(tuple, self.grid.flow_cells())
        files = {(model, questions): folder / model / f"{questions}.{name}.parquet" for model, questions in cells}
        return results.flow_comparison(files, made_by=self.command("flow"))

    def probe(self, model: str, task: str, prompt: str, layer: int | str, label: str | None = None) -> LayerProbe:
        """The probes of one layer of a cell, to apply to hidden states as they are.

        Example::

            states = study.states("llava", "objects", "category", layer="block 12")
            probe = study.probe("llava", "objects", "category", "block 12", label="dog")
            margins = probe.margins(states.values)  # (items, 1): above 0 where the probe says that there is a dog

        Args:
            model, task, prompt: names that the config gives.
            layer: its index (0 is the embedding output), or its name (``block 12``, ``final norm``).
            label: of the task; None for all.

        Returns:
            ``weights``, shape (labels, margins, width), and ``bias``, shape (labels, margins), in units of the hidden
            state; one margin for two classes, otherwise one per class. ``labels`` and ``classes`` are their names.

        Raises:
            InputError: when there is no such cell, layer or label, when the study does not keep probes or the cell has
                not been probed yet, or when the probes were fitted on another model, prompt, stimulus set or task than
                the config names now.
        """
        from layerwise import results

        cell = _named(self.grid.probe_cells(), model=model, task=task, prompt=prompt)
        if not self.config.probes.keep:
            raise InputError("the study does not keep its probes; set probes.keep to true and fit them again")
        made_by = self.command("probes")
        states = StatesCell(model, self.config.tasks[task].stimuli, prompt)
        return results.probe(
            Path(self.probes_file(cell)),
            Path(self.task_folder(task)),
            layer,
            label,
            cell=self._content(states, made_by),
            position=self.config.states.positions[0],
            made_by=made_by,
        )

    def flow(self, model: str, questions: str) -> FlowTables:
        """Information flow of a model over a set of questions.

        Example::

            flow = study.flow("llava", "gqa")
            flow.knockout.groupby(["flow", "window"])["change"].mean()

        Returns:
            The tables ``answers``, ``knockout`` and ``tracing``, each with the question, its picture and its answer:
            see :class:`layerwise.results.FlowTables`.

        Raises:
            InputError: when there is no such cell, or it has not been run yet.
        """
        from layerwise import results

        found = self.flow_files(_named(self.grid.flow_cells(), model=model, questions=questions))
        files = {"answers": found.answers, "knockout": found.changes, "tracing": found.tracing}
        if self.config.flow.heads is not None:
            files["heads"] = found.heads
        return results.flow(
            {name: Path(file) for name, file in files.items()},
            Path(self.questions_folder(questions)),
            self.directory,
            made_by=self.command("flow_results"),
        )

    def used(self, model: str, task: str, prompt: str) -> UsedTables:
        """What becomes of a cell's answers when its classes are erased behind a block, or states are steered.

        Example::

            answers = study.used("llava", "entailment", "agree").answers
            erased = answers.query("change == 'erase'").groupby(["source", "block"])["margin"].mean()

        Args:
            model, task, prompt: names that the config gives; a used cell.

        Returns:
            The tables ``answers`` and ``above``, with the item's picture and question: see
            :class:`layerwise.results.UsedTables`.

        Raises:
            InputError: when there is no such cell, or it has not been swept yet.
        """
        from layerwise import results

        cell = _named(self.grid.used_cells(), model=model, task=task, prompt=prompt)
        shown = self.items(self.config.tasks[task].stimuli).rename(columns={f"prompt:{prompt}": "question"})
        found = self.used_files(cell)
        return results.used(Path(found.answers), Path(found.above), shown, made_by=self.command("used"))

    def command(self, target: str) -> str:
        """The command that makes a target of the workflow."""
        files = [os.path.relpath(file, self.directory) for file in self.files]
        study = [] if files in ([], ["config/config.yaml"]) else ["--configfile", *files]
        return " ".join(["snakemake", *snakefile_option(), target, "--cores 2", *study])

    def _content(self, cell: StatesCell, made_by: str, planned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The content that the states of a cell must have, of its main file or as they are planned. Finished ones can
        be read even if the code has changed."""
        from layerwise import results
        from layerwise.states.cells import planned_content

        folder, described = Path(self.stimuli_folder(cell.stimuli)), Path(self.model_file(cell.model))
        results.check_there([described, folder / "stimuli.json"], made_by)
        asked = {key: value for key, value in (planned or self.grid.planned(*cell)).items() if key != "code"}
        return planned_content(asked, folder, described)

    def _gathered(self, cells: Sequence[ProbeCell], file: Callable[[ProbeCell], str]) -> pd.DataFrame:
        from layerwise import results

        return results.gathered({cell: Path(file(cell)) for cell in cells}, made_by=self.command("probes"))

    def _probe_file(self, cell: ProbeCell, what: str) -> str:
        return f"{self.results}/probes/{cell.model}/{cell.task}/{cell.prompt}.{what}.parquet"

    def _folder(self, what: str, name: str) -> str:
        """A folder whose name ends in a recipe. Computed once, because planning asks for it in every job."""
        if (what, name) not in self._folders:
            if what == "stimuli":
                folder = recipes.stimuli_folder(self.config, self.data, name)
            elif what == "questions":
                folder = recipes.questions_folder(self.config, self.data, name)
            else:
                of_model = {
                    "model": recipes.model_folder,
                    "converted": recipes.converted_folder,
                    "processor": recipes.processor_folder,
                }
                folder = of_model[what](self.config, name)
            self._folders[what, name] = f"{self.results}/{folder}"
        return self._folders[what, name]


def _names_in(folder: str) -> set[str]:
    try:
        return {entry.name for entry in Path(folder).iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _shard_names(prompt: str, shards: int) -> list[str]:
    return [f"{prompt}.{i}-of-{shards}.h5" for i in range(1, shards + 1)] if shards > 1 else [f"{prompt}.h5"]


def _other_shards(names: set[str], prompt: str) -> list[int]:
    """The numbers of shards that a cell may have, judging by the files in its folder."""
    counts = [re.fullmatch(rf"{re.escape(prompt)}(?:\.1-of-(\d+))?\.h5", name) for name in names]
    return sorted(int(found[1] or 1) for found in counts if found)


def shared_config(files: Sequence[str | Path]) -> Path:
    """The folder of the default config files: in this code's clone, else in the study's clone, else installed."""
    above = [folder for file in files[:1] for folder in Path(file).resolve().parents]
    folders = [folder / "config" for folder in ((*above, WORKFLOW) if IS_INSTALLED else (WORKFLOW,))]
    return next(folder for folder in folders if all((folder / name).is_file() for name in DEFAULTS))


def _named(cells: Sequence[Cell], **names: str) -> Cell:
    """The cell with these names.

    Raises:
        InputError: naming the first name that no cell has, and the names that exist.
    """
    chosen = ""
    for what, name in names.items():
        _known(what, name, [getattr(cell, what) for cell in cells], chosen)
        cells = [cell for cell in cells if getattr(cell, what) == name]
        chosen += f"{', ' if chosen else ' with '}{what} {name}"
    return cells[0]


def _known(what: str, name: str, known: Iterable[str], chosen: str = "") -> None:
    if name not in (names := list(dict.fromkeys(known))):
        raise InputError(f"the study has no {what} {name!r}{chosen}; it has {', '.join(names) or 'none'}")
