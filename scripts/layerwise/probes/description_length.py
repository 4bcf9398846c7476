"""Description length of labels given states: the online code of Voita and Titov 2020, arXiv 2003.12298.

A sender and a receiver both have the states. Labels are sent portion by portion, each in the code of a probe fitted to
the portions before it, the first in the uniform code. The number of bits says how well *and from how few images* labels
can be read: labels that take many images to learn cost many bits, however accurate the last probe is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from layerwise.probes.all_layers import States
from layerwise.probes.bootstrap import distinct_texts
from layerwise.probes.clusters import Clusters
from layerwise.probes.fits import Probe, margins
from layerwise.probes.problems import Problem


@dataclass(frozen=True)
class CodeLength:
    """Bits of one label's training items.

    Attributes:
        bits: shape (n,), by item.
        groups: shape (n,), the items' groups.
        n_classes: K; the uniform code takes log2(K) bits per item.
        texts: shape (n,), numbers that are equal where items read the same; None where unknown.
    """

    bits: np.ndarray
    groups: np.ndarray
    n_classes: int
    texts: np.ndarray | None = None


def item_bits(fit: Probe | None, states: States, rows: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Bits of each label, shape (n,), in the code of a probe; without one in the uniform code."""
    if fit is None:
        return np.full(len(y), np.log2(n_classes))
    scores = margins([fit], states, rows)[0].astype(np.float64)
    scores = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
    return (np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(y)), y]) / np.log(2)


def code_length(
    problem: Problem, fits: list[Probe | None], order: np.ndarray, sizes: list[int], states: States
) -> CodeLength:
    """The online code of one label.

    Args:
        problem: whose training labels are sent.
        fits: the probes fitted to the first ``sizes[k]`` groups; None where a class was missing, which means the
            uniform code.
        order: all training groups, in the order in which they are sent.
        sizes: numbers of groups, ascending, of the portions that probes were fitted to.
        states: shape (rows, width), standardised; or all layers.
    """
    place = dict(zip(order, range(len(order)), strict=True))
    # Which probe codes an item: 0 (none) in the first portion, then that of the last portion before it.
    block = np.searchsorted(sizes, [place[group] for group in problem.groups["train"]], side="right")
    bits = np.empty(len(block))
    for k, fit in enumerate([None, *fits]):
        at = np.flatnonzero(block == k)
        bits[at] = item_bits(fit, states, problem.rows["train"][at], problem.y["train"][at], problem.n_classes)
    return CodeLength(bits, problem.groups["train"], problem.n_classes, problem.texts.get("train"))


def code_rows(labels: list[str], codes: list[CodeLength]) -> Iterator[dict]:
    """Score rows of every label and, for several, of their mean ``macro``: ``code_bits`` and ``compression``."""
    parts = [(label, [code]) for label, code in zip(labels, codes, strict=True)]
    for label, of_label in [*parts, ("macro", codes)] if len(codes) > 1 else parts:
        clusters = _clusters(of_label)
        value, low, high = bits_per_item(of_label, clusters)
        groups, units = np.concatenate([code.groups for code in of_label]), clusters.units()
        row = {"label": label, "split": "train", "C": float("nan"), "at_boundary": False}
        row |= {"n": len(groups), "n_groups": len(np.unique(groups)), "n_texts": distinct_texts(units)}
        yield row | {"metric": "code_bits", "value": value, "low": low, "high": high}
        # The shortest code compresses best. Where the interval reaches 0 bits, compression has no upper limit.
        best, mean, worst = (
            np.log2(of_label[0].n_classes) / bits if bits > 0 else float("inf") for bits in (low, value, high)
        )
        yield row | {"metric": "compression", "value": mean, "low": worst, "high": best}


def _clusters(codes: list[CodeLength]) -> Clusters:
    texts = [code.texts for code in codes if code.texts is not None]
    return Clusters([code.groups for code in codes], texts if len(texts) == len(codes) else None)


def bits_per_item(codes: list[CodeLength], clusters: Clusters | None = None) -> tuple[float, float, float]:
    """Mean bits per item, averaged over labels, with the 95 % interval over groups, and texts where these cross.

    The interval takes the probes and the order of the images as given.

    Args:
        codes: of the labels.
        clusters: of their items. Default - by their groups and texts.
    """
    means = [code.bits.mean() for code in codes]
    deviations = [(code.bits - mean) / len(code.bits) for code, mean in zip(codes, means, strict=True)]
    error, freedom = (clusters or _clusters(codes)).error_of_sum([part / len(codes) for part in deviations])
    value = float(np.mean(means))
    if not np.isfinite(error):
        return value, float("nan"), float("nan")
    half = float(stdtrit(freedom, 0.975) * error)
    return value, max(0.0, value - half), value + half
