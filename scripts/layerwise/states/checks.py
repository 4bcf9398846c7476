"""Checks of a model on a few of its own inputs before the long run, for every family."""

import logging
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.explained import explained
from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.models.memory import Room
from layerwise.models.site_names import AT_SITE, layers_at
from layerwise.several_pictures import each
from layerwise.states.named import prepare_group, prepare_rows, run_groups, run_rows
from layerwise.states.plan import Unit
from layerwise.states.shape_checks import shapes

log = logging.getLogger(__name__)

# How far states over a shared prefix may be from those of the same inputs alone; see :func:`difference`. Measured by
# benchmarks/precision.py (docs/method.md): in a real decoder of 30 blocks, rounding moved them by 2e-6, 3e-2 and 3e-3.
# In float32 a fault moved them by at least 5e-3.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}
# A deeper model can amplify rounding beyond that. Plain batches show by how much, as their states differ from those of
# single inputs by rounding alone, in the real decoder by at least 0.6 of what shared prefixes do. The tolerance is so
# many times what they show, but not more than so many times as wide.
AS_BATCHES, WIDEST = 4, 4

# How far the states of a padded batch may be from those of its inputs alone. In any precision, rounding in a deep model
# stays well below this; reading padding or another input's picture does not.
BATCH_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 1e-1}
# How far states may differ that are computed in the same way: between the places of a batch that repeats one input, and
# as hooks read them and as the model reports them. In a trained decoder of 30 blocks, on a CPU, the former were equal
# to the bit in float32 and in bfloat16; the latter in tiny models in all precisions.
PLACE_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 1e-2, torch.float16: 1e-2}

# The share of a vector's entries that is left out where norms are compared without the largest.
LARGEST = 0.01
# At most so many inputs of a batch are run alone.
MOST_COMPARED = 8


def check_prompts(model: FrozenModel, inputs: pd.DataFrame) -> None:
    """Render every prompt once, and prepare the longest one, before anything runs.

    Raises:
        InputError: naming the item whose prompt cannot be shown to this model.
    """
    for item_id, image, prompt in inputs[["item_id", "image", "prompt"]].itertuples(index=False):
        try:
            model.render(prompt, len(each(image)) if isinstance(image, str) else 0)
        except InputError as error:
            raise InputError(f"item {item_id}: {error}") from error
    prepare_rows(model, inputs.iloc[[int(inputs["prompt"].str.len().argmax())]])


def check_hooks(model: FrozenModel, inputs: pd.DataFrame, positions: Sequence[str]) -> None:
    """Compare the states read from the first input with those that the family's own forward pass reports.

    No model reports states at sites within blocks. They are read too, so that a site that cannot be kept is told here.

    Raises:
        InputError: naming the layer where they differ by more than rounding, or a site that this family does not have.
    """
    row = inputs.iloc[0]
    prepared = prepare_rows(model, inputs.iloc[:1])
    read = run_rows(model, inputs.iloc[:1], positions, prepared)
    if "last-heads" in positions and not model.n_heads:
        raise InputError(
            "states.sites: heads cannot be kept for this family: its blocks have different numbers of heads; leave "
            "heads out, or leave the model out by states.sites_of"
        )
    at_tokens = [position for position in positions if position not in AT_SITE]
    # A single input with all its hidden states has to fit on the device.
    room = Room(1, "inputs with all their hidden states")
    with explained(f"item {row['item_id']}: a model of type {model.model_type} cannot report its hidden states"):
        reported = room.over(1, lambda *_: model.reported(prepared, at_tokens))[0]
    if reported is None:
        log.info("this family reports no hidden states of its own to check the hooks by")
        return
    # The topmost block's output before the final norm is not reported.
    layers = layer_names(model.n_layers)
    layers = [*layers[:-2], layers[-1]]
    for position in at_tokens:
        ours, theirs = torch.cat([read[position][:, :-2], read[position][:, -1:]], dim=1), reported[position]
        if ours.shape != theirs.shape:
            raise InputError(
                f"the hooks read {ours.shape[1]} layers of width {ours.shape[2]}, but the model reports "
                f"{theirs.shape[1]} of width {theirs.shape[2]}: this family needs an adapter of its own that finds its "
                "decoder"
            )
        # A block's neighbours differ little from it in the few largest entries, which most of a norm is.
        relative = difference(ours, theirs)[0]
        log.info("hooks, position %s: differ by %.1e from what the model reports", position, relative.max())
        # NaN passes this comparison: check_finite has the better message.
        if (wrong := relative > PLACE_TOLERANCE[model.dtype]).any():
            first = int(wrong.int().argmax())
            raise InputError(
                f"item {row['item_id']}: the state read at {layers[first]}, position {position}, differs by "
                f"{relative[first]:.1e} from the hidden state that the model reports there, more than the rounding of "
                f"{model.dtype} explains: this family needs an adapter of its own that finds its decoder"
            )


def check_batches(
    model: FrozenModel, inputs: pd.DataFrame, parts: Sequence[Sequence[Unit]], positions: Sequence[str]
) -> None:
    """Compare a full batch with some of its inputs run alone. Does nothing if all batches hold one input.

    The batch is drawn from all inputs that run in batches. Its first and last places, its longest prompt and pictures
    of different shapes are compared. A second batch repeats one input: there, rounding cannot hide a model that treats
    pictures by their number in the batch.

    Raises:
        InputError: naming the item and the layer where they differ by more than rounding, or an item that the model
            cannot prepare or run together with others.
    """
    plain = [unit for units in parts for unit in units if not unit.shared]
    size = max((unit.stop - unit.start for unit in plain), default=0)
    if size < 2:
        return
    rows = inputs.iloc[[row for unit in plain for row in range(unit.start, unit.stop)]]
    rows = rows.iloc[varied(rows, size)]
    places = varied(rows, MOST_COMPARED)
    # If a batch does not fit on the device, the long run uses smaller ones too.
    room = Room(len(rows), "inputs in a batch")
    together = _in_batches(model, rows, room, positions)
    alone = [run_rows(model, rows.iloc[[place]], positions) for place in places]
    repeated = _in_batches(model, rows.iloc[[0] * len(rows)], room, positions)
    for position in positions:
        single = torch.cat([states[position] for states in alone])
        _compare(model, rows.iloc[places], position, together[position][places], single, BATCH_TOLERANCE)
        first = repeated[position][:1].expand_as(repeated[position])
        _compare(model, rows.iloc[[0] * len(rows)], position, repeated[position], first, PLACE_TOLERANCE)


def _in_batches(model: FrozenModel, rows: pd.DataFrame, room: Room, positions: Sequence[str]) -> dict[str, Tensor]:
    pieces = room.over(len(rows), lambda start, stop: run_rows(model, rows.iloc[start:stop], positions))
    return {position: torch.cat([piece[position] for piece in pieces]) for position in positions}


def _compare(
    model: FrozenModel,
    rows: pd.DataFrame,
    position: str,
    states: Tensor,
    expected: Tensor,
    tolerance: dict[torch.dtype, float],
) -> None:
    relative = difference(states, expected)
    how = "from inputs run alone" if tolerance is BATCH_TOLERANCE else "between the places of a batch"
    log.info("batches, position %s: differ by %.1e %s", position, relative.max(), how)
    # NaN passes this comparison: check_finite has the better message.
    if (relative > tolerance[model.dtype]).any():
        layers = layers_at(position, layer_names(model.n_layers))
        row, layer = divmod(int(relative.argmax()), len(layers))
        raise InputError(
            f"item {rows['item_id'].iat[row]}: in a batch the state at {layers[layer]}, position {position}, differs "
            f"by {relative.max():.1e} {how}, more than the rounding of {model.dtype} explains: a model of type "
            f"{model.model_type} reads padding, the other inputs or an input's place among them; set its `batch_size` "
            "to 1"
        )


def varied(rows: pd.DataFrame, most: int) -> list[int]:
    """Places of rows that differ as much as possible, in rising order.

    The first, the last, the longest prompt, pictures of different shapes for half the places, and evenly spaced rows.

    Args:
        rows: ``image``, ``prompt``.
        most: how many places to give at most.
    """
    if len(rows) <= most:
        return list(range(len(rows)))
    shape = pd.Series(shapes(rows["image"])).drop_duplicates()
    by_ratio = shape.map(lambda size: size[0] / max(size[1], 1)).sort_values(kind="stable").index
    # The tallest and the widest first, then those between.
    differing = [*by_ratio[:1], *by_ratio[-1:], *by_ratio[1:-1]][: max(most // 2, 2)]
    chosen = dict.fromkeys(map(int, [0, len(rows) - 1, rows["prompt"].str.len().argmax(), *differing]))
    between = np.linspace(0, len(rows) - 1, max(most - len(chosen), 0) + 2).round().astype(int)[1:-1]
    # If some of these coincide, the first rows fill up.
    return sorted(list(chosen | dict.fromkeys(map(int, [*between, *range(len(rows))])))[:most])


def check_sharing(
    model: FrozenModel, inputs: pd.DataFrame, parts: Sequence[Sequence[Unit]], positions: Sequence[str]
) -> None:
    """Compare states over a shared prefix, of one picture or of several, with those of the same inputs run alone.

    It uses the shortest and the longest prompt of the first two images that share, which run together if images do, and
    does nothing if none shares.

    Raises:
        InputError: naming the item and the layer where they differ by more than rounding.
    """
    first = islice((unit for units in parts for unit in units if unit.shared), 2)
    tables = [inputs.iloc[sorted({unit.start, unit.stop - 1})] for unit in first]
    prepared = [prepare_group(model, rows) for rows in tables]
    for rows, shared in zip(tables, run_groups(model, tables, prepared, positions), strict=True):
        batch = run_rows(model, rows, positions)
        single = [run_rows(model, rows.iloc[[place]], positions) for place in range(len(rows))]
        for position in positions:
            layers = layers_at(position, layer_names(model.n_layers))
            alone = torch.cat([states[position] for states in single])
            relative = difference(shared[position], alone)
            rounding, finest = float(difference(batch[position], alone).max()), TOLERANCE[model.dtype]
            allowed = min(max(AS_BATCHES * rounding, finest), WIDEST * finest)
            if position in AT_SITE:
                # What a block adds may be small compared with its input, so rounding weighs more there. The finer
                # tolerance applies to the blocks' outputs, which contain all of it.
                allowed = BATCH_TOLERANCE[model.dtype]
            log.info(
                "shared prefix, position %s: differs by %.1e from inputs run alone (batches by %.1e, allowed %.1e)",
                *(position, relative.max(), rounding, allowed),
            )
            # NaN passes this comparison: check_finite has the better message.
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


def difference(states: Tensor, expected: Tensor) -> Tensor:
    """:func:`relative_difference` with and without each vector's few largest entries, whichever is greater.

    The states of trained models have a few entries a hundred times as large as all others (Sun et al. 2024, "Massive
    activations in large language models", arXiv 2402.17762). Compared with them, an error in all other entries is no
    more than the rounding of half precision.
    """
    few = max(1, round(LARGEST * expected.shape[-1]))
    largest = expected.abs().topk(few, dim=-1).indices
    rest, expected_rest = (values.scatter(-1, largest, 0) for values in (states, expected))
    return torch.maximum(relative_difference(states, expected), relative_difference(rest, expected_rest))
