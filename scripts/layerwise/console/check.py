"""Read a study and all that it names, before hours are spent; no model is run."""

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from layerwise.config.models import Model
from layerwise.console.studies import add_study, load_study, run_command
from layerwise.console.trial_making import data_are_here, try_stimuli, try_task
from layerwise.datasets.disk import check_writable, is_dir
from layerwise.embedded_models import embedded_name
from layerwise.errors import InputError
from layerwise.study import Study
from layerwise.study_root import check_root


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    add_study(parser)
    parser.add_argument("--quick", action="store_true", help="open no picture: the config, tables and models alone")


def run(options: argparse.Namespace) -> None:
    """Print what the study holds, and what may be wrong with it.

    Raises:
        InputError: naming all that would end the run, a line each.
    """
    study = load_study(options)
    wrong: list[str] = []

    def say(lines: Iterable[str]) -> bool:
        try:
            for line in lines:
                print(line, flush=True)
        except InputError as error:
            wrong.append(str(error))
            return False
        return True

    say(_grid(study))
    for model in study.config.models:
        say(_model(study, model))
    with tempfile.TemporaryDirectory() as folder:
        for stimuli in study.grid.used_stimuli():
            if say(_stimuli(study, stimuli, Path(folder), options.quick)) and (Path(folder) / stimuli).exists():
                for task in (name for name, entry in study.config.tasks.items() if entry.stimuli == stimuli):
                    say(try_task(study, task, Path(folder)))
    if wrong:
        raise InputError("this study would not run to its end:\n" + "\n".join(f"  {line}" for line in wrong))
    print(f"Run it: {run_command(study.files)}")


def _grid(study: Study) -> Iterator[str]:
    names = ", ".join(map(str, study.files))
    cells, probed = len(study.grid.states_cells()), len(study.grid.probe_cells())
    yield f"{names}: {len(study.config.models)} models, {cells} cells of hidden states, {probed} of probes"
    yield from (f"  warning: {note}" for note in study.notes)
    check_writable(study.results, "pathvars.results")
    check_root(Path(study.results), study.files, study.config.extends)


def _model(study: Study, model: str) -> Iterator[str]:
    entry, embedded = study.config.models[model], embedded_name(study.config, model)
    weights = " with random weights" if entry.weights == "random" else ""
    if embedded is not None:
        yield f"model {model}: {embedded}, which the workflow trains{weights and f'; here{weights}'}"
    elif is_dir(entry.source):
        study.model_folder(model)
        _check_type(model, entry)
        yield f"model {model}: the folder {entry.source}{weights}"
    else:
        yield f"model {model}: {entry.source} of the hub{weights}; `snakemake models` finds or downloads it"


def _check_type(model: str, entry: Model) -> None:
    """Refuse a folder whose model cannot run, by its configuration. Code that comes with a model is not run here."""
    # Here, and not at the top: transformers takes seconds to import.
    from layerwise.models.authors.configs import ABOUT
    from layerwise.models.configuration import read_configuration
    from layerwise.models.type_checks import check_family, check_served

    if entry.adapter in ABOUT:
        return
    check_served(model, entry.adapter, Path(entry.source), entry.trust_remote_code)
    if not entry.trust_remote_code:
        try:
            config = read_configuration(entry.source)
        except (OSError, ValueError) as error:
            raise InputError(
                f"models.{model}: {entry.source} has no config.json that transformers knows ({error})"
            ) from error
        check_family(model, entry.adapter, config.model_type, trust=False)


def _stimuli(study: Study, stimuli: str, folder: Path, quick: bool) -> Iterator[str]:
    # What its recipe reads is a part of every plan.
    study.stimuli_folder(stimuli)
    if not data_are_here(study, stimuli):
        yield f"stimuli {stimuli}: its data are not here yet; `snakemake stimuli` brings and checks them"
    elif not quick:
        yield from try_stimuli(study, stimuli, folder)
