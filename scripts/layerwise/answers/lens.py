"""How probable a model's answers are in every layer, read off finished hidden states. NumPy alone.

The logit lens (nostalgebraist 2020): a layer's state at the last position passes the final norm and the output head, as
if the blocks above it were not there. The last layer is the final norm's own output, where the answers are those that
the model gives.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from layerwise.answers.head_file import Asked, Head
from layerwise.errors import InputError
from layerwise.models.head import bend
from layerwise.states.shards import States

POSITION = "last"
# Below the top, so many items show how much probability is left for other words.
MASS_ITEMS = 2000
# States and rows of the head that are multiplied at a time: 64 MB of products.
STATES_AT_ONCE, ROWS_AT_ONCE = 4096, 4096


def read_layers(states: States, head: Head, asked: Asked, mass_items: int = MASS_ITEMS) -> Iterator[pd.DataFrame]:
    """The answers of a cell, a layer at a time: ``layer``, ``item_id``, ``scores``, ``mass``.

    Memory holds one layer's states, and some megabytes.

    Args:
        states: of the cell.
        head: the end of its model.
        asked: the tokens of its prompt's answers.
        mass_items: how many items have a mass below the top.

    Raises:
        InputError: when the states have no last position or another width, or the weights cannot be read.
    """
    rows, width = states.shape(POSITION)
    if width != head.rows.shape[1]:
        raise InputError(f"{states.path}: its states have a width of {width}, its model's head {head.rows.shape[1]}")
    names, row_of_item = states.layers_at(POSITION), np.asarray(states.row_of_item)
    item_ids = pd.Series(states.item_ids, dtype="category")
    sampled = _sampled(len(row_of_item), mass_items)
    values = np.empty((rows, width), np.float32)
    for layer in range(len(names)):
        top = layer == len(names) - 1
        states.layer(POSITION, layer, out=values)
        of_classes = answer_logits(values, head, asked, normed=top)
        items = np.arange(len(row_of_item)) if top else sampled
        needed, place = np.unique(row_of_item[items], return_inverse=True)
        answers = _log_sum_exp(of_classes[needed])
        mass = np.full(len(row_of_item), np.nan)
        mass[items] = np.exp(answers - log_partition(values, needed, head, normed=top))[place]
        scores = of_classes - _log_sum_exp(of_classes)[:, None]
        yield pd.DataFrame(
            {
                "layer": np.int16(layer),
                "item_id": item_ids,
                "scores": list(scores.astype(np.float32)[row_of_item]),
                "mass": mass.astype(np.float32),
            }
        )


def answer_logits(values: np.ndarray, head: Head, asked: Asked, normed: bool) -> np.ndarray:
    """For each state and class, the logarithm of the sum of its answers' exponentiated logits.

    Args:
        values: states of a layer, shape (rows, width), float32.
        head: the end of the model.
        asked: the tokens of each class.
        normed: whether the states have passed the final norm.

    Returns:
        Shape (rows, classes), float64.
    """
    at = {token: place for place, token in enumerate(head.tokens)}
    classes = [[at[token["id"]] for token in tokens] for tokens in asked.tokens.values()]
    used = sorted({place for places in classes for place in places})
    logits = np.empty((len(values), len(used)))
    for start in range(0, len(values), STATES_AT_ONCE):
        part = values[start : start + STATES_AT_ONCE]
        part = part if normed else head.norm(part)
        logits[start : start + STATES_AT_ONCE] = part @ head.rows[used].T + head.bias[used]
    logits = bend(logits, head.bending, np.tanh)
    logits[:, [place for place, token in enumerate(used) if head.tokens[token] in head.bending.never]] = -np.inf
    return np.stack([_log_sum_exp(logits[:, np.searchsorted(used, places)]) for places in classes], axis=1)


def log_partition(values: np.ndarray, which: Sequence[int] | np.ndarray, head: Head, normed: bool) -> np.ndarray:
    """The logarithm of the sum of the exponentiated logits of all tokens, float64, shape (len(which),).

    The head's rows are read from disk in slices.

    Args:
        values: states of a layer, shape (rows, width), float32.
        which: rows of them.
        head: the end of the model.
        normed: whether the states have passed the final norm.
    """
    chosen = values[which]
    if not normed:
        for start in range(0, len(chosen), STATES_AT_ONCE):
            chosen[start : start + STATES_AT_ONCE] = head.norm(chosen[start : start + STATES_AT_ONCE])
    vocabulary = head.stored.shape[0]
    never = np.asarray(head.bending.never, dtype=np.int64)
    total = np.full(len(chosen), -np.inf)
    for first in range(0, vocabulary, ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        rows = head.stored.rows(part, head.dtype)
        bias = 0 if head.stored_bias is None else head.stored_bias.rows(part, head.dtype)
        silent = never[(never >= first) & (never < first + len(rows))] - first
        for start in range(0, len(chosen), STATES_AT_ONCE):
            logits = bend(chosen[start : start + STATES_AT_ONCE] @ rows.T + bias, head.bending, np.tanh)
            logits[:, silent] = -np.inf
            at = slice(start, start + STATES_AT_ONCE)
            total[at] = np.logaddexp(total[at], _log_sum_exp(logits))
    return total


def _sampled(items: int, most: int) -> np.ndarray:
    """The same items in every layer."""
    if items <= most:
        return np.arange(items)
    return np.sort(np.random.default_rng(0).choice(items, most, replace=False))


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float64."""
    greatest = logits.max(-1, keepdims=True)
    # Where nothing can be written, there is nothing to subtract.
    greatest = np.where(np.isfinite(greatest), greatest, 0)
    with np.errstate(divide="ignore"):
        return (np.log(np.exp(logits - greatest).sum(-1, dtype=np.float64)) + greatest[..., 0]).astype(np.float64)
