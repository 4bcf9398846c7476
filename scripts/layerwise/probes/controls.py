"""Problems to compare a probe's score with: random labels, and fewer training images."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd

from layerwise.probes.problems import Problem

# Shares of the training images after which the online code fits a new probe. Voita and Titov also have smaller ones.
PORTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def random_labels(problem: Problem, repeat: int, seed: int) -> Problem:
    """A control task after Hewitt and Liang 2019, arXiv 1909.03368: the same inputs, but labels that mean nothing.

    Hewitt and Liang label word types; we label distinct inputs, which are the rows of the states. An input has the same
    random label wherever it occurs, so that a probe can only memorise it. Labels are drawn without replacement: every
    split keeps its class balance, exactly if each of its rows has one item and is in no other split, else as nearly as
    its rows allow.

    No image is in two splits. So where images are shown no input is either: on held-out items the control is expected
    to be at chance, and its accuracy on *training* rows is what a probe of this capacity can memorise. Texts without
    images may recur; then the control shows how much memorising them helps.

    Args:
        problem: the task's.
        repeat: which of several controls.
        seed: of the study; a label's permutation depends on no other label.
    """
    y: dict[str, np.ndarray] = {}
    label_of, alike = pd.Series(dtype=np.int64), False
    # Training rows first: held-out rows that read the same get their labels.
    for split in sorted(problem.y, key=("train", "val", "test").index):
        labels, rows = problem.y[split], problem.rows[split]
        name = "\0".join((problem.label, split, str(repeat))).encode()
        rng = np.random.default_rng([seed, *hashlib.sha256(name).digest()])
        known = np.isin(rows, label_of.index)
        taken = np.bincount(label_of[rows[known]], minlength=problem.n_classes)
        inputs, sizes = np.unique(rows[~known], return_counts=True)
        drawn = _draw(np.bincount(labels, minlength=problem.n_classes) - taken, sizes, rng)
        if split == "train":
            # With too few inputs for all classes, as without picture and text, labels are drawn by item.
            alike = len(np.unique(drawn)) < len(np.unique(labels))
        if alike:
            y[split] = rng.permutation(labels)
            continue
        label_of = pd.concat([label_of, pd.Series(drawn, inputs)])
        y[split] = label_of[rows].to_numpy()
    return replace(problem, y=y)


def _draw(counts: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A class for each input, shape (inputs,), as from an urn of all items' labels; an input takes one per item.

    Args:
        counts: items of each class, shape (classes,).
        sizes: items of each input, shape (inputs,). The largest draw first; the others even out the balance.
        rng: the source of randomness.
    """
    if (sizes == 1).all() and (counts >= 0).all():
        return rng.permutation(np.repeat(np.arange(len(counts)), counts))
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    left, drawn = counts.astype(float), np.empty(len(sizes), np.int64)
    for place, at in zip(order, rng.random(len(sizes)), strict=True):
        # Classes without labels left, or with a deficit, are drawn only when no other is left.
        upto = np.cumsum(np.maximum(left, 1e-9))
        drawn[place] = np.searchsorted(upto, at * upto[-1], side="right")
        left[drawn[place]] -= sizes[place]
    return drawn


def image_order(problems: list[Problem], seed: int) -> np.ndarray:
    """All training groups (images) of a task in random order, for portions."""
    groups = np.unique(np.concatenate([problem.groups["train"] for problem in problems]))
    return np.random.default_rng([seed, len(groups)]).permutation(groups)


def portion(problem: Problem, groups: np.ndarray) -> Problem:
    """The problem with only the training items of these groups; held-out items stay."""
    of_portion = np.isin(problem.groups["train"], groups)

    def cut(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return parts | {"train": parts["train"][of_portion]}

    return replace(
        problem,
        items=cut(problem.items),
        groups=cut(problem.groups),
        rows=cut(problem.rows),
        y=cut(problem.y),
        texts=cut(problem.texts) if problem.texts else {},
    )
