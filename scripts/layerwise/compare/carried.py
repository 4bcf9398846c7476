"""Kept probes that read the states of other prompts, tasks and versions of a model, without being fitted again.

Columns:

- ``model``: of the states that are read
- ``task``: of these
- ``prompt``: of these
- ``kind``: why the probes are carried: prompts, versions, tasks or labels (of one task, from each to others)
- ``source_model``: of the probes
- ``source_task``: of the probes
- ``source_prompt``: of the probes
- ``layer``: of both, 0 for the embedding output, n_layers + 1 for the final norm; -1 where nothing was scored
- ``n_layers``: blocks of the model
- ``label``: the task's only label, or "macro" for the mean over labels (of kind labels: over pairs of labels)
- ``metric``: the task's own, and roc_auc, which no shift of the threshold changes
- ``centre``: source (the probe as fitted) or own (re-centred: with the mean of the target's training rows in place of
  the mean that the probe was fitted around)
- ``flipped``: whether the score is against flipped classes; both are there where one of the two prompts negates
- ``value``: test score of the carried probe
- ``own``: of the target's own probe on the same items
- ``home``: of the carried probe on the test items of its own cell, of the classes that correspond
- ``loss``: own - value; with loss_low and loss_high
- ``loss_low``: lower end of its 95 % interval
- ``loss_high``: upper end
- ``p_value``: one-sided, of "the own probe is not better", adjusted over the layers up to the topmost block. Only for
  the task's own metric, and classes that are not flipped; also NaN where there are too few images, and in layers whose
  states are the same for all items
- ``p_holm``: at the target's best layer, p_value corrected over all carried probes with the same centre by Holm's
  method; NaN at other layers
- ``best_layer``: the target's layer with the highest validation score of its own probe
- ``chance``: the value of always saying the most frequent class of these items
- ``n``: items scored
- ``n_groups``: groups of these
- ``n_labels``: labels (of kind labels: pairs of labels) that are scored
- ``left_out``: test items left out, because the probes were fitted or chosen on their pictures
- ``why_not``: why nothing was scored; else empty
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.carrying import compare_carried
    from layerwise.compare.transfers import read_transfers

    return compare_carried(read_transfers(given.paths("transfers")), given.scores, given.tasks)


COMPARISON = Comparison(
    # In the headline scores several draws of random weights are one model. Their probes are carried one by one.
    reads=("transfers", "scores", "tasks"),
    columns=(
        "model",
        "task",
        "prompt",
        "kind",
        "source_model",
        "source_task",
        "source_prompt",
        "layer",
        "n_layers",
        "label",
        "metric",
        "centre",
        "flipped",
        "value",
        "own",
        "home",
        "loss",
        "loss_low",
        "loss_high",
        "p_value",
        "p_holm",
        "best_layer",
        "chance",
        "n",
        "n_groups",
        "n_labels",
        "left_out",
        "why_not",
    ),
    compute=compute,
)
