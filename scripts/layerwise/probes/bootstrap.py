"""Resample images, not items: items of one image are no independent evidence."""

import numpy as np

RESAMPLES_AT_ONCE = 50


def resample_weights(groups: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each item counts in each bootstrap resample of groups.

    Args:
        groups: shape (n,), the group (image) of each item.
        n_resamples: R.
        rng: the source of randomness.

    Returns:
        Shape (R, n), uint16: multinomial counts over groups, the same for all items of a group. Metrics take it as
        weights, so that no resample is ever copied out.
    """
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1
    weights = np.empty((n_resamples, len(groups)), np.uint16)
    # Some at a time: the generator counts in 64 bits.
    for part in np.array_split(weights, -(-n_resamples // RESAMPLES_AT_ONCE)):
        part[:] = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=len(part))[:, index]
    return weights


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central ``level`` of resampled values, shape (R,); a resample of one class has none and is left out."""
    tail = (1 - level) / 2
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
