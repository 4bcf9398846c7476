"""What is checked of a model on a few of its own inputs before the long run, whatever its family."""

import logging
from collections.abc import Sequence

import pandas as pd
import torch

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.models.memory import Room
from layerwise.states.extract import TOLERANCE, read_image, relative_difference
from layerwise.states.plan import Unit

log = logging.getLogger(__name__)

# How far the states of a padded batch may be from those of its inputs alone. Rounding in a deep model stays well below
# it in any precision; padding that the model sees, or another picture's, does not.
BATCH_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 1e-1}


def check_hooks(model: FrozenModel, inputs: pd.DataFrame, positions: Sequence[str]) -> None:
    """Compare what is read of the first input with what the family's own forward pass reports.

    Raises:
        InputError: naming the layer where they differ by more than rounding.
    """
    row = inputs.iloc[0]
    prepared = model.prepare([read_image(row["image"])], [row["prompt"]])
    # A single input with all its hidden states must fit on the device.
    reported = Room(1, "inputs with all their hidden states").over(1, lambda *_: model.reported(prepared, positions))[0]
    if reported is None:
        log.info("this family reports no hidden states of its own to check the hooks by")
        return
    read = model.run(prepared, positions)
    # The topmost block's output before the final norm is not reported.
    layers = layer_names(model.n_layers)
    layers = [*layers[:-2], layers[-1]]
    for position in positions:
        ours, theirs = torch.cat([read[position][:, :-2], read[position][:, -1:]], dim=1), reported[position]
        if ours.shape != theirs.shape:
            raise InputError(
                f"the hooks read {ours.shape[1]} layers of width {ours.shape[2]}, but the model reports "
                f"{theirs.shape[1]} of width {theirs.shape[2]}: this family needs an adapter of its own that finds its "
                "decoder"
            )
        relative = relative_difference(ours, theirs)[0]
        log.info("hooks, position %s: differ by %.1e from what the model reports", position, relative.max())
        # Written so that NaN passes: check_finite says more of it.
        if (wrong := relative > TOLERANCE[model.dtype]).any():
            first = int(wrong.int().argmax())
            raise InputError(
                f"item {row['item_id']}: what is read of {layers[first]}, position {position}, differs by "
                f"{relative[first]:.1e} from the hidden state that the model reports there, more than the rounding of "
                f"{model.dtype} explains: this family needs an adapter of its own that finds its decoder"
            )


def check_batches(
    model: FrozenModel, inputs: pd.DataFrame, shards: Sequence[Sequence[Unit]], positions: Sequence[str]
) -> None:
    """Compare a padded batch of two with its inputs one at a time; nothing where no batch has two.

    The shortest and the longest prompt of the first plain batch.

    Raises:
        InputError: naming the item and the layer where they differ by more than rounding.
    """
    batches = (unit for units in shards for unit in units if not unit.shared and unit.stop - unit.start > 1)
    unit = next(batches, None)
    if unit is None:
        return
    rows = inputs.iloc[unit.start : unit.stop]
    rows = rows.iloc[rows["prompt"].str.len().argsort(kind="stable").iloc[[0, -1]]]
    images, prompts = [read_image(path) for path in rows["image"]], list(rows["prompt"])
    # Where two do not fit on the device, no batch will be run.
    parts = Room(2, "inputs in a batch").over(2, lambda a, b: model.states(images[a:b], prompts[a:b], positions))
    alone = [model.states([image], [prompt], positions) for image, prompt in zip(images, prompts, strict=True)]
    layers = layer_names(model.n_layers)
    for position in positions:
        relative = relative_difference(*(torch.cat([states[position] for states in each]) for each in (parts, alone)))
        log.info("batches, position %s: differ by %.1e from inputs run alone", position, relative.max())
        if (relative > BATCH_TOLERANCE[model.dtype]).any():
            row, layer = divmod(int(relative.argmax()), len(layers))
            raise InputError(
                f"item {rows['item_id'].iat[row]}: in a batch the state at {layers[layer]}, position {position}, "
                f"differs by {relative.max():.1e} from that of the same input alone, more than the rounding of "
                f"{model.dtype} explains: this model sees padding or the other inputs; set its `batch_size` to 1"
            )
