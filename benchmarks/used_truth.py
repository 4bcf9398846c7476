"""Is a concept that a decoder uses found to be used, in the right blocks, and one that it does not use never?

The decoder of benchmarks/planted_decoder.py, whose use of what it knows is known. Every study draws its own directions and
pictures, and runs the programs of the workflow: states are extracted, probes fitted and kept, concepts fitted from
them, swept, and compared.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.carried import run_program
from benchmarks.planted_decoder import BLOCKS, CLASSES, COLOURS, CONVERSATION, PROMPT, USED, draw_items, make_decoder
from benchmarks.standard_errors import rate_errors

from layerwise.checksums import file_sha256
from layerwise.models.registration import describe_model
from layerwise.stimuli.items import items_digest

ROOT = Path(__file__).resolve().parents[1]
SPLITS = {"train": 400, "val": 100, "test": 100}
NAME, WORDING = "planted", "bright"
ENTRY = {"text": PROMPT, "answers": {name: [name] for name in CLASSES}}
SWEPT = {"strengths": [-2.0, 2.0], "along": "probe", "draws": 10, "seed": 0}


@dataclass(frozen=True)
class Study:
    """The files of one study, made step by step.

    Attributes:
        folder: holds ``model``, ``model.json``, ``stimuli``, ``tasks``, ``states.h5``, and what the programs write.
    """

    folder: Path

    @classmethod
    def draw(cls, folder: Path, seed: int, random: bool = False, splits: Mapping[str, int] = SPLITS) -> "Study":
        """Write a model, its stimuli, and a task per colour."""
        make_decoder(seed, random).save(folder / "model")
        entry = {"source": str(folder / "model"), "weights": "pretrained", "dtype": "float32", "adapter": "generic"}
        description = describe_model(NAME, entry | {"conversation": CONVERSATION}, None, seed)
        (folder / "model.json").write_text(json.dumps(description))
        drawn = draw_items(folder, splits, seed)
        items = drawn[["item_id", "image", "text"]].assign(category=None)
        items.insert(2, "image_sha256", [file_sha256(Path(path)) for path in drawn["image"]])
        (folder / "stimuli").mkdir()
        items.to_parquet(folder / "stimuli/items.parquet")
        described = {"digest": items_digest(items, []), "categories": []}
        (folder / "stimuli/stimuli.json").write_text(json.dumps(described))
        for colour in COLOURS:
            of_task = drawn[["item_id", "split"]].assign(image_id=drawn["item_id"], group=drawn["item_id"])
            of_task = of_task.assign(label=colour, y=drawn[colour].map(CLASSES.index))
            task = {"task": colour, "stimuli": NAME, "question": "local", "labels": [colour], "classes": list(CLASSES)}
            (folder / "tasks" / colour).mkdir(parents=True)
            of_task.to_parquet(folder / "tasks" / colour / "labels.parquet")
            (folder / "tasks" / colour / "task.json").write_text(
                json.dumps(task | {"kind": "binary", "metric": "accuracy"})
            )
        return cls(folder)

    def digests(self) -> dict[str, str]:
        """Of model and stimuli, as a cell of states has them."""
        read = {"model": self.folder / "model.json", "stimuli": self.folder / "stimuli/stimuli.json"}
        return {f"{name}_digest": json.loads(path.read_text())["digest"] for name, path in read.items()}

    def extract(self) -> None:
        """The states of all items."""
        cell = self.digests() | {"prompt": WORDING, "prompt_entry": ENTRY, "positions": ["last"], "dtype": "float32"}
        self._run("extract_states.py", cell=cell, batch_size=64, threads=1, out=self.folder / "states.h5")

    def fit(self, colour: str) -> None:
        """The probes and the concept of a colour."""
        of_task = self._of_task(colour)
        where = {"states": self.folder / "states.h5", "position": "last", "seed": 0, "threads": 1, "memory_mb": 2000}
        where |= {"task": self.folder / "tasks" / colour}
        named = {name: f"{of_task}.{name}.parquet" for name in ("scores", "predictions", "curve")}
        probing = {"engine": "torch", "C": [0.01, 0.1], "resamples": 50, "probes": f"{of_task}.probes.h5"}
        self._run("fit_probes.py", cell={}, **where, **probing, **named)
        concept = {"probes": f"{of_task}.probes.h5", "draws": SWEPT["draws"], "out": f"{of_task}.concept.safetensors"}
        self._run("fit_concept.py", cell={}, **where, **concept)

    def sweep(self, colour: str, items: int = SPLITS["test"], **changed: Any) -> None:
        """The answers of changed runs of one cell; ``changed`` replaces keys of :data:`SWEPT`."""
        of_task = self._of_task(colour)
        cell = {"model": NAME, "task": colour, "stimuli": NAME, "prompt": WORDING, "prompt_entry": ENTRY}
        others = {f"{other}/{WORDING}": f"{self._of_task(other)}.concept.safetensors" for other in COLOURS}
        del others[f"{colour}/{WORDING}"]
        self._run(
            *("sweep_used.py",),
            cell=cell | SWEPT | {"items": items} | changed,
            task=self.folder / "tasks" / colour,
            concept=f"{of_task}.concept.safetensors",
            others=others,
            probes=f"{of_task}.probes.h5",
            threads=1,
            out=f"{of_task}.parquet",
            above=f"{of_task}.above.parquet",
        )

    def _of_task(self, colour: str) -> Path:
        """What the files of a cell begin with."""
        return self.folder / "used" / NAME / colour / WORDING

    def _run(self, script: str, **options: Any) -> None:
        options |= {"model": self.folder / "model.json", "stimuli": self.folder / "stimuli"}
        options |= {"work": self.folder / "work"}
        command = [sys.executable, ROOT / "scripts" / script]
        for name, value in options.items():
            given = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
            command += [f"--{name.replace('_', '-') if len(name) > 1 else name}", *given]
        run_program(list(map(str, command)))
