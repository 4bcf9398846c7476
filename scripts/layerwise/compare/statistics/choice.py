"""The choice of the best layer of a cell, on validation."""

import pandas as pd

from layerwise.errors import InputError


def choose_layer(validation: pd.DataFrame) -> int:
    """The layer with the highest validation value among the embeddings and the blocks; the lowest of equals.

    The output of the final norm is no candidate: it is that of the topmost block after a fixed rescaling.

    Args:
        validation: One cell's headline rows on the validation split, columns layer, n_layers, value.

    Raises:
        InputError: No candidate has a value.
    """
    candidates = validation[validation["layer"].between(0, validation["n_layers"])].dropna(subset="value")
    if candidates.empty:
        raise InputError("no layer has a validation score to choose by; run the probes of this cell again")
    # Rounded, so that a difference in the last digit of a sum does not decide between equals.
    best = candidates["value"].round(9).max()
    return int(candidates.loc[candidates["value"].round(9) == best, "layer"].min())
