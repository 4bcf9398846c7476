"""What each cell of a study costs, as a table."""

from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.cost.inputs import Inputs, count_inputs
from layerwise.cost.sizes import ModelSize, size_of
from layerwise.grid import Grid, StatesCell
from layerwise.recipes import stimuli_folder

# Pairs of matrix products that the torch engine needs per label and C, on average (docs/benchmarks.md).
PAIRS_PER_FIT = 12
BYTES = {"float32": 4, "bfloat16": 2}


def estimate_states(config: dict[str, Any], results: Path, device: str) -> pd.DataFrame:
    """One row per states cell.

    Args:
        config: the validated config.
        results: the results root, where stimuli and the embedded model are read from if they were made.
        device: ``cuda`` or ``cpu``.

    Returns:
        ``model``, ``stimuli``, ``prompt``, ``images``, ``inputs``, ``layers``, ``width``; ``tokens`` of the decoder;
        ``flop`` (two per parameter and token or patch; attention itself adds a few percent); ``bytes`` of states,
        before compression, which takes about a quarter off 16-bit ones; ``exact``, whether all of it was counted.

    Raises:
        InputError: on a model whose size is unknown.
    """
    grid, embedded = Grid(config), results / "embedded_model/weights"
    sizes = {name: size_of(name, entry, embedded, device) for name, entry in config["models"].items()}
    counted: dict[tuple[str, str], Inputs] = {}
    rows = []
    for cell in grid.states_cells():
        what = cell.stimuli, cell.prompt
        if what not in counted:
            folder = results / stimuli_folder(config, cell.stimuli)
            counted[what] = count_inputs(config, cell.stimuli, grid.prompt(*what), folder)
        rows.append({**cell._asdict(), **_cost(config, grid, cell, counted[what], sizes[cell.model])})
    return pd.DataFrame(rows)


def _cost(config: dict[str, Any], grid: Grid, cell: StatesCell, inputs: Inputs, size: ModelSize) -> dict[str, Any]:
    tokens, patches = (inputs.count * mean for mean in size.per_input(inputs))
    per_input = (size.layers + 2) * len(config["states"]["positions"])
    # A block's heads side by side are about as wide as its output.
    per_input += size.layers * len(grid.sites(cell.model, cell.prompt))
    numbers = per_input * inputs.count * size.width
    return {
        "images": inputs.images,
        "inputs": inputs.count,
        "tokens": round(tokens),
        "flop": 2 * (size.parameters * tokens + size.vision_parameters * patches),
        "layers": size.layers,
        "width": size.width,
        "bytes": numbers * BYTES[config["states"]["dtype"]],
        "exact": inputs.exact and size.exact,
    }


def _fits_per_label(config: dict[str, Any], task: str) -> float:
    """Paths of C that a label takes: its own, those of other splits, of portions of the images, and its controls'."""
    controls = config["probes"]["controls"]
    # Portions are 1/2, 1/4, ... of the images: together about as many as there are. Controls need few of the C.
    portions = 1 if controls["description_length"] else 0
    return 1 + len(config["tasks"][task]["split"].get("seeds", [])) + portions + controls["random_labels"] / 2


def probe_flop(config: dict[str, Any], cells: pd.DataFrame) -> float:
    """Floating-point operations of all probes with the torch engine: two products per pair, for each label and C.

    Args:
        config: the validated config.
        cells: what :func:`estimate_states` gave.
    """
    total = 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    grid = Grid(config)
    for model, task, prompt in grid.probe_cells():
        stimuli = config["tasks"][task]["stimuli"]
        entry = config["stimuli"][stimuli]
        cell = of_cell.loc[(model, stimuli, prompt)]
        # An (image, category) pair is a row of one label; a row of a table, of all its labels.
        labels = len(entry["labels"]) if entry["kind"] == "table" else 1
        products = 4 * PAIRS_PER_FIT * len(config["probes"]["C"]) * cell["inputs"] * cell["width"]
        layers = (cell["layers"] + 2) * _fits_per_label(config, task)
        # Of a block's heads each is narrow, and all together about as wide as its output.
        layers += cell["layers"] * len(grid.sites(model, prompt))
        total += products * labels * layers
    return total
