"""Predictions of one layer's probe whose right and wrong answers are chosen."""

import numpy as np
import pandas as pd


def predictions(right, y, group, label="agrees"):
    """One layer's rows from which items it gets right; margins of either sign."""
    margins = np.where(right == (y == 1), 1.0, -1.0)
    items = [f"{label}{i:05d}" for i in range(len(y))]
    return pd.DataFrame({"label": label, "item_id": items, "group": group, "y": y, "scores": [[m] for m in margins]})


def some_right(rate, n):
    """Exactly the rate, at places that differ from rate to rate."""
    return np.random.default_rng(round(1000 * rate)).permutation(n) < round(rate * n)
