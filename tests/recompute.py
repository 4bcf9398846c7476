"""Scores once more, from the kept predictions and the labels, by scikit-learn alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn import metrics
from sklearn.preprocessing import label_binarize

AGREES_WITHIN = 0.002


def disagreements(results: Path, splits: tuple[str, ...] = ("val", "test")) -> pd.DataFrame:
    """Score rows of the task's probes that scikit-learn does not confirm, in every cell of a results folder.

    Returns:
        Rows of scores.parquet with ``expected``, where it differs by more than :data:`AGREES_WITHIN` or either is
        missing.
    """
    scores = pd.read_parquet(results / "probes/scores.parquet")
    scores = scores[(scores["probe"] == "logistic") & scores["split"].isin(splits)]
    found = pd.DataFrame(_all_cells(results, splits))
    by = ["model", "task", "prompt", "layer", "split", "label", "metric"]
    assert len(found), f"{results}: no predictions were kept"
    both = scores.merge(found, on=by, how="outer", validate="one_to_one")
    agrees = (both["value"] - both["expected"]).abs() <= AGREES_WITHIN
    return both[~agrees & ~(both["value"].isna() & both["expected"].isna() & both["n"].notna())]


def _all_cells(results: Path, splits: tuple[str, ...]) -> Iterator[dict]:
    for path in sorted((results / "probes").glob("*/*/*.predictions.parquet")):
        model, task, prompt = path.parts[-3], path.parts[-2], path.name.removesuffix(".predictions.parquet")
        labels = pd.read_parquet(results / "tasks" / task / "labels.parquet")[["item_id", "label", "split", "y"]]
        described = json.loads((results / "tasks" / task / "task.json").read_text())
        n_classes = len(described["classes"]) if described["kind"] == "multiclass" else 2
        kept = pd.read_parquet(path, columns=["layer", "label", "split", "item_id", "scores"])
        # Labels are those of the task, whatever the predictions say they were.
        kept = kept[kept["split"].isin(splits)].merge(labels, on=["item_id", "label", "split"], how="left")
        for (layer, split), rows in kept.groupby(["layer", "split"]):
            by_label = {
                label: _scores(np.stack(of_label["scores"]).astype(np.float64), of_label["y"].to_numpy(), n_classes)
                for label, of_label in rows.groupby("label")
            }
            if len(by_label) > 1:
                by_label["macro"] = pd.DataFrame(by_label).mean(axis=1).to_dict()
            cell = {"model": model, "task": task, "prompt": prompt, "layer": layer, "split": split}
            for label, values in by_label.items():
                for metric, value in values.items():
                    yield cell | {"label": label, "metric": metric, "expected": value}


def _scores(margins: np.ndarray, y: np.ndarray, n_classes: int) -> dict[str, float]:
    if n_classes == 2:
        probabilities = expit(margins[:, 0])
        guess, average = (probabilities > 0.5).astype(int), "binary"
    else:
        probabilities = softmax(margins, axis=1)
        guess, average = probabilities.argmax(axis=1), "macro"
    found = {
        "accuracy": metrics.accuracy_score(y, guess),
        "balanced_accuracy": metrics.recall_score(y, guess, labels=np.unique(y), average="macro", zero_division=0),
        "f1": metrics.f1_score(y, guess, labels=range(n_classes), average=average, zero_division=0),
        "roc_auc": np.nan,
        "average_precision": np.nan,
    }
    complete = len(np.unique(y)) == n_classes
    if complete:
        found["roc_auc"] = metrics.roc_auc_score(y, probabilities, multi_class="ovr", average="macro")
    if n_classes == 2 and (y == 1).any():
        found["average_precision"] = metrics.average_precision_score(y, probabilities)
    elif n_classes > 2 and complete:
        one_hot = label_binarize(y, classes=range(n_classes))
        found["average_precision"] = metrics.average_precision_score(one_hot, probabilities, average="macro")
    return found
