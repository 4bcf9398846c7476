"""A study as everything else sees it: its checked config, its cells, and where its files lie.

The Snakefile, the programs and notebooks read a study through this one class, so that they agree on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from layerwise import recipes
from layerwise.config.reading import merge, read_config, validate
from layerwise.config.study import StudyConfig
from layerwise.datasets.locations import Locations
from layerwise.embedded_models import embedded_name
from layerwise.grid import FlowCell, Grid, ProbeCell
from layerwise.grid_checks import check_study
from layerwise.input_paths import InputPaths
from layerwise.leaving_out import leave_out as leave_out_of
from layerwise.stimuli.catalogue import KINDS

CLONE = Path(__file__).resolve().parents[2]
# What every study has beneath its own config.
DEFAULTS = [CLONE / "config" / name for name in ("adapters.yaml", "prompts.yaml", "sources.yaml")]


class FlowFiles(NamedTuple):
    """What is measured of a model and a set of questions."""

    changes: str
    tracing: str
    answers: str
    description: str


class Study:
    """A study.

    Paths are strings that begin with the results root (:attr:`results`). A folder's name may end in a recipe: see
    :mod:`layerwise.recipes`.

    Args:
        config: checked, without models that are left out.
        left_out: names of models that are left out.
        files: the config files that make the study.

    Attributes:
        config, left_out, files: as given.
        results: the results root.
        shown: where figures, tables and gathered scores go: `results`, or a folder of it if models are left out, so
            that partial figures never take the place of whole ones.
        data: where data sets lie.
        grid: the study's cells.
        notes: what the user should know of the config, for warnings.

    Raises:
        InputError: when the config refers to something that is not there, or asks for what cannot be run.
    """

    def __init__(self, config: StudyConfig, left_out: Sequence[str] = (), files: Sequence[Path] = ()):
        self.config, self.left_out, self.files = config, list(left_out), list(files)
        self.results = config.pathvars.results
        self.shown = f"{self.results}/partial/without-{'+'.join(left_out)}" if left_out else self.results
        self.data = Locations(config)
        self.grid = Grid(config)
        check_study(self.grid, self.data)
        self.notes = [f"The config: {key}." for key in self.grid.unused()]
        self._folders: dict[tuple[str, str], str] = {}

    @classmethod
    def load(cls, *files: str | Path, leave_out: Sequence[str] = (), directory: str | Path | None = None) -> Study:
        """Read a study from its config file; of several, later ones replace what earlier ones say.

        Relative paths of files that the user has start from the folder of the first one; see
        :mod:`layerwise.input_paths`.

        Args:
            files: config files.
            leave_out: models to run without, beside those that the config names.
            directory: where Snakemake runs: results and data lie relative to it. Default: the working directory.

        Raises:
            InputError: naming what is wrong with the config.
        """
        config: dict[str, Any] = {}
        for file in [*DEFAULTS, *files]:
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
        paths = InputPaths(files[0].parent if files else Path())
        checked = validate(config, paths)
        checked, left_out = leave_out_of(checked.model_copy(update={"leave_out": [*checked.leave_out, *leave_out]}))
        if directory is not None:
            places = {key: str(Path(directory, place)) for key, place in checked.pathvars}
            checked = checked.model_copy(update={"pathvars": checked.pathvars.model_copy(update=places)})
        study = cls(checked, left_out, files)
        study.notes = [*paths.notes(), *study.notes]
        return study

    @property
    def receipts(self) -> list[str]:
        """The receipts of all downloads that the study needs."""
        entries = [self.config.stimuli[name] for name in self.grid.used_stimuli()]
        read = [KINDS[entry.kind].reads(entry) for entry in entries]
        asked = [(entry.dataset, entry.types) for entry in self.config.flow.questions.values()]
        needed = [self.data.receipts(*parts) for parts in [*read, *asked] if parts is not None]
        return list(dict.fromkeys(receipt for receipts in needed for receipt in receipts))

    def stimuli_folder(self, stimuli: str) -> str:
        """The folder of a stimulus set."""
        return self._folder("stimuli", stimuli)

    def stimuli_file(self, stimuli: str, file: str) -> str:
        """A file of a stimulus set."""
        return f"{self.stimuli_folder(stimuli)}/{file}"

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

    def weights_folder(self, model: str) -> str | None:
        """The folder of the weights that the workflow makes for a model; None if it makes none."""
        name = embedded_name(self.config, model)
        if name is not None:
            return f"{self.trained_folder(name)}/weights"
        return None if self.config.models[model].convert is None else self.converted_folder(model)

    def states_files(self, model: str, stimuli: str, prompt: str) -> list[str]:
        """The files of a cell's hidden states: as many as its model has shards, or those of a finished cell that had
        another number of them."""
        folder, wanted = f"{self.results}/states/{model}/{stimuli}", self.config.models[model].shards
        found = _names_in(folder)
        for shards in (wanted, *_other_shards(found, prompt)):
            names = _shard_names(prompt, shards)
            if found.issuperset(names):
                break
        else:
            names = _shard_names(prompt, wanted)
        return [f"{folder}/{name}" for name in names]

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

    def sites_file(self, cell: ProbeCell) -> str:
        """Scores of attention, MLP and heads; only for :meth:`layerwise.grid.Grid.site_cells`."""
        return self._probe_file(cell, "sites")

    def gathered_file(self, table: str) -> str:
        """A table of all cells: ``scores``, ``curves`` or ``sites``."""
        return f"{self.shown}/probes/{table}.parquet"

    def flow_files(self, cell: FlowCell) -> FlowFiles:
        """What is measured of a model and a set of questions."""
        stem = f"{self.results}/flow/{cell.model}/{cell.questions}"
        return FlowFiles(f"{stem}.parquet", f"{stem}.tracing.parquet", f"{stem}.answers.parquet", f"{stem}.json")

    def _probe_file(self, cell: ProbeCell, what: str) -> str:
        return f"{self.results}/probes/{cell.model}/{cell.task}/{cell.prompt}.{what}.parquet"

    def _folder(self, what: str, name: str) -> str:
        """A folder whose name ends in a recipe, worked out once: planning asks for each job."""
        if (what, name) not in self._folders:
            if what == "stimuli":
                folder = recipes.stimuli_folder(self.config, self.data, name)
            elif what == "questions":
                folder = recipes.questions_folder(self.config, self.data, name)
            else:
                folder = (recipes.model_folder if what == "model" else recipes.converted_folder)(self.config, name)
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
    """Into how many shards a cell is divided by the files that are there."""
    counts = [re.fullmatch(rf"{re.escape(prompt)}(?:\.1-of-(\d+))?\.h5", name) for name in names]
    return sorted(int(found[1] or 1) for found in counts if found)
