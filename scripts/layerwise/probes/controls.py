"""Problems that say what a probe's score is worth: labels at random, and fewer training images."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd

from layerwise.probes.problems import Problem

# Shares of the training images after which the online code fits a new probe; Voita and Titov go on to smaller ones.
PORTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def random_labels(problem: Problem, repeat: int, seed: int) -> Problem:
    """A control task after Hewitt and Liang 2019, arXiv 1909.03368: the same inputs, but labels that mean nothing.

    A type, in their words, is here one distinct model input - a row of the states -, as their words are for a tagger:
    what reads the same has the same random label wherever it occurs, and all that a probe can do is to remember it.
    Labels are drawn without replacement, so that every split keeps its class balance: to the item, where each row has
    one and occurs in no other split, and else as nearly as its rows allow.

    No image is in two splits, so where images are shown no type is either: held out, chance is the best that can be
    expected, and what the control reaches on the *training* rows is what a probe of this capacity can memorise. Texts
    alone may recur, and then the control shows how far remembering them leads.

    Args:
        problem: the task's.
        repeat: which of several controls.
        seed: of the study; a label's permutation depends on no other label.
    """
    y: dict[str, np.ndarray] = {}
    of_type, alike = pd.Series(dtype=np.int64), False
    # Training rows first: held-out rows that read the same have the label of these.
    for split in sorted(problem.y, key=("train", "val", "test").index):
        labels, rows = problem.y[split], problem.rows[split]
        name = "\0".join((problem.label, split, str(repeat))).encode()
        rng = np.random.default_rng([seed, *hashlib.sha256(name).digest()])
        known = np.isin(rows, of_type.index)
        taken = np.bincount(of_type[rows[known]], minlength=problem.n_classes)
        types, sizes = np.unique(rows[~known], return_counts=True)
        drawn = _draw(np.bincount(labels, minlength=problem.n_classes) - taken, sizes, rng)
        if split == "train":
            # Items that differ in nothing, as without picture and text, are no types; then each item has a label.
            alike = len(np.unique(drawn)) < len(np.unique(labels))
        if alike:
            y[split] = rng.permutation(labels)
            continue
        of_type = pd.concat([of_type, pd.Series(drawn, types)])
        y[split] = of_type[rows].to_numpy()
    return replace(problem, y=y)


def _draw(counts: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A class for each type, shape (types,): as from an urn of all items' labels, from which a type takes one per item.

    Args:
        counts: items of each class, shape (classes,).
        sizes: items of each type, shape (types,). The largest draw first, and the others make up for them.
        rng: the source of randomness.
    """
    if (sizes == 1).all() and (counts >= 0).all():
        return rng.permutation(np.repeat(np.arange(len(counts)), counts))
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    left, drawn = counts.astype(float), np.empty(len(sizes), np.int64)
    for place, at in zip(order, rng.random(len(sizes)), strict=True):
        # An urn that is empty, or owes labels, gives none while another has some.
        upto = np.cumsum(np.maximum(left, 1e-9))
        drawn[place] = np.searchsorted(upto, at * upto[-1], side="right")
        left[drawn[place]] -= sizes[place]
    return drawn


def image_order(problems: list[Problem], seed: int) -> np.ndarray:
    """All training groups (images) of a task in the random order in which they are learned from."""
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
