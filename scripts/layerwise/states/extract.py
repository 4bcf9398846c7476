"""Run a frozen model over stimuli and save the hidden states of a few tokens, part by part."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.models.memory import Room
from layerwise.models.site_names import layers_at
from layerwise.states.named import prepare_group, prepare_rows, run_groups, run_rows
from layerwise.states.plan import Unit, ranges_of
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)

# How much is prepared on the host before the device asks for it: so many times what runs together.
AHEAD = 2

Given = TypeVar("Given")
Made = TypeVar("Made")


def extract_parts(
    model: FrozenModel,
    inputs: pd.DataFrame,
    parts: Sequence[Sequence[Unit]],
    positions: Sequence[str],
    work: WorkFolder,
) -> list[tuple[int, int]]:
    """Make every part that is missing.

    One thread reads and prepares images and another writes parts, while the device works.

    Args:
        inputs: ``image``, ``prompt``, ``item_id`` in running order.
        parts: the same inputs in parts, from :func:`layerwise.states.plan.plan_parts`.
        positions: token positions to keep.
        work: where parts are kept.

    Returns:
        The parts as (first row, row after the last).

    Raises:
        InputError: when an image cannot be decoded, or not even one input fits on the device.
        FloatingPointError: on a state that is not finite.
    """
    ranges = ranges_of(parts)
    missing = []
    with tqdm(total=len(inputs), unit="input", mininterval=5) as progress:
        for units, (start, stop) in zip(parts, ranges, strict=True):
            if work.load(start, stop, positions) is None:
                missing.append(units)
            else:
                log.info("rows %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
        extraction = _Extraction(model, inputs, positions)
        with ThreadPoolExecutor(1) as writer, _ended(ThreadPoolExecutor(1)) as host:
            units_ahead = AHEAD * extraction.most_together
            prepared = ahead(host, extraction.prepare, [unit for units in missing for unit in units], units_ahead)
            written: Future | None = None
            for units in missing:
                done: list[dict[str, Tensor]] = []
                for some in extraction.together(units):
                    done += extraction.run(some, list(islice(prepared, len(some))))
                    progress.update(some[-1].stop - some[0].start)
                states = {position: torch.cat([made[position] for made in done]) for position in positions}
                # At most one part waits to be written, so that a slow disk does not fill the memory.
                if written:
                    written.result()
                written = writer.submit(work.save, units[0].start, units[-1].stop, states)
            if written:
                written.result()
    return ranges


@contextmanager
def _ended(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """End the pool with the block: it finishes its current task and begins no other."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(
    pool: ThreadPoolExecutor, make: Callable[[Given], Made], given: Sequence[Given], most: int = AHEAD
) -> Iterator[Made]:
    """What ``make`` returns for each of ``given``, in order, with at most ``most`` of them made in advance.

    An error in the thread is raised here when its result is due.
    """
    waiting: deque[Future] = deque()
    for one in given:
        waiting.append(pool.submit(make, one))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Extraction:
    """How a unit's states are made: what the host does and what the device does."""

    def __init__(self, model: FrozenModel, inputs: pd.DataFrame, positions: Sequence[str]):
        self.model = model
        self.inputs = inputs
        self.positions = positions
        self.layers = layer_names(model.n_layers)
        self.room = Room(len(inputs), "inputs in a batch")
        # Both threads may call the processor; this lock serialises them.
        self.host = Lock()

    def prepare(self, unit: Unit) -> Any:
        """What the host does; None for a batch that is too large for the device and will be prepared in pieces."""
        rows = self.inputs.iloc[unit.start : unit.stop]
        if unit.shared:
            with self.host:
                return prepare_group(self.model, rows)
        return self._prepare_batch(rows) if len(rows) <= self.room.size else None

    def _prepare_batch(self, rows: pd.DataFrame) -> Any:
        with self.host:
            return prepare_rows(self.model, rows)

    @property
    def most_together(self) -> int:
        """The most units that :meth:`together` puts together."""
        return self.model.images_at_once

    def together(self, units: Sequence[Unit]) -> Iterator[list[Unit]]:
        """Units as the device gets them: images with their texts several at a time, a batch by itself."""
        start = 0
        while start < len(units):
            stop = start + 1
            while (
                stop < len(units) and units[start].shared and units[stop].shared and stop - start < self.most_together
            ):
                stop += 1
            yield list(units[start:stop])
            start = stop

    def run(self, units: Sequence[Unit], prepared: Sequence[Any]) -> list[dict[str, Tensor]]:
        """What the device does: states of each unit by position, float32, shape (rows, L + 2, width), on the CPU.

        Raises:
            FloatingPointError: on a state that is not finite.
        """
        tables = [self.inputs.iloc[unit.start : unit.stop] for unit in units]
        if units[0].shared:
            made = run_groups(self.model, tables, prepared, self.positions)
        else:
            made = [self._run_batch(rows, one) for rows, one in zip(tables, prepared, strict=True)]
        states = [{position: one[position].float() for position in self.positions} for one in made]
        for rows, of_unit in zip(tables, states, strict=True):
            check_finite(of_unit, self.layers, list(rows["item_id"]))
        return states

    def _run_batch(self, rows: pd.DataFrame, prepared: Any) -> dict[str, Tensor]:
        def run_piece(start: int, stop: int) -> dict[str, Tensor]:
            piece = rows[start:stop]
            whole = prepared is not None and len(piece) == len(rows)
            return run_rows(self.model, piece, self.positions, prepared if whole else self._prepare_batch(piece))

        pieces = self.room.over(len(rows), run_piece)
        return {position: torch.cat([piece[position] for piece in pieces]) for position in self.positions}


def check_finite(states: dict[str, Tensor], layers: Sequence[str], item_ids: Sequence[str]) -> None:
    """Stop at the first state that is not a finite number.

    Args:
        states: by position, shape (batch, layers, width).
        layers: names of all L + 2 layers.
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
