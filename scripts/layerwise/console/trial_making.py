"""Make the stimuli and tasks of a study in a folder that is thrown away, with the programs of the workflow.

So pictures that are missing or damaged, labels that are too rare and tests that are too small show before a run.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from layerwise.datasets.disk import is_file
from layerwise.errors import InputError
from layerwise.planning.recipes import as_before, as_json, without
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.kinds.table import PICTURES
from layerwise.study import Study
from layerwise.workflow_folder import WORKFLOW

REFUSAL, WARNING = "error: ", " WARNING "


def data_are_here(study: Study, stimuli: str) -> bool:
    """Whether a stimulus set can be made now: nothing must be downloaded, unpacked or drawn first."""
    entry = study.config.stimuli[stimuli]
    kind = KINDS[entry.kind]
    needed = list(kind.source_files(entry, study.data))
    if (reads := kind.reads(entry)) is not None:
        needed += study.data.receipts(*reads)
        if study.data.image_receipts(*reads):
            needed.append(study.stimuli_file(stimuli, "unpacked.json"))
    return all(map(is_file, needed))


def try_stimuli(study: Study, stimuli: str, folder: Path) -> Iterator[str]:
    """Make a stimulus set and show its prompts to it; yields lines that say what it holds.

    Args:
        study: whose set it is.
        stimuli: its name.
        folder: to make it in.

    Raises:
        InputError: as the job of the workflow.
    """
    entry = study.config.stimuli[stimuli]
    made = without(as_before("stimuli", entry.entry()), "prompts")
    # Pictures inside tables are written out; not among the study's own.
    kept, thrown_away = (f"--images={place}/{PICTURES}" for place in (study.data.root, folder))
    options = [thrown_away if option == kept else option for option in KINDS[entry.kind].options(entry, study.data)]
    options += ["--seed", str(study.config.seed)]
    out = folder / stimuli
    yield from _run("make_stimuli.py", "--name", stimuli, "--entry", as_json(made), *options, "--out", str(out))
    prompts = {name: prompt.shown() for name, prompt in study.grid.prompts(stimuli).items()}
    examples = folder / f"{stimuli}.json"
    given = ["--stimuli", str(out), "--prompts", as_json(prompts), "--out", str(examples)]
    yield from _run("check_prompts.py", *given)
    description = json.loads((out / "stimuli.json").read_text(encoding="utf-8"))
    yield f"stimuli {stimuli}: {description['items']} items of {description['images']} pictures"
    for example in json.loads(examples.read_text(encoding="utf-8")):
        shown = " ".join(example["example"].split())
        yield f"  prompt {example['prompt']}: {shown if len(shown) <= 80 else f'{shown[:80]}...'} ({example['image']})"


def try_task(study: Study, task: str, folder: Path) -> Iterator[str]:
    """Make a task over a set that :func:`try_stimuli` made; yields lines that say how it is divided.

    Raises:
        InputError: as the job of the workflow.
    """
    entry, out = study.config.tasks[task], folder / f"task-{task}"
    options = ["--stimuli", str(folder / entry.stimuli), "--seed", str(study.config.seed), "--out", str(out)]
    told = list(_run("make_task.py", "--name", task, "--entry", as_json(entry.entry()), *options))
    # Here, and not at the top: only those who have data wait for pandas.
    import pandas as pd

    labels = pd.read_parquet(out / "labels.parquet", columns=["item_id", "split"]).drop_duplicates("item_id")
    sizes = labels["split"].value_counts()
    parts = ", ".join(f"{sizes[part]} {part}" for part in ("train", "val", "test") if part in sizes)
    classes = json.loads((out / "task.json").read_text(encoding="utf-8")).get("classes")
    yield f"task {task}: {parts}" + (f" ({', '.join(classes)})" if classes else "")
    yield from told


def _run(program: str, *options: str) -> Iterator[str]:
    """Run a program of the workflow; yields its warnings."""
    command = [sys.executable, str(WORKFLOW / "scripts" / program), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    if done.returncode:
        start = next((i for i, line in enumerate(lines) if line.startswith(REFUSAL)), 0)
        raise InputError("\n".join(lines[start:]).removeprefix(REFUSAL))
    yield from (f"  warning: {line.partition(WARNING)[2]}" for line in lines if WARNING in line)
