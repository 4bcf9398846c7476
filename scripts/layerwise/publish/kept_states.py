"""Hidden states as safetensors, a file per layer, so that neither we nor readers need more than a layer in memory.

All are float32. What was kept in bfloat16 becomes that exactly; NumPy has no such type.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from layerwise.errors import InputError
from layerwise.planning.grid import StatesCell
from layerwise.publish.kept_probes import VERSIONS
from layerwise.publish.tables import shown_ids, write_table
from layerwise.study import Study

ALL = "all"
GIGABYTE = 1e9


class Chosen(NamedTuple):
    """States that will be published.

    Attributes:
        cell: model, stimuli and prompt.
        bytes_: their size, at all positions.
    """

    cell: StatesCell
    bytes_: int


def chosen_states(study: Study, asked: Sequence[str]) -> list[Chosen]:
    """The states that a user asks for, and how large they are.

    Args:
        asked: each ``model/stimuli/prompt``, or ``all``.

    Raises:
        InputError: when there are none of this name, or they are not there.
    """
    cells = {"/".join(cell): cell for cell in study.grid.states_cells()}
    if strangers := [name for name in asked if name != ALL and name not in cells]:
        raise InputError(f"--states {strangers[0]}: there is no such cell; give {ALL}, or some of {', '.join(cells)}")
    wanted = [cell for name, cell in cells.items() if name in asked or ALL in asked]
    return [Chosen(cell, _size(study, cell)) for cell in wanted]


def check_room(chosen: Iterable[Chosen], folder: Path) -> None:
    """Refuse states that the disk has no room for.

    Args:
        folder: that exists, on the disk that is written to.
    """
    needed, free = sum(states.bytes_ for states in chosen), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: the states take {needed / GIGABYTE:.1f} GB, and {free / GIGABYTE:.1f} GB are free; name fewer "
            "with --states MODEL/STIMULI/PROMPT, or write elsewhere"
        )


def write_states(study: Study, cell: StatesCell, folder: Path, ids: Mapping[str, str]) -> None:
    """Write the states of a cell: ``POSITION/layer-NN.safetensors``, ``items.parquet`` and ``states.json``.

    Args:
        folder: of the cell.
        ids: what takes the place of ids that are private.
    """
    with study.open_states(*cell) as states:
        items = pd.DataFrame({"item_id": states.item_ids, "row": states.row_of_item})
        write_table(items.assign(item_id=shown_ids(items["item_id"], ids)), folder / "items.parquet")
        for position in states.positions:
            (folder / position).mkdir()
            buffer = np.empty(states.shape(position), np.float32)
            for layer in range(len(states.layers_at(position))):
                save_file({"states": states.layer(position, layer, out=buffer)}, folder / position / layer_file(layer))
        said = cell._asdict() | {
            "positions": states.positions,
            "layers": states.layers,
            "rows": states.shape(states.positions[0])[0],
            "width": states.shape(states.positions[0])[1],
            "computed_in": states.cell.get("dtype"),
            "model_digest": states.cell.get("model_digest"),
            "stimuli_digest": states.cell.get("stimuli_digest"),
            "made_with": {key: states.cell[key] for key in VERSIONS if key in states.cell},
        }
    (folder / "states.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def layer_file(layer: int) -> str:
    """The file of a layer, by its index (0 is the embedding output)."""
    return f"layer-{layer:02d}.safetensors"


def _size(study: Study, cell: StatesCell) -> int:
    with study.open_states(*cell) as states:
        sizes = [len(states.layers_at(position)) * np.prod(states.shape(position)) for position in states.positions]
        return int(sum(sizes)) * np.dtype(np.float32).itemsize
