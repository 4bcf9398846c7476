"""What is checked of a model on a few of its own inputs before the long run, whatever its family."""

import logging
from collections.abc import Sequence
from itertools import islice

import pandas as pd
import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.models.memory import Room
from layerwise.models.site_names import AT_SITE, layers_at
from layerwise.states.images import read_image
from layerwise.states.plan import Unit

log = logging.getLogger(__name__)

# How far states over a shared prefix may be from those of the same inputs alone: norm of the difference over norm of
# the vector. A prefix that is not shared exactly is off by percents in float32.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-2}
# A deep model can amplify what is rounded differently beyond that. How much is seen from plain batches, whose states
# are those of single inputs but for rounding; they widen the tolerance, but not by more than this.
WIDEST = 5

# How far the states of a padded batch may be from those of its inputs alone. Rounding in a deep model stays well below
# it in any precision; padding that the model sees, or another picture's, does not.
BATCH_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 1e-1}


def check_prompts(model: FrozenModel, inputs: pd.DataFrame) -> None:
    """Render every prompt once, and prepare the longest one, before anything is run.

    Raises:
        InputError: naming the item whose prompt cannot be shown to this model.
    """
    longest = int(inputs["prompt"].str.len().argmax())
    for row, (item_id, image, prompt) in enumerate(
        zip(inputs["item_id"], inputs["image"], inputs["prompt"], strict=True)
    ):
        try:
            model.render(prompt)
            if row == longest:
                model.prepare([read_image(image)], [prompt])
        except InputError as error:
            raise InputError(f"item {item_id}: {error}") from error


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
    for position in positions:
        layers = layers_at(position, layer_names(model.n_layers))
        relative = relative_difference(*(torch.cat([states[position] for states in each]) for each in (parts, alone)))
        log.info("batches, position %s: differ by %.1e from inputs run alone", position, relative.max())
        if (relative > BATCH_TOLERANCE[model.dtype]).any():
            row, layer = divmod(int(relative.argmax()), len(layers))
            raise InputError(
                f"item {rows['item_id'].iat[row]}: in a batch the state at {layers[layer]}, position {position}, "
                f"differs by {relative.max():.1e} from that of the same input alone, more than the rounding of "
                f"{model.dtype} explains: this model sees padding or the other inputs; set its `batch_size` to 1"
            )


def check_sharing(
    model: FrozenModel, inputs: pd.DataFrame, shards: Sequence[Sequence[Unit]], positions: Sequence[str]
) -> None:
    """Compare states over a shared prefix with those of the same inputs one at a time, before the long run.

    The shortest and the longest prompt of the first two images that share; nothing where none does.

    Raises:
        InputError: naming the item and the layer where they differ by more than rounding.
    """
    for unit in islice((unit for units in shards for unit in units if unit.shared), 2):
        rows = inputs.iloc[sorted({unit.start, unit.stop - 1})]
        image, prompts = read_image(rows["image"].iat[0]), list(rows["prompt"])
        shared = model.states_shared(image, prompts, positions)
        batch = model.states([image] * len(prompts), prompts, positions)
        single = [model.states([image], [prompt], positions) for prompt in prompts]
        for position in positions:
            layers = layers_at(position, layer_names(model.n_layers))
            alone = torch.cat([states[position] for states in single])
            relative, rounding = (
                relative_difference(shared[position], alone),
                relative_difference(batch[position], alone).max(),
            )
            allowed = TOLERANCE[model.dtype] * float((rounding * 2 / TOLERANCE[model.dtype]).clamp(1, WIDEST))
            if position in AT_SITE:
                # What a block adds may be small beside what it is made from, and with it what rounding is compared to.
                # Blocks' outputs, the sums of it all, are held to the finer tolerance.
                allowed = BATCH_TOLERANCE[model.dtype]
            log.info(
                "shared prefix, position %s: differs by %.1e from inputs run alone (batches by %.1e, allowed %.1e)",
                *(position, relative.max(), rounding, allowed),
            )
            # Written so that NaN passes: check_finite says more of it.
            if (relative > allowed).any():
                row, layer = divmod(int(relative.argmax()), len(layers))
                raise InputError(
                    f"item {rows['item_id'].iat[row]}: over a shared prefix the state at {layers[layer]}, position "
                    f"{position}, differs by {relative.max():.1e} from that of the same input alone, more than the "
                    f"rounding of {model.dtype} explains ({allowed:.1e}): this model cannot share prefixes exactly; "
                    "give it an adapter that sets shares_prefix to False"
                )


def relative_difference(states: Tensor, expected: Tensor) -> Tensor:
    """Norm of the difference over norm of the vector, per row and layer; shape (rows, L + 2)."""
    norm = expected.double().norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
    return (states.double() - expected.double()).norm(dim=-1) / norm
