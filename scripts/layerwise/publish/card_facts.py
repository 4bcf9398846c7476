"""What the card of a published folder says: its files, models, data and tasks, and the cell of its example."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.planning.grid import ProbeCell, StatesCell
from layerwise.probes.kept import KeptProbes
from layerwise.publish.card import applying, best_layers, loading, write_card
from layerwise.publish.kept_probes import VERSIONS
from layerwise.publish.licences import hub_header
from layerwise.publish.tables import is_probed, place_of, planned_tables, stimuli_of
from layerwise.study import Study
from layerwise.tasks.labels import read_task
from layerwise.workflow_folder import version

# In a task's row of the card.
MOST_LABELS = 12
WHERE = {"last": "of the last token", "image-mean": "of the image's tokens, in their mean,"}


@dataclass(frozen=True)
class Contents:
    """What is published, as far as the study does not say it.

    Attributes:
        title: of the card; empty for one that names the models.
        models, data: see :mod:`layerwise.publish.origins`.
        unknown: those of them whose licence nobody said.
        licence: of what is published; empty where none is stated.
        states: cells whose hidden states are published.
        citation: a citation file, if there is one.
        texts: whether texts of data sets are published.
    """

    title: str
    models: Sequence[Mapping[str, Any]]
    data: Sequence[Mapping[str, Any]]
    unknown: Sequence[str]
    licence: str
    states: Sequence[StatesCell]
    citation: Path | None
    texts: bool


def describe(study: Study, contents: Contents, folder: Path, config_files: Sequence[str]) -> None:
    """Write the card.

    Args:
        folder: with all that is published, but for checksums.
        config_files: names of the study's files in it.
    """
    table = folder / place_of("scores")
    scores = pd.read_parquet(table) if table.exists() else None
    best = [] if scores is None else best_layers(study, scores)
    title = contents.title or f"What can be read off the layers of {_listed([m['name'] for m in contents.models])}"
    subsets = dict(_subsets(study, contents))
    example = _example(study, contents, best)
    holds = ["all scores", "every held-out prediction", *["the probes"] * study.config.probes.keep]
    holds += ["hidden states"] * bool(contents.states)
    said = {
        "title": title,
        "models": contents.models,
        "data_sets": contents.data,
        "where": WHERE.get(study.config.states.positions[0], f"at the position {study.config.states.positions[0]}"),
        "holds": _listed(holds),
        "best": best,
        "load": loading(example) if example else "",
        "apply": applying(example) if example and "states" in example else "",
        "example": example,
        "configs": list(subsets),
        "files": list(_files(study, contents, config_files)),
        "more_tables": [name for name in planned_tables(study) if name != "scores"],
        "tasks": [_task(study, task) for task in study.config.tasks if is_probed(study, task)],
        "prompts": [
            {"stimuli": stimuli, "name": name, "text": prompt.text, "image": prompt.image or "shown"}
            for stimuli in study.grid.used_stimuli()
            for name, prompt in study.grid.prompts(stimuli).items()
        ],
        "version": version(),
        "versions": _versions(study),
        "licence": contents.licence,
        "has_states": bool(contents.states),
        "unknown": contents.unknown,
        "citation": contents.citation is not None,
        "texts": contents.texts,
    }
    header = {"pretty_name": title, **hub_header(contents.licence)}
    header |= {"tags": ["interpretability", "probing", "multimodal", "hidden-states", "layerwise"]}
    names = [{"config_name": name, "data_files": path} for name, path in subsets.items()]
    header["configs"] = [names[0] | {"default": True}, *names[1:]]
    write_card(folder, said, header)


def _subsets(study: Study, contents: Contents) -> Iterator[tuple[str, str]]:
    """The tables that the hub shows, by name; of several files a pattern."""
    for name in planned_tables(study):
        yield name, place_of(name)
    if study.grid.probe_cells():
        yield "predictions", "predictions/*/*/*.parquet"
    if study.grid.number_cells():
        yield "estimates", "estimates/*/*/*.parquet"
    for stimuli in study.grid.used_stimuli() if contents.texts else ():
        yield f"items-{stimuli}", f"items/{stimuli}.parquet"


def _files(study: Study, contents: Contents, config_files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the card says of each file."""
    tables = planned_tables(study)
    if "scores" in tables:
        yield "scores.parquet", "every score of every probe, with intervals"
        yield "predictions/MODEL/TASK/PROMPT.parquet", "what each probe says of each held-out item"
    if study.config.probes.keep and study.grid.probe_cells():
        tensors = "`weights`, `bias` and so on"
        yield "probes/MODEL/TASK/PROMPT.safetensors", f"the probes: {tensors}, to apply to hidden states as they are"
        yield (
            "probes/MODEL/TASK/PROMPT.json",
            "the names of their layers, labels and classes, and the axes of the tensors",
        )
    if contents.states:
        place = "states/MODEL/STIMULI/PROMPT"
        cells = ", ".join("/".join(cell) for cell in contents.states)
        yield f"{place}/POSITION/layer-NN.safetensors", f"`states`, (rows, width), float32, of {cells}"
        yield f"{place}/items.parquet", "which row is whose: items with the same input share one"
        yield f"{place}/states.json", "the names of the layers, and versions"
        yield "labels/TASK.parquet", "the labels of these items, and their splits"
    if study.grid.number_cells():
        yield "estimates/MODEL/TASK/PROMPT.parquet", "the number that is read for each held-out item"
    if contents.texts:
        yield "items/STIMULI.parquet", "the texts that the ids stand for, and each prompt as the model read it"
    if more := [name for name in tables if name != "scores"]:
        yield "tables/", f"further tables of scores: {', '.join(more)}"
    yield "models.json", "the models: sources, revisions, precision, licences"
    yield "data.json", "the data: sources, revisions, checksums of files, licences"
    yield "`, `".join(config_files), "the study: as it was written, and with all defaults"
    if contents.citation is not None:
        yield "CITATION.cff", "how to cite this"
    yield "SHA256SUMS", "checksums of all files"


def _example(study: Study, contents: Contents, best: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A cell for the lines that load it: one whose states are published, if there is one. Empty without any probes."""
    if not study.config.probes.keep or not best:
        return {}
    published = {(cell.model, cell.stimuli, cell.prompt): cell for cell in contents.states}
    cells = [(row, ProbeCell(row["model"], row["task"], row["prompt"])) for row in best]
    of_states = [(row, cell) for row, cell in cells if (cell.model, stimuli_of(study, cell), cell.prompt) in published]
    row, cell = (of_states or cells)[0]
    with KeptProbes(study.probes_file(cell)) as kept:
        example = {"label": kept.labels[0], "positive": kept.classes[1], "position": kept.cell["position"]}
    example |= {"layer": row["layer"], "cell": "/".join(cell)}
    if of_states:
        example["states"] = f"states/{cell.model}/{stimuli_of(study, cell)}/{cell.prompt}"
    return example


def _task(study: Study, task: str) -> dict[str, Any]:
    _, described = read_task(study.task_folder(task))
    labels = described["labels"]
    shown = labels[:MOST_LABELS] + [f"and {len(labels) - MOST_LABELS} more"] * (len(labels) > MOST_LABELS)
    return {
        "name": task,
        "stimuli": described["stimuli"],
        "question": described["question"],
        "classes": described["classes"] or ["a number"],
        "labels": shown if len(labels) > 1 else ["-"],
        "items": [described["sizes"].get(split, {}).get("items", 0) for split in ("train", "val", "test")],
    }


def _versions(study: Study) -> str:
    """The libraries that computed the hidden states, as the probes remember them."""
    if not study.config.probes.keep or not (cells := study.grid.probe_cells()):
        return "its own records of versions"
    with KeptProbes(study.probes_file(cells[0])) as kept:
        states = kept.cell.get("states", {})
    return ", ".join(f"{name} {states[name]}" for name in VERSIONS[:2] if name in states)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
