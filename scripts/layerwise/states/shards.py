"""Read the hidden states of a cell from its one file, or from the files of its shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerwise.errors import InputError
from layerwise.states.store import StatesFile


def open_states(paths: Sequence[str | Path], cell: dict[str, Any] | None = None) -> "States":
    """Open the states of a cell: its one file, or all of its shards.

    Raises:
        InputError: when a file is damaged, is no states file, or belongs to another cell or another set of shards;
            when shards are missing.
    """
    files: list[StatesFile] = []
    try:
        for path in paths:
            files.append(StatesFile(path, cell))
        if len(files) == 1 and files[0].shard == (1, 1):
            return files[0]
        return ShardedStates(files)
    except BaseException:
        for file in files:
            file.close()
        raise


class ShardedStates:
    """The shards of a cell as one :class:`~layerwise.states.store.StatesFile`, items in the stimuli's order.

    Raises:
        InputError: when the files are not all shards of one cell, each once.
    """

    def __init__(self, files: Sequence[StatesFile]):
        self._files = sorted(files, key=lambda file: file.shard)
        first = self._files[0]
        self.path, self.layers, self.n_heads = first.path, first.layers, first.n_heads
        self.positions, self.sites = first.positions, first.sites
        self.cell = _unsharded(first.cell)
        self._check_set()
        self._starts = np.cumsum([0, *(file.shape(self.positions[0])[0] for file in self._files)])
        places = np.concatenate([file.places for file in self._files])
        if not np.array_equal(np.sort(places), np.arange(len(places))):
            raise InputError(
                f"{self.path}: its shards do not hold each item once; delete {self._names()} and run again"
            )
        item_ids = np.concatenate([np.asarray(file.item_ids, dtype=object) for file in self._files])
        rows = [file.row_of_item + start for file, start in zip(self._files, self._starts[:-1], strict=True)]
        order = np.argsort(places)
        self.item_ids = item_ids[order].tolist()
        self.row_of_item = np.concatenate(rows)[order]

    def _check_set(self) -> None:
        first = self._files[0]
        n_shards = first.shard[1]
        for file in self._files:
            if file.shard[1] != n_shards or file.layers != first.layers or _unsharded(file.cell) != self.cell:
                raise InputError(
                    f"{file.path}: shard {file.shard[0]} of {file.shard[1]} does not belong to {first.path}: they were "
                    f"made in different ways; delete {self._names()} and run again"
                )
        numbers = [file.shard[0] for file in self._files]
        if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
            raise InputError(f"{first.path}: shard {twice[0]} of {n_shards} is given more than once")
        if missing := sorted(set(range(1, n_shards + 1)) - set(numbers)):
            raise InputError(
                f"{first.path}: of {n_shards} shards {', '.join(map(str, missing))} "
                f"{'is' if len(missing) == 1 else 'are'} missing; run `snakemake states` again"
            )

    def _names(self) -> str:
        return ", ".join(file.path.name for file in self._files)

    def layers_at(self, position: str) -> list[str]:
        """As for a single file."""
        return self._files[0].layers_at(position)

    def shape(self, position: str) -> tuple[int, int]:
        """Rows and width of each layer at one position."""
        return int(self._starts[-1]), self._files[0].shape(position)[1]

    def layer(self, position: str, layer: int, out: np.ndarray | None = None) -> np.ndarray:
        """One layer at one position as float32, shape (rows, width); see :meth:`StatesFile.layer`."""
        out = np.empty(self.shape(position), np.float32) if out is None else out
        for file, start, stop in zip(self._files, self._starts[:-1], self._starts[1:], strict=True):
            file.layer(position, layer, out=out[start:stop])
        return out

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> "ShardedStates":
        return self

    def __exit__(self, *_) -> None:
        self.close()


States = StatesFile | ShardedStates


def _unsharded(cell: dict[str, Any]) -> dict[str, Any]:
    # `path` may differ: a shard without an image that has several texts shares no prefix.
    return {key: value for key, value in cell.items() if key not in ("shard", "path")}
