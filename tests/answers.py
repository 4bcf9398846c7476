"""Tables of answers and of predictions on disk, for the comparisons that read them."""

from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.answers.table import Answers, write_answers
from layerwise.compare.inputs import Given, Model, Task
from tests.given import given

BINARY = Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")
SEVERAL = Task("objects", "pairs", "local", "multilabel", ["cat", "dog"], ["no", "yes"], "accuracy")
THREE = Task("entails", "pairs", "global", "multiclass", ["gold"], ["false", "maybe", "true"], "accuracy")
MODEL = Model("m", "hub", "pretrained", n_layers=1, width=8)
OPTIONS = {"resamples": 400, "permutations": 4999, "seed": 0, "said": ["m/agree/plain"]}


def items(task, n_images=40, per_image=3, texts=None, seed=0):
    """The held-out items of a task: ``label``, ``split``, ``item_id``, ``group``, ``text``, ``y``."""
    rng, parts = np.random.default_rng(seed), []
    for label in task.labels:
        for split in ("val", "test"):
            n = n_images * per_image
            table = pd.DataFrame({"label": label, "split": split, "y": rng.integers(task.n_classes, size=n)})
            # Labels share images, as all categories are asked of one picture.
            table["group"] = [f"{split}{k // per_image}" for k in range(n)]
            table["item_id"] = [f"{label}-{split}-{k:04d}" for k in range(n)]
            table["text"] = rng.permutation(n) % texts if texts else np.arange(n)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def noisy(table, task, strength, seed, image_noise=1.0, bias=0.0):
    """Margins of items, one or one per class: right more often with more ``strength``, alike within an image."""
    rng, y = np.random.default_rng(seed), table["y"].to_numpy()
    codes = pd.factorize(table["group"])[0]
    noise = image_noise * rng.standard_normal(codes.max() + 1)[codes] * (2 * rng.random() - 1)
    if task.n_classes == 2:
        return (strength * (2 * y - 1) + noise + rng.standard_normal(len(y)) + bias)[:, None]
    margins = strength * np.eye(task.n_classes)[y] + rng.standard_normal((len(y), task.n_classes))
    margins[:, -1] += bias
    return margins


def log_probabilities(margins):
    """Scores of answers, shape (n, K), from margins."""
    if margins.shape[1] == 1:
        margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
    return (margins - np.log(np.exp(margins).sum(axis=1, keepdims=True))).astype(np.float32)


def write_cell(folder: Path, task, table, known, said, prompt="plain", mass=0.5, model="m"):
    """Write predictions and answers of a cell, from margins by layer; rows of answers are in another order."""
    parts = [
        table.assign(layer=layer, pred=0, scores=list(margins.astype(np.float32))) for layer, margins in known.items()
    ]
    file = folder / "probes" / model / task.task / f"{prompt}.predictions.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(parts, ignore_index=True).to_parquet(file)
    rows = [
        pd.DataFrame(
            {"layer": layer, "item_id": table["item_id"], "scores": list(log_probabilities(margins)), "mass": mass}
        ).sample(frac=1, random_state=layer)
        for layer, margins in said.items()
    ]
    file = folder / "answers" / model / task.stimuli / f"{prompt}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    tokens = {name: [{"id": k, "text": name}] for k, name in enumerate(task.classes)}
    write_answers(file, Answers(list(task.classes), tokens, {}, pd.concat(rows, ignore_index=True)))


def made(folder: Path, tasks, comparisons=(), models=(MODEL,), options=OPTIONS, **inputs) -> Given:
    """What comparisons of these cells read."""
    folders = {name: folder / name for name in ("answers", "generated") if (folder / name).exists()}
    by_name = {"tasks": {task.task: task for task in tasks}, "models": {model.model: model for model in models}}
    return given(folder, comparisons, options, predictions=folder / "probes", **folders, **by_name, **inputs)


def probe_scores(task, table, known, n_layers=1, prompt="plain", model="m"):
    """Accuracy rows of the probes and the majority, as :mod:`layerwise.probes` gives them; intervals are made up."""
    rows = []
    for split in ("val", "test"):
        of_split = (table["split"] == split).to_numpy()
        cell = {"model": model, "task": task.task, "prompt": prompt, "n_layers": n_layers, "split": split}
        cell |= {"metric": "accuracy", "layer_name": "", "C": 1.0, "at_boundary": False}
        for probe, by_layer in (("logistic", known), ("majority", {-1: None})):
            for layer, margins in by_layer.items():
                values = []
                for label in task.labels:
                    chosen = of_split & (table["label"] == label).to_numpy()
                    y = table["y"].to_numpy()[chosen]
                    if margins is None:
                        value = np.bincount(y).max() / len(y)
                    elif margins.shape[1] == 1:
                        value = ((margins[chosen, 0] > 0) == y).mean()
                    else:
                        value = (margins[chosen].argmax(axis=1) == y).mean()
                    values.append(value)
                names = [*task.labels, "macro"] if len(values) > 1 else task.labels
                for label, value in zip(names, [*values, np.mean(values)], strict=False):
                    bounds = {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 120, "n_groups": 40}
                    rows.append(cell | bounds | {"probe": probe, "layer": layer, "label": label})
    return pd.DataFrame(rows)
