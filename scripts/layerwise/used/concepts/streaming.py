"""Moments of all tokens of texts, or of images, in the output of one block, from one run that keeps no state."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from layerwise.models.frozen import FrozenModel, hidden_out
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.concept_entry import selected
from layerwise.models.interventions.kind import How, InterventionKind, Tokens
from layerwise.models.memory import Room
from layerwise.states.named import prepare_group, prepare_rows, run_group, run_rows
from layerwise.states.plan import Unit
from layerwise.used.concepts.moments import Moments

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def streamed_moments(
    model: FrozenModel, inputs: pd.DataFrame, classes: np.ndarray, units: Sequence[Unit], at: str, block: int
) -> Moments:
    """Run a model over inputs once, and take the moments of some tokens behind one block.

    Every token of every input counts once. Where texts share the prefix with their image, the image's tokens run once
    and count once for each text, with the classes of all of them: as if each input had run alone.

    Args:
        model: as it is, without an intervention.
        inputs: ``image``, ``prompt``, ``item_id``, in running order.
        classes: their classes as ones among zeros, shape (inputs, K).
        units: what runs together; prefixes are shared for the image's tokens alone.
        at: ``text`` or ``image``.
        block: its number, from 1.

    Raises:
        InputError: when the model cannot run an input, or a state is not finite.
    """
    reader = _Reader(at, block)
    moments = Moments(model.width, classes.shape[1])
    room = Room(len(inputs), "inputs in a batch")
    before, model.intervention = model.intervention, reader.intervention(model)
    try:
        for unit in tqdm(units, unit="batch", mininterval=5):
            rows, of_rows = inputs.iloc[unit.start : unit.stop], classes[unit.start : unit.stop]
            if unit.shared:
                # At this position only the prefix runs, which holds the image.
                reader.begin(of_rows.mean(axis=0, keepdims=True), len(rows))
                run_group(model, rows, prepare_group(model, rows), ["image-mean"])
                reader.add_to(moments)
                continue

            def run_piece(start: int, stop: int, rows: pd.DataFrame = rows, of_rows: np.ndarray = of_rows) -> None:
                piece = rows[start:stop]
                # A piece that does not fit on the device begins again.
                reader.begin(of_rows[start:stop], 1)
                run_rows(model, piece, ["last"], prepare_rows(model, piece))
                reader.add_to(moments)

            room.over(len(rows), run_piece)
    finally:
        model.intervention = before
    return moments


class _Reader:
    """An intervention that changes nothing: it reads states in forward passes, and says of which classes they are."""

    def __init__(self, at: str, block: int):
        self._at, self._block = at, block
        self._classes, self._weight, self._done = np.empty((0, 0)), 1, 0
        self._read: list[tuple[np.ndarray, np.ndarray]] = []

    def intervention(self, model: FrozenModel) -> Intervention:
        about = InterventionKind(name="read", touches_image=False, check=lambda *_: None, apply=self.apply)
        return Intervention({"read": {"at": self._at}}, model.blocks, about)

    def begin(self, classes: np.ndarray, weight: int) -> None:
        """Begin with inputs of these classes, each of which counts ``weight`` times; forget what was not added."""
        self._classes, self._weight, self._done, self._read = classes, weight, 0, []

    @contextmanager
    def apply(self, how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
        at = selected(tokens, how["at"])

        def read(_block: "nn.Module", _args: tuple, output: Any) -> None:
            hidden = hidden_out(output)
            here = at.to(hidden.device)
            rows = self._done + here.nonzero()[:, 0].cpu().numpy()
            self._read.append((hidden[here].float().cpu().numpy(), self._classes[rows]))

        hook = blocks[self._block - 1].register_forward_hook(read, prepend=True)
        try:
            yield
        finally:
            hook.remove()
        self._done += len(at)

    def add_to(self, moments: Moments) -> None:
        """Add what was read since the last beginning.

        Raises:
            FloatingPointError: on a state that is not finite.
            ValueError: when not all inputs ran.
        """
        if self._done != len(self._classes):
            raise ValueError(f"{self._done} of {len(self._classes)} inputs were read")
        for states, classes in self._read:
            if not np.isfinite(states).all():
                raise FloatingPointError(
                    f"NaN or infinity behind block {self._block}; a model in float16 may overflow: try dtype bfloat16 "
                    "or float32"
                )
            moments.update(states, classes, self._weight)
