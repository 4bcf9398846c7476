"""A small probed study as files, to sample the items of a page from: tasks of every kind, over real pictures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from layerwise.answers.table import Answers, write_answers
from layerwise.compare.inputs import Given, Task
from layerwise.explore.items.sampling import Plan
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.scoring import predictions_file
from layerwise.several_pictures import joined, joined_checksum
from layerwise.stimuli.items import items_digest

LAYERS, MODELS = 5, ("llava", "twin")
PLAIN = {"text": 'Is it true? "{text}"'}
# By stimulus set its prompts, and how many pictures its items show.
PROMPTS: Mapping[str, Mapping[str, Mapping]] = {
    "captions": {
        "plain": PLAIN,
        "text-only": PLAIN | {"image": "none"},
        "other": PLAIN | {"image": "shuffled"},
        "grey": PLAIN | {"image": "blank"},
    },
    "pairs": {"both": PLAIN, "swapped": PLAIN | {"images": [2, 1]}},
}
PICTURES = {"captions": 1, "pairs": 2}
TASKS = {
    "agree": Task("agree", "captions", "global", "binary", ["match"], ["mismatch", "match"], "accuracy"),
    "what": Task("what", "captions", "local", "multiclass", ["kind"], ["cat", "dog", "cow"], "accuracy"),
    "objects": Task(
        "objects",
        "captions",
        "local",
        "multilabel",
        [f"thing {n}" for n in range(9)],
        ["absent", "present"],
        "accuracy",
    ),
    "order": Task("order", "pairs", "global", "binary", ["first"], ["no", "yes"], "accuracy"),
    "area": Task("area", "captions", "local", "regression", ["area"], [], "r2", units={"area": "of the picture"}),
}


def write_study(folder: Path, items: int = 60, tasks: Sequence[str] = tuple(TASKS), side: int = 40) -> Given:
    """Write a study's stimuli, predictions, estimates and answers.

    Args:
        folder: of the study's results.
        items: of each stimulus set; the first third is for validation.
        tasks: names of :data:`TASKS`.
        side: of the pictures, in pixels.
    """
    files: dict[str, list[Path]] = {"stimuli": []}
    for name in dict.fromkeys(TASKS[task].stimuli for task in tasks):
        _write_stimuli(folder, name, items, side)
        files["stimuli"].append(folder / f"stimuli/{name}/0123abcd/stimuli.json")
    for number, name in enumerate(tasks):
        task = TASKS[name]
        is_number = task.kind == "regression"
        (folder / f"tasks/{name}").mkdir(parents=True)
        file = folder / f"tasks/{name}/task.json"
        file.write_text(json.dumps(vars(task) | {"sources": []}))
        files.setdefault("number-tasks" if is_number else "tasks", []).append(file)
        files["estimates" if is_number else "predictions"] = [folder / "probes"]
        for place, (model, prompt) in enumerate(cells_of(task)):
            _write_probed(folder, task, model, prompt, items, seed=100 * number + place)
    if "agree" in tasks:
        _write_said(folder, items)
        files |= {"answers": [folder / "answers"], "generated": [folder / "generated"]}
    return Given(files)


def cells_of(task: Task) -> list[tuple[str, str]]:
    """Models and prompts of a task's cells."""
    return [(model, prompt) for model in MODELS for prompt in PROMPTS[task.stimuli]]


def plan(folder: Path, tasks: Sequence[str] = tuple(TASKS), **changed) -> Plan:
    """What to sample of it: five items drawn and five of the worst; the page lies in ``folder/explore``."""
    made = Plan(
        cells=[(model, task, prompt) for task in tasks for model, prompt in cells_of(TASKS[task])],
        says=[("llava", "agree", "plain")] if "agree" in tasks else [],
        writes=[("llava", "agree", "plain")] if "agree" in tasks else [],
        shown_as={},
        prompts=PROMPTS,
        items=5,
        seed=0,
        pictures="copied",
        linked=[],
        side=32,
        megabytes=20,
        folder=folder / "explore",
    )
    return replace(made, **changed)


def item_ids(items: int) -> list[str]:
    return [f"item {number:04d}" for number in range(items)]


def _write_stimuli(folder: Path, name: str, items: int, side: int) -> None:
    rng = np.random.default_rng(len(name))
    made = folder / f"stimuli/{name}/0123abcd"
    made.mkdir(parents=True)
    # A name that an address must escape.
    pictures = folder / "my pictures #1"
    pictures.mkdir(exist_ok=True)
    rows = []
    for number, item in enumerate(item_ids(items)):
        paths, sums = [], []
        for place in range(PICTURES[name]):
            path = pictures / f"{name} {number}.{place}.png"
            Image.fromarray(rng.integers(0, 255, (side, side + 8, 3), dtype=np.uint8)).save(path)
            paths.append(str(path))
            sums.append(hashlib.sha256(path.read_bytes()).hexdigest())
        row = {"item_id": item, "image": joined(paths), "image_sha256": joined_checksum(sums)}
        row |= {"text": f"There is thing {number}.", "category": None}
        rows.append(row | ({"picture_sha256": joined(sums)} if len(sums) > 1 else {}))
    table = pd.DataFrame(rows)
    table.to_parquet(made / "items.parquet")
    described = {"stimuli": name, "categories": [], "digest": items_digest(table, []), "pictures": PICTURES[name]}
    (made / "stimuli.json").write_text(json.dumps(described))


def labels_of(task: Task, items: int) -> pd.DataFrame:
    """A row per label and item: label, item_id, split, y. Of tasks with many labels, each item has two."""
    rng = np.random.default_rng(len(task.task))
    ids, number = item_ids(items), len(task.labels)
    rows = [
        {"label": label, "item_id": item, "split": "val" if 3 * place < items else "test"}
        for at, label in enumerate(task.labels)
        for place, item in enumerate(ids)
        if number == 1 or place % number in (at, (at + 1) % number)
    ]
    y = rng.normal(size=len(rows)) if not task.classes else rng.integers(0, len(task.classes), len(rows))
    return pd.DataFrame(rows).assign(y=y)


def _write_probed(folder: Path, task: Task, model: str, prompt: str, items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = labels_of(task, items).assign(group="g", text=-1)
    ending = "predictions" if task.classes else "estimates"
    file = folder / f"probes/{model}/{task.task}/{prompt}.{ending}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    with predictions_file(file) as add:
        for layer in range(LAYERS):
            if task.classes:
                width = 1 if len(task.classes) == 2 else len(task.classes)
                scores = (3 * rng.normal(size=(len(rows), width))).astype(np.float32)
                add(rows.assign(pred=predicted(scores), scores=list(scores), layer=layer))
            else:
                add(rows.assign(estimate=rng.normal(size=len(rows)).astype(np.float32), layer=layer))


def _write_said(folder: Path, items: int) -> None:
    rng = np.random.default_rng(7)
    ids = item_ids(items)
    p = rng.dirichlet([1, 1], size=(LAYERS, items))
    table = pd.concat(
        [
            pd.DataFrame({"layer": layer, "item_id": ids, "scores": list(np.log(p[layer])), "mass": 0.5})
            for layer in range(LAYERS)
        ]
    )
    for name in ("answers", "generated"):
        (folder / f"{name}/llava/captions").mkdir(parents=True)
    classes = ["match", "mismatch"]
    write_answers(folder / "answers/llava/captions/plain.parquet", Answers(classes, {}, {}, table))
    said = [("Yes.", "match"), ("No.", "mismatch"), ("Who knows?", "")]
    texts = pd.DataFrame([said[place % 3] for place in range(items)], columns=["text", "class"])
    texts.assign(item_id=ids).to_parquet(folder / "generated/llava/captions/plain.parquet")
