"""A small finished study, written by the library's own writers: a table of pictures, a model, its states and probes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from layerwise.planning.grid import ProbeCell
from layerwise.probes.fits import Fit
from layerwise.probes.kept import digest_of_labels, probes_file
from layerwise.probes.problems import Standardisation
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import items_digest
from layerwise.study import Study

LAYERS = ["embeddings", "block 1", "block 2", "final norm"]
WIDTH, ITEMS, ROWS = 6, 12, 8
CONFIG = {
    "seed": 1,
    "stimuli": {"own": {"kind": "table", "file": "own.csv", "labels": ["wet"], "prompts": ["describe"]}},
    "tasks": {"wet": {"stimuli": "own", "question": "local"}},
    "models": {"hub": {"source": "lab/model", "revision": "1" * 40}},
    "probes": {"controls": {"random_labels": 0, "description_length": False}},
}


def make_study(folder: Path, config: dict = CONFIG, images: list[str] | None = None) -> Study:
    """Write the results that a run of ``config`` would leave in a folder, and load the study from there.

    Args:
        images: ids of the pictures. Default: file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    names = images or [f"{i}.png" for i in range(ITEMS)]
    (folder / "own.csv").write_text("image,wet\n" + "".join(f"{name},yes\n" for name in names))
    study = Study.load(folder / "study.yaml", directory=folder)
    _write_stimuli(study, names)
    _write_task(study, names)
    for model in study.config.models:
        file = Path(study.model_file(model))
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(_described(model, study.config.models[model].source, folder)))
        _write_cell(study, ProbeCell(model, "wet", "describe"))
    _gather(study)
    return study


def _described(model: str, source: str, folder: Path) -> dict:
    of_hub = source == "lab/model"
    return {
        "model": model,
        "folder": str(folder / "weights"),
        "source": source,
        "revision": "1" * 40 if of_hub else None,
        "weights": "pretrained",
        "convert": None,
        "seed": None,
        "dtype": "bfloat16",
        "adapter": "generic",
        "conversation": "auto",
        "quantization": "none",
        "trust_remote_code": False,
        "model_type": "llava",
        "n_layers": 2,
        "width": WIDTH,
        "image_processor": None,
        "digest": "d" * 64,
    }


def _write_stimuli(study: Study, names: list[str]) -> None:
    folder = Path(study.stimuli_folder("own"))
    folder.mkdir(parents=True)
    ids = [f"{i}" for i in range(ITEMS)]
    shown = pd.DataFrame(
        {"item_id": ids, "image": names, "image_sha256": ids, "text": "a secret text", "category": None}
    )
    shown.to_parquet(folder / "items.parquet")
    provenance = pd.DataFrame({"item_id": ids, "image_id": names, "group": names, "part": "all"})
    provenance.assign(**{"label:wet": ["yes", "no"] * (ITEMS // 2)}).to_parquet(folder / "provenance.parquet")
    said = {"kind": "table", "categories": [], "digest": items_digest(shown, []), "items": ITEMS, "images": ITEMS}
    said["sources"] = [{"file": str(study.directory / "own.csv"), "sha256": "e" * 64}]
    (folder / "stimuli.json").write_text(json.dumps(said))


def _write_task(study: Study, names: list[str]) -> None:
    folder = Path(study.task_folder("wet"))
    folder.mkdir(parents=True)
    split = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    labels = pd.DataFrame({"item_id": [f"{i}" for i in range(ITEMS)], "image_id": names, "group": names})
    labels.assign(label="wet", y=[1, 0] * (ITEMS // 2), split=split).to_parquet(folder / "labels.parquet")
    said = {"labels": ["wet"], "classes": ["no", "yes"], "metric": "accuracy", "stimuli": "own", "question": "local"}
    said["sizes"] = {name: {"items": 4, "images": 4, "groups": 4} for name in ("train", "val", "test")}
    (folder / "task.json").write_text(json.dumps(said))


def _write_cell(study: Study, cell: ProbeCell) -> None:
    """States, kept probes, and what these predict."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(ROWS, len(LAYERS), WIDTH)).astype(np.float32)
    row_of_item = np.arange(ITEMS) % ROWS
    file = Path(study.states_files(cell.model, "own", cell.prompt)[0])
    file.parent.mkdir(parents=True)
    planned = study.grid.planned(cell.model, "own", cell.prompt)
    stimuli = json.loads(Path(study.stimuli_folder("own"), "stimuli.json").read_text())
    of_states = planned | {"model_digest": "d" * 64, "stimuli_digest": stimuli["digest"], "torch": "2.0", "model": "x"}
    with new_states(
        file,
        positions=["last"],
        layers=LAYERS,
        rows=ROWS,
        width=WIDTH,
        dtype="float32",
        item_ids=[f"{i}" for i in range(ITEMS)],
        row_of_item=row_of_item,
        cell=of_states,
    ) as datasets:
        write_rows(datasets["last"], 0, states)
    labels = pd.read_parquet(f"{study.task_folder('wet')}/labels.parquet")
    of_probes = {"task": "wet", "classes": ["no", "yes"], "metric": "accuracy", "position": "last", "seed": 1}
    of_probes |= {"labels_digest": digest_of_labels(labels), "states": of_states, "model_digest": "d" * 64}
    fits = [Fit(rng.normal(size=(1, WIDTH)), rng.normal(size=1), 0.1, True) for _ in LAYERS]
    centred = Standardisation(*(rng.uniform(0.5, 2, WIDTH).astype(np.float32) for _ in range(3)))
    with probes_file(study.probes_file(cell), LAYERS, ["wet"], ["no", "yes"], of_probes) as keep:
        for fit in fits:
            keep([fit], centred)
    rows = []
    for layer in range(len(LAYERS)):
        # As a run predicts: in float32, from standardised states.
        standardised = (states[row_of_item, layer] - centred.mean) * centred.scale
        margins = fits[layer].scores(standardised).astype(np.float32)
        held = labels[labels["split"] != "train"].drop(columns="image_id").assign(layer=layer, text=0)
        margins = margins[held.index]
        rows.append(held.assign(pred=(margins[:, 0] > 0).astype(int), scores=list(margins)))
    predictions = pd.concat(rows, ignore_index=True)
    predictions.to_parquet(study.predictions_file(cell), index=False)
    _write_scores(study, cell, predictions)


def _write_scores(study: Study, cell: ProbeCell, predictions: pd.DataFrame) -> None:
    right = predictions.assign(value=(predictions["y"] == predictions["pred"]).astype(float))
    scores = right.groupby(["layer", "label", "split"], as_index=False)["value"].mean()
    scores = scores.assign(
        probe="logistic", metric="accuracy", n_layers=2, low=0.0, high=1.0, n=4, n_groups=4, n_texts=0
    )
    guess = scores[scores["layer"] == 0].assign(layer=-1, probe="majority", value=0.5)
    scores = pd.concat([guess, scores], ignore_index=True).assign(C=0.1, at_boundary=False)
    scores["layer_name"] = [("majority", *LAYERS)[layer + 1] for layer in scores["layer"]]
    scores.to_parquet(study.scores_file(cell), index=False)
    scores[["layer", "label", "value"]].assign(train_groups=4).to_parquet(study.curve_file(cell), index=False)


def _gather(study: Study) -> None:
    for name, table in (("scores", study.scores()), ("curves", study.curves())):
        table.to_parquet(study.gathered_file(name), index=False)
