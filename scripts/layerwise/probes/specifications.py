"""Specifications: combinations of choices under which the best layer below the top is compared with the topmost block.

Simonsohn, Simmons and Nelson (2020, doi:10.1038/s41562-020-0912-z) show an effect under all reasonable combinations of
choices instead of under one. Here a choice is a metric, a penalty, the scale of the states, a split, a prompt, a kind
of probe, or how many images probes learn from.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from layerwise.errors import InputError
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Probe, choose, margins
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.problems import Problem, standardise

log = logging.getLogger(__name__)

# The value of a choice that the study itself makes, where it has no better name.
BY_VALIDATION, OWN_SPLIT, LOGISTIC, NO_PENALTY = "by validation", "own", "logistic", "none"


class Specification(NamedTuple):
    """One combination of choices.

    Attributes:
        metric: name of a metric.
        C: the penalty: "by validation", a fixed number, or "none" for a probe without one.
        states: "standardised" or "raw".
        split: "own" for the task's first split, else the seed of another.
        prompt: name of the prompt.
        probe: "logistic", or another kind of probe.
        train_share: share of the training images that probes learn from.
    """

    metric: str
    C: str
    states: str
    split: str
    prompt: str
    probe: str
    train_share: float


CHOICES = Specification._fields


def every_specification(
    metrics: Sequence[str],
    C: Sequence[float],
    raw_states: bool,
    split_seeds: Sequence[int],
    prompts: Sequence[str],
    probes: Mapping[str, bool],
    train_shares: Sequence[float],
) -> list[Specification]:
    """All combinations of what the study does (the first of each list) and its alternatives.

    Args:
        metrics: the task's own first.
        C: fixed penalties, beside the choice by validation loss.
        raw_states: whether states are also used as they are, not standardised.
        split_seeds: beside the task's own split.
        prompts: all of them the study's own.
        probes: kinds beside the logistic one, and whether they have a penalty, which is then chosen by validation loss.
        train_shares: beside all images.
    """
    penalties = [(LOGISTIC, BY_VALIDATION), *((LOGISTIC, f"{strength:g}") for strength in C)]
    penalties += [(probe, BY_VALIDATION if has_penalty else NO_PENALTY) for probe, has_penalty in probes.items()]
    found = product(
        dict.fromkeys(metrics),
        penalties,
        ["standardised", *(["raw"] if raw_states else [])],
        [OWN_SPLIT, *map(str, split_seeds)],
        prompts,
        [1.0, *train_shares],
    )
    return [
        Specification(metric, penalty, states, split, prompt, probe, float(share))
        for metric, (probe, penalty), states, split, prompt, share in found
    ]


def is_own(specification: Specification, metric: str) -> bool:
    """Whether it is what the study itself does, for a task with this metric."""
    own = Specification(metric, BY_VALIDATION, "standardised", OWN_SPLIT, specification.prompt, LOGISTIC, 1.0)
    return specification == own


def within_budget(every: Sequence[Specification], metric: str, budget: int, seed: Sequence[int]) -> list[Specification]:
    """The study's own specifications, and others drawn at random until there are ``budget``, in their first order.

    Args:
        every: all combinations.
        metric: the task's own.
        budget: how many to take at most.
        seed: of the draw.
    """
    own = [specification for specification in every if is_own(specification, metric)]
    others = [specification for specification in every if not is_own(specification, metric)]
    room = max(0, budget - len(own))
    if room < len(others):
        drawn = np.random.default_rng(seed).choice(len(others), room, replace=False)
        others = [others[place] for place in sorted(drawn)]
    kept = {*own, *others}
    return [specification for specification in every if specification in kept]


def seed_of_task(seed: int, task: str) -> list[int]:
    """The seed of a task's draw, which no other task changes."""
    return [seed, *hashlib.sha256(task.encode()).digest()[:8]]


@dataclass
class Found:
    """What a specification found in the layers read so far.

    Attributes:
        best_layer: the layer below the top with the highest validation score, the lowest of equals.
        validation: that score.
        best: by label, margins of that layer on the test items, shape (n, 1) or (n, K), float32.
        top: the same of the topmost block.
    """

    best_layer: int = -1
    validation: float = -np.inf
    best: list[np.ndarray] = field(default_factory=list)
    top: list[np.ndarray] = field(default_factory=list)


# Probes of all labels that one split, share of the images, kind and penalty give.
_Fits = dict[tuple[str, float, str, str], list[Probe]]


class SpecificationProbes:
    """Fits the probes of all specifications of one prompt, layer by layer.

    Specifications that differ in their metric alone share their probes. Of all layers but two, no prediction is kept:
    memory grows with the number of specifications times that of test items.
    """

    def __init__(
        self,
        specifications: Sequence[Specification],
        problems: Mapping[tuple[str, float], list[Problem]],
        engine: ProbeEngine,
        C: Sequence[float],
        top: int,
        kinds: Mapping[str, tuple[ProbeEngine, list[float]]] | None = None,
    ):
        """
        Args:
            specifications: of one prompt.
            problems: by split and share of the training images, the task's labels.
            engine: fits logistic probes.
            C: of the study, for the choice by validation loss.
            top: index of the topmost block.
            kinds: what fits the other kinds of probes, and the C that each tries.
        """
        self.specifications, self.problems, self.engine = list(specifications), problems, engine
        self.C, self.top, self._kinds = sorted(C), top, dict(kinds or {})
        self.found = [Found() for _ in self.specifications]
        self._unconverged = 0

    def layer(self, states: np.ndarray, layer: int) -> None:
        """Fit and score on one layer, from the lowest to the topmost block.

        Args:
            states: shape (rows, width), float32; overwritten.
            layer: its index.
        """
        self._stage(states, layer, [s for s in self.specifications if s.states == "raw"])
        scaled = [s for s in self.specifications if s.states != "raw"]
        # To standardise again, by the training rows of another split, gives what standardising raw states gives. The
        # study's own split comes first, so that its probes are those of the study to the last digit.
        for split in sorted({s.split for s in scaled}, key=lambda split: (split != OWN_SPLIT, split)):
            training = [problem.rows["train"] for problem in self.problems[split, 1.0]]
            standardise(states, np.unique(np.concatenate(training)))
            self._stage(states, layer, [s for s in scaled if s.split == split])

    def warn(self) -> None:
        """Say how many fits did not converge."""
        if self._unconverged:
            log.warning("%d fits did not converge; large C on raw states are slow to", self._unconverged)

    def _stage(self, states: np.ndarray, layer: int, specifications: list[Specification]) -> None:
        """All specifications for which the states are as they are now."""
        fits = self._fit(states, specifications)
        held_out: dict[tuple[str, tuple], list[np.ndarray]] = {}

        def margins_of(key: tuple[str, float, str, str], part: str) -> list[np.ndarray]:
            if (part, key) not in held_out:
                problems = self.problems[key[0], key[1]]
                held_out[part, key] = [
                    margins([fit], states, problem.rows[part])[0]
                    for fit, problem in zip(fits[key], problems, strict=True)
                ]
            return held_out[part, key]

        for specification, found in zip(self.specifications, self.found, strict=True):
            if specification not in specifications:
                continue
            key = _key(specification)
            if layer == self.top:
                found.top = [each.astype(np.float32) for each in margins_of(key, "test")]
                continue
            # Rounded, so that a difference in the last digit of a sum does not decide between equals.
            value = round(self._value(specification, margins_of(key, "val"), "val"), 9)
            if value > found.validation:
                found.validation, found.best_layer = value, layer
                found.best = [each.astype(np.float32) for each in margins_of(key, "test")]

    def _value(self, specification: Specification, scores: Sequence[np.ndarray], part: str) -> float:
        """A metric on a split, the mean over the labels for which it is defined."""
        problems = self.problems[specification.split, specification.train_share]
        values = [
            METRICS[specification.metric].values(
                problem.y[part], of_label, np.ones((1, len(of_label))), problem.n_classes
            )[0]
            for problem, of_label in zip(problems, scores, strict=True)
        ]
        return float(np.nanmean(values))

    def _fit(self, states: np.ndarray, specifications: Iterable[Specification]) -> _Fits:
        wanted = sorted({_key(specification) for specification in specifications})
        fits: _Fits = {}
        for kind, (engine, tried) in {LOGISTIC: (self.engine, self.C), **self._kinds}.items():
            chosen = [key for key in wanted if key[2] == kind and key[3] in (BY_VALIDATION, NO_PENALTY)]
            for key, paths in self._paths(engine, states, chosen, tried, validated=True):
                fits[key] = [
                    choose(path, states, problem.rows["val"], problem.y["val"])
                    for path, problem in zip(paths, self.problems[key[0], key[1]], strict=True)
                ]
        fixed = [key for key in wanted if key[2] == LOGISTIC and key[3] != BY_VALIDATION]
        strengths = sorted({float(key[3]) for key in fixed})
        # A path visits all of these C, so that keys of one split and share have one path.
        one_each = list({key[:2]: key for key in fixed}.values())
        for (split, share, *_), paths in self._paths(self.engine, states, one_each, strengths):
            for key in fixed:
                if key[:2] == (split, share):
                    fits[key] = [path[strengths.index(float(key[3]))] for path in paths]
        self._unconverged += sum(not fit.converged for of_key in fits.values() for fit in of_key)
        return fits

    def _paths(
        self,
        engine: ProbeEngine,
        states: np.ndarray,
        keys: Sequence[tuple[str, float, str, str]],
        C: list[float],
        validated: bool = False,
    ) -> Iterable[tuple[tuple[str, float, str, str], list[list[Probe]]]]:
        """All problems of all keys, fitted together."""
        problems = [
            problem if validated else _without_validation(problem)
            for key in keys
            for problem in self.problems[key[0], key[1]]
        ]
        paths = iter([list(path) for path in engine.fit(states, problems, C)] if problems else [])
        for key in keys:
            yield key, [next(paths) for _ in self.problems[key[0], key[1]]]


def check_shares(problems: Mapping[tuple[str, float], list[Problem]]) -> None:
    """Raise InputError where a split or a share of the images leaves a label without a class in some part."""
    for (split, share), of_split in problems.items():
        for problem in of_split:
            for part in ("train", "val", "test"):
                if len(np.unique(problem.y.get(part, []))) < problem.n_classes:
                    named = "the task's own split" if split == OWN_SPLIT else f"the seed {split}"
                    raise InputError(
                        f"specifications: with {named} and {share:g} of the training images, the label "
                        f"{problem.label!r} lacks a class in {part}; leave it out, or sample more images"
                    )


def _key(specification: Specification) -> tuple[str, float, str, str]:
    return specification.split, specification.train_share, specification.probe, specification.C


def _without_validation(problem: Problem) -> Problem:
    """The same without validation rows: the engine then fits every C and does not stop early."""
    rows, y = ({"train": parts["train"]} for parts in (problem.rows, problem.y))
    return Problem(problem.label, problem.n_classes, problem.items, problem.groups, rows, y)
