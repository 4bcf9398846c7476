"""Everything that a published folder holds, but for its checksums."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from layerwise.publish.card_facts import Contents, describe
from layerwise.publish.config_files import write_config
from layerwise.publish.kept_probes import write_probes
from layerwise.publish.kept_states import write_states
from layerwise.publish.private import Private, without_folders
from layerwise.publish.tables import (
    estimates_of,
    is_probed,
    items_of,
    labels_of,
    place_of,
    planned_tables,
    predictions_of,
    stimuli_of,
    write_table,
)
from layerwise.study import Study
from layerwise.tasks.labels import read_task


def write_contents(study: Study, contents: Contents, folder: Path) -> Private:
    """Write all files into an empty folder.

    Returns:
        What is private, to look for in them.
    """
    ids = {stimuli: _ids(study, stimuli) for stimuli in study.grid.used_stimuli()}
    private = Private(study.directory, _words(study))
    for name in planned_tables(study):
        write_table(pq.read_table(study.gathered_file(name)), folder / place_of(name))
    for cell in study.grid.probe_cells():
        where = Path(cell.model, cell.task, f"{cell.prompt}.parquet")
        write_table(predictions_of(study, cell, ids[stimuli_of(study, cell)]), folder / "predictions" / where)
        if study.config.probes.keep:
            write_probes(study, cell, folder / "probes" / cell.model / cell.task)
    for cell in study.grid.number_cells():
        where = Path(cell.model, cell.task, f"{cell.prompt}.parquet")
        write_table(estimates_of(study, cell, ids[stimuli_of(study, cell)]), folder / "estimates" / where)
    for states in contents.states:
        write_states(study, states, folder.joinpath("states", *states), ids[states.stimuli])
    for task, entry in study.config.tasks.items():
        if entry.stimuli in {states.stimuli for states in contents.states}:
            write_table(labels_of(study, task, ids[entry.stimuli]), folder / "labels" / f"{task}.parquet")
    for stimuli in study.grid.used_stimuli() if contents.texts else ():
        write_table(items_of(study, stimuli, ids[stimuli]), folder / "items" / f"{stimuli}.parquet")
    _write_json(folder / "models.json", contents.models, private)
    _write_json(folder / "data.json", contents.data, private)
    configs = write_config(study, folder, private)
    if contents.citation is not None:
        text = contents.citation.read_text(encoding="utf-8")
        (folder / "CITATION.cff").write_text(private.hidden(text), encoding="utf-8")
    describe(study, contents, folder, configs)
    return private


def _ids(study: Study, stimuli: str) -> dict[str, str]:
    """The ids of a stimulus set that are paths of this machine, and what takes their place."""
    found = pd.read_parquet(study.stimuli_file(stimuli, "provenance.parquet"), columns=["item_id", "image_id", "group"])
    return without_folders(pd.unique(found.to_numpy().ravel()).tolist())


def _words(study: Study) -> set[str]:
    """The names that the study uses."""
    config = study.config
    words = {*config.models, *config.tasks, *config.stimuli, *config.datasets}
    for task in config.tasks:
        if is_probed(study, task):
            _, described = read_task(study.task_folder(task))
            words |= {*described["labels"], *described["classes"]}
    return words | {prompt for kind in config.prompts.values() for prompt in kind}


def _write_json(file: Path, said: Any, private: Private) -> None:
    file.write_text(private.hidden(json.dumps(said, indent=2, ensure_ascii=False)) + "\n", encoding="utf-8")
