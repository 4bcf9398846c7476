"""Run a loaded model's vision tower over pictures, part by part, and keep every block's output."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.models.frozen import FrozenModel
from layerwise.models.image_embeddings import image_embeddings
from layerwise.models.memory import Room
from layerwise.models.vision_tower import VisionTower
from layerwise.states.extract import ahead
from layerwise.states.named import naming, prepare_rows
from layerwise.states.plan import Unit, ranges_of
from layerwise.states.tower.layers import IMAGE_MEAN, PROJECTOR, TOWER, TowerLayer
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)


class TowerRun:
    """Reads pictures: several at once where the tower's rows are the pictures, else one by one.

    Args:
        model: whose decoder has tokens of the image.
        tower: of it.
        prepare: makes the inputs of rows, on the host.

    Attributes:
        together: whether the pictures of a batch run at once, as far as is known.
    """

    def __init__(self, model: FrozenModel, tower: VisionTower, prepare: Callable[[pd.DataFrame], Any]):
        self._model, self._tower, self._prepare = model, tower, prepare
        self.together = True

    def states(self, rows: pd.DataFrame, prepared: Any | None = None) -> dict[str, Tensor]:
        """States by dataset, each of shape (rows, 1, width), float32, on the CPU.

        Args:
            rows: ``item_id``, ``image``, ``prompt``.
            prepared: their inputs, if they have been prepared.
        """
        if self.together or len(rows) == 1:
            found = self._at_once(rows, prepared)
            if found is not None:
                return found
            log.info("the tower's rows are not its pictures: each picture runs by itself")
            self.together = False
        alone = [self._at_once(rows[i : i + 1], None) for i in range(len(rows))]
        return {name: torch.cat([one[name] for one in alone if one]) for name in alone[0] or ()}

    def _at_once(self, rows: pd.DataFrame, prepared: Any | None) -> dict[str, Tensor] | None:
        inputs = self._prepare(rows) if prepared is None else prepared

        def embed(some: pd.DataFrame) -> Tensor:
            # An error is looked into row by row.
            return image_embeddings(self._model, inputs if some is rows else self._prepare(some))

        with self._tower.read() as readings:
            projected = naming(self._model, "run", embed, rows)
        depths = readings.of_pictures(len(rows))
        if depths is None:
            return None
        found = {
            TowerLayer(depth, TOWER, pooling).dataset: states[:, None]
            for depth, by_pooling in enumerate(depths)
            for pooling, states in by_pooling.items()
        }
        return found | {TowerLayer(len(depths), PROJECTOR, IMAGE_MEAN).dataset: projected[:, None]}


def read_parts(
    model: FrozenModel,
    tower: VisionTower,
    inputs: pd.DataFrame,
    parts: Sequence[Sequence[Unit]],
    work: WorkFolder,
) -> None:
    """Make every part that is missing. One thread prepares pictures while the device works.

    Args:
        model: whose decoder has tokens of the image.
        tower: of it.
        inputs: ``item_id``, ``image``, ``prompt``, a row per distinct picture.
        parts: the same rows in parts, from :func:`layerwise.states.plan.plan_parts`.
        work: where parts are kept.

    Raises:
        InputError: when a picture cannot be decoded, or not even one fits on the device.
        FloatingPointError: on a state that is not finite.
    """
    room, host = Room(len(inputs), "pictures in a batch"), Lock()
    names = [layer.dataset for layer in tower_layers(tower)]

    def prepare(rows: pd.DataFrame) -> Any:
        with host:
            return prepare_rows(model, rows)

    run = TowerRun(model, tower, prepare)

    def prepare_ahead(unit: Unit) -> Any:
        # A batch that is too large for the device, or runs picture by picture, is prepared in pieces.
        if not run.together or unit.stop - unit.start > room.size:
            return None
        return prepare(inputs[unit.start : unit.stop])

    def run_batch(rows: pd.DataFrame, prepared: Any) -> dict[str, Tensor]:
        def run_piece(start: int, stop: int) -> dict[str, Tensor]:
            piece = rows[start:stop]
            return run.states(piece, prepared if len(piece) == len(rows) else None)

        pieces = room.over(len(rows), run_piece)
        return {name: torch.cat([piece[name] for piece in pieces]) for name in names}

    with tqdm(total=len(inputs), unit="picture", mininterval=5) as progress, ThreadPoolExecutor(1) as pool:
        for units, (start, stop) in zip(parts, ranges_of(parts), strict=True):
            if work.load(start, stop, names) is not None:
                log.info("pictures %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
                continue
            made = []
            for unit, prepared in zip(units, ahead(pool, prepare_ahead, units), strict=True):
                rows = inputs[unit.start : unit.stop]
                states = run_batch(rows, prepared)
                _check_finite(states, list(rows["item_id"]))
                made.append(states)
                progress.update(len(rows))
            work.save(start, stop, {name: torch.cat([states[name] for states in made]) for name in names})


def tower_layers(tower: VisionTower) -> list[TowerLayer]:
    """The layers that are kept of a tower, and the projector."""
    poolings = tower.poolings
    blocks = [TowerLayer(depth, TOWER, pooling) for depth, found in enumerate(poolings) for pooling in found]
    return [*blocks, TowerLayer(len(poolings), PROJECTOR, IMAGE_MEAN)]


def _check_finite(states: dict[str, Tensor], item_ids: Sequence[str]) -> None:
    for name, values in states.items():
        bad = ~torch.isfinite(values).all(dim=2)
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise FloatingPointError(
                f"NaN or infinity in the vision tower at {name}, item {item_ids[row]}; a model in float16 may "
                "overflow: try dtype bfloat16 or float32"
            )
