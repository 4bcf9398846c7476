"""Work in progress on one cell: finished shards that survive a killed job.

The folder is named after the cell's fingerprint, so that what a stopped job left is taken up by the same cell - same
model, stimuli, prompt, code - and by no other. ``manifest.json`` in it lists each shard's rows and checksum.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from layerwise.checksums import file_sha256
from layerwise.command import finished_file
from layerwise.errors import InputError
from layerwise.locks import one_at_a_time
from layerwise.models.site_names import layers_at

log = logging.getLogger(__name__)


class WorkFolder:
    """Shards of consecutive rows, each written whole or not at all, and listed in a manifest."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._manifest_file = folder / "manifest.json"
        self._manifest = self._read_manifest()

    def _read_manifest(self) -> dict[str, dict[str, Any]]:
        try:
            return json.loads(self._manifest_file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            log.warning("%s is damaged (%s); its shards will be made again", self._manifest_file, error)
            return {}

    def _file(self, start: int, stop: int) -> Path:
        return self.folder / f"rows-{start:09d}-{stop:09d}.safetensors"

    def save(self, start: int, stop: int, states: dict[str, Tensor]) -> None:
        """Keep the states of rows ``start`` to ``stop``: by position, shape (rows, layers, width)."""
        shard = self._file(start, stop)
        with finished_file(shard) as file:
            save_file({position: values.contiguous() for position, values in states.items()}, file)
            # Listed before it has its name: killed in between, a shard is listed but missing, never there unlisted.
            self._manifest[shard.name] = {"rows": stop - start, "sha256": file_sha256(file)}
            with finished_file(self._manifest_file) as manifest:
                manifest.write_text(json.dumps(self._manifest, indent=1))

    def load(self, start: int, stop: int, positions: Sequence[str]) -> dict[str, Tensor] | None:
        """A finished shard as it was written; None when it has still to be made, or made again."""
        file = self._file(start, stop)
        listed = self._manifest.get(file.name)
        if listed is None:
            return None
        if not file.exists():
            log.warning("%s is missing and will be made again", file)
            return None
        if file_sha256(file) != listed["sha256"]:
            log.warning("%s is damaged (its checksum is not that of the manifest) and will be made again", file)
            return None
        states = load_file(file)
        if set(states) != set(positions) or any(len(values) != listed["rows"] for values in states.values()):
            log.warning("%s does not hold rows %d to %d and will be made again", file, start, stop)
            return None
        return states

    def widths(self, shard: tuple[int, int], positions: Sequence[str]) -> dict[str, int]:
        """The width of each position's states, as they are in a finished shard."""
        return {position: values.shape[2] for position, values in self._finished(*shard, positions).items()}

    def _finished(self, start: int, stop: int, positions: Sequence[str]) -> dict[str, Tensor]:
        states = self.load(start, stop, positions)
        if states is None:
            raise InputError(
                f"{self._file(start, stop)}: the shard was lost or damaged while the others were made; run the "
                "same command again, and only it is made anew"
            )
        return states

    def assemble(
        self, shards: Sequence[tuple[int, int]], positions: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """First row and states of each of the finished shards, in order.

        Raises:
            InputError: on a shard that was lost or damaged since it was made.
        """
        for start, stop in shards:
            yield start, self._finished(start, stop, positions)


@contextmanager
def work_folder(root: str | Path, fingerprint: str) -> Iterator[WorkFolder]:
    """The work folder of a cell, locked: of two jobs on one cell the second waits, then finds the first one's shards.

    It is removed when the block ends without an error.
    """
    folder = Path(root) / fingerprint[:32]
    # The lock lies beside the folder, so that removing the folder does not remove a lock that someone waits for.
    with one_at_a_time(folder.with_suffix(".lock"), f"on this cell ({folder})"):
        folder.mkdir(parents=True, exist_ok=True)
        yield WorkFolder(folder)
        shutil.rmtree(folder)


def check_finite(states: dict[str, Tensor], layers: Sequence[str], item_ids: Sequence[str]) -> None:
    """Stop at the first state that is not a finite number.

    Args:
        states: by position, shape (batch, layers, width).
        layers: names of the layers.
        item_ids: the batch's items.

    Raises:
        FloatingPointError: naming position, layer and item.
    """
    for position, values in states.items():
        bad = ~torch.isfinite(values).all(dim=2)
        if bad.any():
            names = layers_at(position, list(layers))
            row, layer = bad.nonzero()[0].tolist()
            raise FloatingPointError(
                f"NaN or infinity at {names[layer]}, position {position}, item {item_ids[row]}; "
                "a model in float16 may overflow: try dtype bfloat16 or float32"
            )
