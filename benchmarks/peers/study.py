"""The rest of a study on saved states, written with scikit-learn and NumPy: probes of every layer, with intervals.

For each label and layer: standardise, fit a logistic regression for each C, choose C on the validation items, score the
test items, and resample test pictures for an interval. It runs in the plain loop's environment and imports nothing of
this project. The last line printed is JSON.

    python study.py states.safetensors inputs.json
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

LABELS = ["asks_truly", "is_long"]
C = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100]
RESAMPLES = 1000


def main() -> None:
    """Print each label's accuracies by layer, and the time that it took."""
    states, inputs = load_file(sys.argv[1])["states"], json.loads(Path(sys.argv[2]).read_text())
    began = time.process_time()
    split = np.array([one["split"] for one in inputs])
    pictures = np.array([one["picture"] for one in inputs])
    rng = np.random.default_rng(0)
    found = {}
    for label in LABELS:
        y = np.array([one[label] for one in inputs])
        found[label] = [probed(states[:, layer], y, split, pictures, rng) for layer in range(states.shape[1])]
    print(json.dumps({"cpu": time.process_time(), "fitting": time.process_time() - began, "accuracy": found}))


def probed(
    states: np.ndarray, y: np.ndarray, split: np.ndarray, pictures: np.ndarray, rng: np.random.Generator
) -> list[float]:
    """Test accuracy of one layer's probe, and its 95 % interval."""
    train, val, test = (split == part for part in ("train", "val", "test"))
    states = StandardScaler().fit(states[train]).transform(states)
    fits = [LogisticRegression(C=strength, max_iter=1000).fit(states[train], y[train]) for strength in C]
    best = max(fits, key=lambda fit: fit.score(states[val], y[val]))
    right = best.predict(states[test]) == y[test]
    _, picture_of = np.unique(pictures[test], return_inverse=True)
    n = picture_of.max() + 1
    hits, items = np.bincount(picture_of, right), np.bincount(picture_of)
    drawn = rng.integers(0, n, (RESAMPLES, n))
    low, high = np.quantile(hits[drawn].sum(1) / items[drawn].sum(1), [0.025, 0.975])
    return [float(right.mean()), float(low), float(high)]


if __name__ == "__main__":
    main()
