"""The same inputs as a study of this project: its files, and the commands that run it."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from study import LABELS, RESAMPLES, C

from layerwise.models.registration import describe_model
from layerwise.stimuli.items import items_digest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class OurStudy:
    """A folder with the description of a model and of a stimulus set."""

    def __init__(self, folder: Path, model: str, inputs: list[dict[str, Any]], threads: int):
        self.folder, self.inputs, self.threads = folder, inputs, str(threads)
        self.model, self.stimuli, self.states = folder / "model.json", folder / "stimuli", folder / "states.h5"
        entry = {"source": model, "weights": "pretrained", "dtype": "float32", "adapter": "generic"}
        description = describe_model("peers", entry | {"conversation": "auto"}, None, seed=0)
        columns = {
            "item_id": [str(one["id"]) for one in inputs],
            "image": [one["image"] for one in inputs],
            "image_sha256": [str(one["picture"]) for one in inputs],
            "text": [one["text"] for one in inputs],
            "category": None,
        }
        items = pd.DataFrame(columns)
        digest = items_digest(items, [])
        self.stimuli.mkdir(parents=True, exist_ok=True)
        self.model.write_text(json.dumps(description))
        items.to_parquet(self.stimuli / "items.parquet")
        (self.stimuli / "stimuli.json").write_text(json.dumps({"digest": digest, "categories": []}))
        self.cell = {"model_digest": description["digest"], "stimuli_digest": digest, "prompt": "text"}
        self.cell |= {"prompt_entry": {"text": "{text}"}, "positions": ["last"], "dtype": "float32"}

    def extraction(self, work: Path) -> list[str]:
        """The command that makes the states file."""
        command = [sys.executable, str(SCRIPTS / "extract_states.py"), "--model", str(self.model)]
        command += ["--stimuli", str(self.stimuli), "--cell", json.dumps(self.cell), "--batch-size", "16"]
        return [*command, "--threads", self.threads, "--work", str(work), "--out", str(self.states)]

    def probing(self, label: str, work: Path) -> list[str]:
        """The command that fits and scores the probes of a label in all layers."""
        task = self.folder / label
        task.mkdir(exist_ok=True)
        rows = {
            "item_id": [str(one["id"]) for one in self.inputs],
            "image_id": [str(one["picture"]) for one in self.inputs],
            "group": [str(one["picture"]) for one in self.inputs],
            "y": [one[label] for one in self.inputs],
            "label": label,
            "split": [one["split"] for one in self.inputs],
        }
        pd.DataFrame(rows).to_parquet(task / "labels.parquet")
        described = {"task": label, "labels": [label], "classes": ["no", "yes"], "metric": "accuracy"}
        (task / "task.json").write_text(json.dumps(described))
        command = [sys.executable, str(SCRIPTS / "fit_probes.py"), "--states", str(self.states)]
        command += ["--cell", json.dumps(self.cell), "--stimuli", str(self.stimuli), "--task", str(task)]
        command += ["--position", "last", "--engine", "torch", "--C", *map(str, C), "--resamples", str(RESAMPLES)]
        command += ["--seed", "0", "--threads", self.threads, "--memory-mb", "1000", "--work", str(work)]
        for table in ("scores", "predictions", "curve"):
            command += [f"--{table}", str(task / f"{table}.parquet")]
        return command

    def commands(self, work: Path) -> list[list[str]]:
        """The whole study: extraction, then the probes of each label with their intervals."""
        return [self.extraction(work), *(self.probing(label, work) for label in LABELS)]
