"""What ``sweep_used.py`` does: measure one cell, unless that has been done."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerwise.checksums import file_sha256
from layerwise.descriptions import read_description
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.models.interventions.concept_file import ConceptFile
from layerwise.models.versions import library_versions
from layerwise.probes.kept import KeptProbes, digest_of_labels
from layerwise.states.device import start_torch
from layerwise.states.work import WorkFolder, make_once
from layerwise.stimuli.items import read_items
from layerwise.tasks.labels import read_task
from layerwise.used.items import cell_items
from layerwise.used.results import holds, write_above, write_sweep


def sweep_used(
    *,
    model: Path,
    stimuli: Path,
    task: Path,
    cell: Mapping[str, Any],
    concept: Path,
    others: Mapping[str, str],
    probes: Path,
    device_map: dict[str, Any] | str | None,
    cards: int,
    threads: int,
    work: Path,
    kept: Path | None,
    out: Path,
    above: Path,
) -> None:
    """Write the tables of one cell: from kept files, or by running the model.

    Args:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        task: folder of the task.
        cell: what decides the numbers beside these: ``model``, ``task``, ``stimuli``, ``prompt``, ``prompt_entry``,
            ``items``, ``strengths``, ``along``, ``draws``, ``seed``.
        concept: fitted concept of the cell.
        others: those of other tasks, by ``task/prompt``.
        probes: kept probes of the cell.
        device_map: how the model is spread over devices.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.
        work: folder for work in progress.
        kept: folder of finished tables by content; None where none are kept.
        out: the table of changed runs to write.
        above: the table of what probes find above to write.

    Raises:
        InputError: when the input is wrong, before torch is imported; or see
            :class:`layerwise.used.measuring.Measuring`.
    """
    # This checks the input. Torch and the weights are loaded later.
    description = read_description(model, "digest")
    items, stimuli_json = read_items(stimuli)
    labels, task_json = read_task(task)
    chosen = cell_items(items, stimuli_json, labels, task_json, cell)
    own, of_others = ConceptFile(concept), {name: ConceptFile(file) for name, file in others.items()}
    made_from = {
        **cell,
        "model_digest": description["digest"],
        "stimuli_digest": stimuli_json["digest"],
        "labels_digest": digest_of_labels(labels),
        "concept_sha256": file_sha256(concept),
        "others_sha256": {name: file_sha256(Path(file)) for name, file in others.items()},
        "probes_sha256": file_sha256(probes),
    }
    finished = KeptFiles(kept, made_from, [above, out])

    def is_finished(file: Path) -> bool:
        return holds(file, made_from)

    if finished.take(is_finished):
        return
    # They stay taken until the process ends.
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.used.measuring import Measuring

    # With the versions of the libraries, so that a job in another environment starts afresh.
    versions = library_versions()
    fingerprint = hashlib.sha256(json.dumps([made_from, device, versions], sort_keys=True).encode()).hexdigest()

    def make(folder: WorkFolder) -> None:
        frozen = open_model(description, device, device_map=device_map)
        with KeptProbes(probes) as of_cell:
            measuring = Measuring(frozen, description, made_from | versions, chosen, own, of_others, of_cell)
        sweep, found_above = measuring.tables(folder, measuring.make(folder))
        with finished_file(above) as partial:
            write_above(partial, found_above)
        with finished_file(out) as partial:
            write_sweep(partial, sweep)

    make_once(work, fingerprint, finished, is_finished, make)
