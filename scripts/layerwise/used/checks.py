"""Check a model's sweep on one of its own inputs before the long run."""

import logging
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import BatchFeature

from layerwise.errors import InputError
from layerwise.flow.checks import TOLERANCE
from layerwise.flow.free import FreeRun
from layerwise.models.frozen import AnsweringModel
from layerwise.used.answering import Answering
from layerwise.used.naive import hooked
from layerwise.used.runs import CONTROL, OWN, STEER, Runs
from layerwise.used.sweep import SWEEP, swept

log = logging.getLogger(__name__)


def check_sweep(model: AnsweringModel, run: FreeRun, prepared: BatchFeature, answering: Answering, runs: Runs) -> None:
    """Compare some changed runs of an input, and its free run, with whole forward passes with hooks.

    This also shows that the family does nothing after its output head that :mod:`layerwise.models.head` does not know.

    Args:
        model: the model.
        run: the free run of the input.
        prepared: the input.
        answering: the model's answers.
        runs: the changed runs of the cell; those in the first, middle and last block are compared, one of each kind.

    Raises:
        InputError: naming the block and the change whose answers differ by more than rounding, in probability; the
            bounds are those of :mod:`layerwise.flow.checks`.
    """
    some = list(_compared(runs, model.n_layers))
    changes = runs.chosen(some)
    ours = torch.cat([run.top[:, -1], swept(run, changes, room=run.row).top])
    fast = _probabilities(*answering.of_states(ours))
    logits = [hooked(model, prepared, change)[0] for change in (None, *changes)]
    whole = _probabilities(*answering.of_logits(torch.stack(logits)))
    differences = ((fast - whole).abs() / torch.maximum(whole, whole[:1])).amax(1)
    log.info("changed runs: the answers' probabilities are %.1e of themselves off whole passes", differences.max())
    # Written so that NaN does not pass.
    if not (differences <= TOLERANCE[model.dtype]).all():
        worst = int(differences.nan_to_num(math.inf).argmax())
        name = "nothing changed" if worst == 0 else _name(runs, some[worst - 1])
        raise InputError(
            f"with {name}, the probability of an answer differs by {differences[worst]:.1e} of itself from that of a "
            f"whole forward pass, more than the rounding of {model.dtype} explains: {SWEEP.what} cannot be measured in "
            f"this model of type {model.model_type} by runs that go on from a free one; {SWEEP.advice}"
        )


def _probabilities(scores: Tensor, mass: Tensor) -> Tensor:
    """Of each class's answers, shape (runs, K), float64."""
    return scores.double().exp() * mass[:, None].double()


def _compared(runs: Runs, n_layers: int) -> Iterator[int]:
    """Rows of the table: in three blocks one control, and of each other kind the first and the last."""
    for block in sorted({1, (n_layers + 1) // 2, n_layers}):
        here = runs.table[runs.table["block"] == block]
        for (_, source), of_kind in here.groupby(["change", "source"], sort=False):
            rows = of_kind.index.tolist()
            yield from sorted({rows[0]} if source == CONTROL else {rows[0], rows[-1]})


def _name(runs: Runs, row: int) -> str:
    what = runs.table.loc[row]
    how = f"steered by {what['strength']:g}" if what["change"] == STEER else "erased"
    whose = "the concept" if what["source"] == OWN else f"the concept of {what['of']}" if what["of"] else "a control"
    return f"{whose} {how} in block {what['block']}"
