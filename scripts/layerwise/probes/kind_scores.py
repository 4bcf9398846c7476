"""What a further kind of probe reads, layer by layer or all at once, and the rows that tell its layer weights."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.probes.all_layers import AllLayers, States
from layerwise.probes.kinds.kind import ProbeKind
from layerwise.probes.layer_buffer import layer_buffer

# The layer that scores of a probe of all layers have, and its name. (Layer -1 of other scores is the majority.)
ALL_LAYERS, ALL_LAYERS_NAME = -1, "all layers"
LAYER_WEIGHT = "layer_weight"


def read_layers(
    kind: ProbeKind, states: Any, position: str, training_rows: np.ndarray, budget_bytes: int, folder: str | Path
) -> Iterator[tuple[int, str, States]]:
    """The layers that a kind reads: their number, name and states. All at once are those below the final norm.

    Args:
        kind: of probe.
        states: an open states file.
        position: in it.
        training_rows: rows that all layers together are standardised by; a single layer is not standardised.
        budget_bytes: memory for a layer.
        folder: for a file that takes the place of this memory.
    """
    if kind.reads_all_layers:

        def read(layer: int, out: np.ndarray) -> np.ndarray:
            return states.layer(position, layer, out=out)

        below = len(states.layers) - 1
        yield (
            *(ALL_LAYERS, ALL_LAYERS_NAME),
            AllLayers(read, below, states.shape(position), training_rows, budget_bytes, folder),
        )
        return
    with layer_buffer(states.shape(position), budget_bytes, folder) as buffer:
        for layer, name in enumerate(states.layers):
            yield layer, name, states.layer(position, layer, out=buffer)


def layer_weight_rows(fits: Sequence[Any], layers: Sequence[str], scores: pd.DataFrame) -> pd.DataFrame:
    """A row for the weight of each layer, which all labels share; without interval.

    Args:
        fits: probes of all layers.
        layers: names of the layers.
        scores: of these probes; gives the label that stands for the task, and its counts.
    """
    label = "macro" if len(fits) > 1 else scores["label"].iloc[0]
    counts = scores.loc[(scores["label"] == label) & (scores["split"] == "train"), ["n", "n_groups", "n_texts"]].iloc[0]
    weights = fits[0].layer_weights
    return pd.DataFrame(
        {
            "label": label,
            "split": "train",
            "metric": LAYER_WEIGHT,
            "value": weights,
            "low": np.nan,
            "high": np.nan,
            **counts.to_dict(),
            "C": np.nan,
            "at_boundary": False,
            "probe": "task",
            "layer": range(len(weights)),
            "layer_name": list(layers[: len(weights)]),
        }
    )
