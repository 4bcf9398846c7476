"""Which differences between layers the test splits of a study can show, before anything is run."""

from pathlib import Path
from typing import NamedTuple

from layerwise.cost.inputs import expected_items, size_of_data
from layerwise.descriptions import read_description
from layerwise.probes.power import HeldOutSize, planned_difference
from layerwise.stimuli.parts import official_parts
from layerwise.study import Study


class HeldOut(NamedTuple):
    """The test split of a task.

    Attributes:
        task: its name.
        size: items and groups; None where only the data themselves tell.
        exact: whether they were counted.
        smallest: difference of two layers' accuracy that a test finds in 80 % of studies.
        smallest_corrected: the same after Holm's correction over the study's cells.
    """

    task: str
    size: HeldOutSize | None
    exact: bool
    smallest: float
    smallest_corrected: float


def held_out_tests(study: Study) -> list[HeldOut]:
    """The test splits of all tasks about classes; those of made tasks are counted, others follow from the config."""
    found = []
    # Table 2 has a row for each.
    cells = sum(study.config.models[cell.model].intervention is None for cell in study.grid.probe_cells())
    for task in study.grid.class_tasks():
        made, size = Path(study.task_folder(task)) / "task.json", held_out_size(study, task)
        both = [float("nan")] * 2 if size is None else [planned_difference(size, tests) for tests in (1, cells)]
        found.append(HeldOut(task, size, made.exists(), *both))
    return found


def held_out_size(study: Study, task: str) -> HeldOutSize | None:
    """The test split of a task: counted if it is made, else worked out from the config; None where only the data
    themselves tell."""
    made = Path(study.task_folder(task)) / "task.json"
    if not made.exists():
        return _expected(study, task)
    counts = read_description(made)["sizes"]["test"]
    return HeldOutSize(counts["items"], counts["groups"], counts["items"] / counts["groups"])


def _expected(study: Study, task: str) -> HeldOutSize | None:
    entry = study.config.tasks[task]
    stimuli = study.config.stimuli[entry.stimuli]
    expected = expected_items(study, entry.stimuli)
    if entry.split.by == "random":
        share = float(entry.split.test)
    else:
        # Parts of a table, and of a data set of unknown size, are known only when it is read.
        wanted = getattr(stimuli, "images", None)
        if wanted is None:
            return None
        there, split_of = size_of_data(study, entry.stimuli).images, official_parts(stimuli.kind)
        images = {part: there.get(part, 0) if number == "all" else number for part, number in wanted.items()}
        if not sum(images.values()):
            return None
        share = sum(number for part, number in images.items() if split_of.get(part) == "test") / sum(images.values())
    groups = round(share * expected.images)
    return HeldOutSize(groups * expected.texts_per_image, groups, expected.texts_per_image) if groups else None
