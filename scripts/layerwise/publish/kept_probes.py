"""Kept probes as safetensors, with a JSON file that says what the axes are."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from layerwise.planning.grid import ProbeCell
from layerwise.probes.kept import KeptProbes
from layerwise.study import Study

AXES = {
    "weights": ["layers", "labels", "margins", "width"],
    "bias": ["layers", "labels", "margins"],
    "C": ["layers", "labels"],
    "centre": ["layers", "width"],
    "deviation": ["layers", "width"],
}
SAYS = ["metric", "position", "engine", "seed", "model_digest", "stimuli_digest", "labels_digest"]
VERSIONS = ["torch", "transformers", "tokenizers", "pillow", "torchvision", "timm", "bitsandbytes"]


def write_probes(study: Study, cell: ProbeCell, folder: Path) -> None:
    """Write the probes of a cell as ``PROMPT.safetensors`` and ``PROMPT.json``.

    Args:
        folder: of the cell's model and task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with KeptProbes(study.probes_file(cell)) as kept:
        layers = [kept.layer(number) for number in range(len(kept.layers))]
        tensors = {name: np.stack([getattr(layer, name) for layer in layers]) for name in AXES}
        states = kept.cell.get("states", {})
        said = cell._asdict() | {key: kept.cell.get(key) for key in SAYS}
        said |= {"layers": kept.layers, "labels": kept.labels, "classes": kept.classes, "axes": AXES}
        said["states_made_with"] = {key: states[key] for key in VERSIONS if key in states}
    save_file(tensors, folder / f"{cell.prompt}.safetensors")
    (folder / f"{cell.prompt}.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
