"""A small study whose scores are chosen: a model that knows something from layer 2 on, and its untrained twin."""

from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Model, Task
from tests.predictions import predictions

TASKS = {"agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")}
MODELS = {name: Model(name, "hub", "random" if "twin" in name else "pretrained", 4, 8) for name in ("own", "twin")}
# By model and prompt the test scores of layers 0 to 4: knowledge begins at 2, and the text alone gives some from 1 on.
RATES = {
    ("own", "plain"): (0.5, 0.64, 0.8, 0.9, 0.66),
    ("own", "words"): (0.5, 0.64, 0.64, 0.64, 0.64),
    ("own", "asked"): (0.5, 0.5, 0.51, 0.5, 0.5),
    ("twin", "plain"): (0.5, 0.5, 0.55, 0.5, 0.52),
}
PROMPTS = [
    {"stimuli": "pairs", "prompt": "plain", "text": "Is it so?", "image": "shown"},
    {"stimuli": "pairs", "prompt": "words", "text": "Is it so?", "image": "none"},
    {"stimuli": "pairs", "prompt": "asked", "text": "Really?", "image": "shown"},
]


def write_cells(root: Path) -> pd.DataFrame:
    """Write the predictions of all cells below a folder, and return their scores."""
    n, rows = 400, []
    y, group = np.arange(n) % 2, np.arange(n) // 2
    for (model, prompt), rates in RATES.items():
        parts = []
        for place, rate in enumerate(rates):
            right = np.random.default_rng([place, *f"{model} {prompt}".encode()]).permutation(n) < round(rate * n)
            parts.append(predictions(right, y, group).assign(layer=place, split="test", pred=0))
            cell = {"model": model, "task": "agree", "prompt": prompt, "n_layers": 4, "label": "agrees", "C": 1.0}
            cell |= {"metric": "accuracy", "n": n, "n_groups": n // 2, "at_boundary": False, "layer_name": ""}
            for split in ("val", "test"):
                score = {"value": right.mean(), "low": rate - 0.05, "high": rate + 0.05, "split": split}
                rows.append(cell | score | {"layer": place, "probe": "logistic"})
                if place == 0:
                    rows.append(cell | score | {"layer": -1, "probe": "majority", "value": 0.5})
        path = root / model / "agree" / f"{prompt}.predictions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(parts).to_parquet(path)
    return pd.DataFrame(rows)
