"""Problems that say what a probe's score is worth: labels at random, and fewer training images."""

import hashlib
from dataclasses import replace

import numpy as np

from layerwise.probes.problems import Problem

# Shares of the training images after which the online code fits a new probe; Voita and Titov go on to smaller ones.
PORTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def random_labels(problem: Problem, repeat: int, seed: int) -> Problem:
    """A control task after Hewitt and Liang 2019, arXiv 1909.03368: the same inputs, but labels that mean nothing.

    A type, in their words, is here one distinct model input - a row of the states -, as their words are for a tagger:
    what reads the same has the same random label, and all that a probe can do is to remember it. Labels are permuted
    among the rows of a split, so that every split keeps its class balance (to the item, where each row has one).

    No image is in two splits, so no type is either: held out, chance is the best that can be expected, and what the
    control reaches on the *training* rows is what a probe of this capacity can memorise.

    Args:
        problem: the task's.
        repeat: which of several controls.
        seed: of the study; a label's permutation depends on no other label.
    """
    y = {}
    for split, labels in problem.y.items():
        name = "\0".join((problem.label, split, str(repeat))).encode()
        rng = np.random.default_rng([seed, *hashlib.sha256(name).digest()])
        _, first, row = np.unique(problem.rows[split], return_index=True, return_inverse=True)
        # One label per row: that of its first item, as an input with two labels is beyond any probe.
        types = labels[first]
        # Items that differ in nothing, as without picture and text, are no types; then each item has a label.
        enough = len(np.unique(types)) == len(np.unique(labels))
        y[split] = rng.permutation(types)[row] if enough else rng.permutation(labels)
    return replace(problem, y=y)


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
    )
