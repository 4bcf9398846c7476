"""Table 1: what was probed. The tasks and their data, whose these are, the models, the prompts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from layerwise.compare.inputs import Model, Task
from layerwise.compare.intervened import in_words as intervention_in_words
from layerwise.compare.rows import majority_scores
from layerwise.compare.shown_pictures import in_words
from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number

SPLITS = ("train", "val", "test")
# By the token position whose states are probed.
PROBED = {
    "last": "the hidden state of the last token of this text",
    "image-mean": "the mean of the hidden states at the image's tokens",
}


def overview_sections(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    prompts: Sequence[Mapping[str, Any]],
    position: str,
    numbers: Mapping[str, Task] | None = None,
) -> list[Section]:
    """The sections of Table 1; class counts, numbers and excluded labels are marked as detail.

    Args:
        scores: The headline scores, see :mod:`layerwise.compare.headline`.
        tasks: Descriptions of tasks about classes.
        models: Model descriptions.
        prompts: The grid's prompts.
        position: Which states are probed, "last" or "image-mean".
        numbers: Descriptions of tasks about numbers.

    Raises:
        InputError: A task has no majority baseline in the scores.
    """
    majority = majority_scores(scores, tasks).groupby("task")["value"].agg(["min", "max"])
    every = [*tasks.values(), *(numbers or {}).values()]
    sections = [_tasks(every, majority), *_data_sets(every)]
    sections += [_models(models.values()), _prompts(prompts, PROBED[position])]
    sections.append(_balance(tasks.values()))
    if numbers:
        sections.append(_numbers(numbers.values()))
    excluded = [(task.task, drop["label"], drop["reason"]) for task in every for drop in task.excluded]
    if excluded:
        frame = pd.DataFrame(excluded, columns=["Task", "Label", "Reason"])
        sections.append(Section("Excluded labels", frame, texts=(("Reason", 0.6),), detail=True))
    return sections


def _tasks(tasks: Iterable[Task], majority: pd.DataFrame) -> Section:
    rows = []
    for task in tasks:
        row: dict[str, str | int] = {"Task": task.task, "Stimuli": task.stimuli, "Question": task.question}
        row |= {
            "Kind": task.kind,
            "Labels": len(task.labels),
            "Excluded": len(task.excluded),
            "Metric": metric_name(task.metric),
        }
        for split in SPLITS:
            sizes = task.sizes.get(split, {})
            row[split.capitalize()] = f"{sizes['items']} / {sizes['images']}" if sizes else "0 / 0"
        # One value, unless prompts were scored on different items. Numbers have no majority.
        of_task = majority.loc[task.task] if task.classes else [float("nan")]
        ends = dict.fromkeys(number(100 * value, ".1f") for value in of_task)
        rows.append(row | {"Majority": "–".join(ends)})
    note = (
        "Train, val and test give items / images. Majority: test score × 100 of always answering the most frequent "
        "class of the train split, as in Table 2; a dash for numbers. Excluded: labels left out for want of examples."
    )
    numbers = ("Labels", "Excluded", "Train", "Val", "Test", "Majority")
    return Section("Tasks", pd.DataFrame(rows), note, numbers, (("Task", 0.12), ("Stimuli", 0.11), ("Metric", 0.08)))


def _data_sets(tasks: Iterable[Task]) -> list[Section]:
    """Whose data tasks are about: a row for each commit on the hub. Empty where nothing came from there."""
    stimuli: dict[tuple[str, str], list[str]] = {}
    said: dict[tuple[str, str], Mapping[str, str]] = {}
    for task in tasks:
        for source in task.sources:
            if "repository" in source:
                of_hub = (source["repository"], source["revision"])
                said[of_hub] = source
                stimuli.setdefault(of_hub, []).append(task.stimuli)
    rows = [
        {
            "Data set": repository,
            "Stimuli": ", ".join(dict.fromkeys(stimuli[repository, revision])),
            "Revision": revision[:12],
            "Licence": source["licence"] or "not stated",
            "Citation": source["citation"] or "not stated",
        }
        for (repository, revision), source in said.items()
    ]
    note = "From the Hugging Face hub. Licence and citation are those that the study's file gives, or else the card's."
    texts = (("Data set", 0.18), ("Stimuli", 0.14), ("Licence", 0.1), ("Citation", 0.42))
    return [Section("Data sets", pd.DataFrame(rows), note, texts=texts)] if rows else []


def _balance(tasks: Iterable[Task]) -> Section:
    rows = []
    for task in tasks:
        for label, splits in task.balance.items():
            row = {"Task": task.task, "Label": label}
            for split in SPLITS:
                row[split.capitalize()] = ", ".join(f"{name}: {n}" for name, n in splits.get(split, {}).items())
            rows.append(row)
    frame = pd.DataFrame(rows, columns=["Task", "Label", *map(str.capitalize, SPLITS)])
    return Section("Class balance", frame, "Items of each class.", detail=True, row_names=2)


def _numbers(tasks: Iterable[Task]) -> Section:
    rows = []
    for task in tasks:
        for label, splits in task.numbers.items():
            row = {"Task": task.task, "Label": label, "Unit": task.units.get(label, "")}
            for split in SPLITS:
                mean, deviation = (number(splits[split][key], ".3g") for key in ("mean", "std"))
                row[split.capitalize()] = f"{mean} ({deviation})"
            rows.append(row)
    frame = pd.DataFrame(rows, columns=["Task", "Label", "Unit", *map(str.capitalize, SPLITS)])
    return Section("Numbers", frame, "Mean, and in brackets standard deviation.", detail=True, row_names=2)


def _models(models: Iterable[Model]) -> Section:
    rows = [
        {
            "Model": model.model,
            "Weights": model.weights + (f", {model.draws} draws" if model.draws > 1 else ""),
            "Intervention": intervention_in_words(model.intervention) if model.intervention else "",
            "Layers": model.n_layers,
            "Width": model.width,
            "Precision": model.dtype or "",
            "Source": model.source,
            "Revision": (model.revision or "")[:12],
        }
        for model in models
    ]
    if not any(row["Intervention"] for row in rows):
        rows = [{key: value for key, value in row.items() if key != "Intervention"} for row in rows]
    note = "Layers: decoder blocks. Width: units of the hidden state. Random weights: an untrained twin as baseline."
    return Section("Models", pd.DataFrame(rows), note, ("Layers", "Width"), (("Model", 0.2), ("Source", 0.3)))


def _prompts(prompts: Sequence[Mapping[str, Any]], probed: str) -> Section:
    rows = [{"Stimuli": p["stimuli"], "Prompt": p["prompt"], "Text": p["text"]} for p in prompts]
    frame = pd.DataFrame(rows, columns=["Stimuli", "Prompt", "Text"])
    note = f"The probed vector is {probed}."
    texts = [("Stimuli", 0.14), ("Prompt", 0.18), ("Text", 0.58)]
    if any(p.get("pictures", 1) > 1 for p in prompts):
        frame.insert(2, "Pictures", list(map(_pictures, prompts)))
        note += (
            " Pictures: how many an item has, and which of them the prompt shows. {image 1} is the place of the first."
        )
        texts = [("Stimuli", 0.12), ("Prompt", 0.14), ("Pictures", 0.2), ("Text", 0.44)]
    return Section("Prompts", frame, note, texts=tuple(texts), row_names=2)


def _pictures(prompt: Mapping[str, Any]) -> str:
    """How many pictures an item has, and of several which of them are shown."""
    n_pictures = prompt.get("pictures", 1)
    return f"{n_pictures}: {in_words(prompt)}" if n_pictures > 1 else str(n_pictures)
