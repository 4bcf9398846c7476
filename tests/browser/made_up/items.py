"""Made-up test items: pictures, texts, what probes read, what models say. The real program samples them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from layerwise.answers.table import Answers, write_answers
from layerwise.compare.inputs import Task
from layerwise.explore.items.names import SAMPLE_FILES
from tests.browser.made_up.programs import run
from tests.browser.made_up.study import PROMPTS, TASKS, TEXT_ONLY, Size, risen
from tests.cells import write_items

COLOURS = ("#d04020", "#2060c0", "#20a040", "#e0b000", "#8040a0")


def sampled_items(folder: Path, size: Size) -> list[Path]:
    """Write what items are sampled from, and sample them. Returns the sample's files."""
    shown = []
    for task in TASKS[: size.tasks]:
        shown.append(_stimuli(folder / "stimuli" / task.stimuli / "0", task, size))
        for place, model in enumerate(size.all_models):
            for prompt in PROMPTS[: size.prompts]:
                _cell(folder, task, model, prompt, size, seed=place)
    folder_of_tasks = folder / "tasks"
    folder_of_tasks.mkdir(exist_ok=True)
    for task in TASKS[: size.tasks]:
        (folder_of_tasks / f"{task.task}.json").write_text(json.dumps(vars(task)), encoding="utf-8")
    images = {prompt: "none" if prompt == TEXT_ONLY else "shown" for prompt in PROMPTS[: size.prompts]}
    entries = {name: {"text": f"{name}: {{text}}", "image": image} for name, image in images.items()}
    inputs = {"predictions": [folder / "probes"], "answers": [folder / "answers"], "stimuli": shown}
    inputs["tasks"] = sorted(folder_of_tasks.iterdir())
    cells = [f"{{}}/{name}/{','.join(PROMPTS[: size.prompts])}" for name in size.task_names]
    (folder / "explore").mkdir(exist_ok=True)
    run(
        "sample_items",
        inputs=[f"{name}={path}" for name, paths in inputs.items() for path in paths],
        cells=[cell.format(",".join(size.all_models)) for cell in cells],
        says=[cell.format(",".join(size.trained)) for cell in cells],
        prompts=json.dumps({task.stimuli: entries for task in TASKS[: size.tasks]}),
        items=40,
        seed=0,
        pictures="copied",
        side=96,
        megabytes=20,
        out=folder / "explore",
    )
    return [folder / "explore" / name for name in SAMPLE_FILES]


def _item_ids(task: Task, size: Size) -> list[str]:
    return [f"{label}-{number:04d}" for label in task.labels for number in range(size.items)]


def _stimuli(folder: Path, task: Task, size: Size) -> Path:
    """A stimulus set of which two items share a picture. Returns its description."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(size.items // 2):
        picture = Image.new("RGB", (120, 90), "white")
        box = (10 + number % 50, 10, 60 + number % 50, 70)
        ImageDraw.Draw(picture).ellipse(box, fill=COLOURS[number % 5], outline=COLOURS[number // 5 % 5], width=4)
        picture.save(pictures / f"{number}.png")
    items = _item_ids(task, size)
    texts = [f"A thing called {item} is in the image." for item in items]
    images = [pictures / f"{place % size.items // 2}.png" for place in range(len(items))]
    write_items(folder, list(zip(items, images, texts, strict=True)))
    return folder / "stimuli.json"


def _cell(folder: Path, task: Task, model: str, prompt: str, size: Size, seed: int) -> None:
    """The predictions of a cell; of a trained model its answers, too."""
    random = np.random.default_rng(seed)
    items = _item_ids(task, size)
    y = np.arange(len(items)) % task.n_classes
    keys = {"label": [item.rpartition("-")[0] for item in items], "split": "test", "item_id": items, "y": y}
    table = pd.DataFrame(keys | {"group": [f"image-{place // 2}" for place in range(len(items))], "text": 0, "pred": 0})
    layers = pd.DataFrame({"layer": range(size.layers), "n_layers": size.n_layers, "model": model, "prompt": prompt})
    noise = random.normal(size=(len(items), task.n_classes if task.n_classes > 2 else 1))
    parts, said = [], []
    for layer, strength in enumerate(6 * (risen(layers, "layer", 50) - 0.5)):
        steps = noise + 0.4 * random.normal(size=noise.shape)
        right = 2 * y[:, None] - 1 if task.n_classes == 2 else np.eye(task.n_classes)[y]
        margins = (strength * right + steps).astype(np.float32)
        parts.append(table.assign(layer=layer, scores=list(margins)))
        whole = margins if task.n_classes > 2 else np.concatenate([np.zeros_like(margins), margins - 2], axis=1)
        scores = whole - np.log(np.exp(whole).sum(axis=1, keepdims=True))
        said.append(pd.DataFrame({"layer": layer, "item_id": items, "scores": list(scores), "mass": 0.8}))
    file = folder / "probes" / model / task.task / f"{prompt}.predictions.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(parts, ignore_index=True).to_parquet(file)
    if model in size.trained:
        file = folder / "answers" / model / task.stimuli / f"{prompt}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        tokens = {name: [{"id": place, "text": name}] for place, name in enumerate(task.classes)}
        write_answers(file, Answers(list(task.classes), tokens, {}, pd.concat(said, ignore_index=True)))
