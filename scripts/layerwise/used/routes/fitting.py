"""Train one route of a model for a task on finished hidden states, and a probe of the last block in its place."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.answers.head_file import Head
from layerwise.answers.tokens import ClassTokens
from layerwise.models.interventions.route_paths import Route, build_route
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.problems import Problem
from layerwise.probes.scoring import HELD_OUT, Guess, predictions
from layerwise.states.shards import States
from layerwise.used.routes.answer_head import AnswerHead
from layerwise.used.routes.data import read_problems, states_at, training_items
from layerwise.used.routes.training import ITEMS_AT_ONCE, ControlProbe, Fitted, train

# For some items' ids: states of image tokens, which are there, and the image of each item;
# see layerwise.used.route_images.
ImageTokens = Callable[[np.ndarray], tuple[Tensor, Tensor, Tensor]]
# The keys of a route's entry that its shape is made from, with the names they have there.
SHAPE = {"from": "source", "rank": "rank", "heads": "heads", "size": "size"}


def fit_route(
    entry: Mapping[str, Any],
    states: States,
    labels: pd.DataFrame,
    task: dict[str, Any],
    texts: np.ndarray,
    says: tuple[Head, ClassTokens],
    image_tokens: ImageTokens | None,
    device: str,
) -> tuple[Route, pd.DataFrame, dict[str, Any]]:
    """Train a route and its control.

    Args:
        entry: ``kind``, ``seed``, and the keys of :data:`SHAPE` that the kind has.
        states: of the cell, at the last token.
        labels, task: ``labels.parquet`` and ``task.json``.
        texts: a number per item of the states, equal where items read the same.
        says: the end of the model, and the tokens of its answers by class of the task.
        image_tokens: reads the image's tokens behind the block ``from``; None for a kind that reads none.
        device: to train on.

    Returns:
        The route; the control's held-out predictions; and what is told of both: ``items`` (training and validation),
        ``rate``, ``epochs``, ``loss_before``, ``loss``, and ``control`` with the same and its ``parameters``.

    Raises:
        InputError: when one input asks for several labels, or a split has no items.
    """
    problems = read_problems(labels, task, states, texts)
    items = training_items(problems)
    n_layers = len(states.layers) - 2
    shape = {name: entry[key] for key, name in SHAPE.items() if key in entry}
    shape |= {"n_layers": n_layers, "width": states.shape("last")[1]}
    top = states_at(states, [n_layers], items.rows)[:, 0]
    y, training, validation = items.y, items.training, items.validation

    with torch.random.fork_rng(devices=[]):
        blocks = build_route(entry["kind"], shape).blocks
    last = states_at(states, blocks, items.rows)
    image, seen, image_of = (None, None, None) if image_tokens is None else image_tokens(items.ids)
    head = AnswerHead(*says, device)

    def make() -> Route:
        route = build_route(entry["kind"], shape)
        of_training = None
        if image is not None and seen is not None and image_of is not None:
            there = image_of[training].unique()
            of_training = image[there][seen[there]].float()
        route.fit_scales(last[training], top[training], of_training)
        return route.to(device)

    def said(route: Route, some: Tensor) -> Tensor:
        own, below = top[some].to(device), last[some].to(device)
        if image is None or seen is None or image_of is None:
            return head(own + route(below))
        images, rows = image_of[some].unique(return_inverse=True)
        return head(own + route(below, image[images].to(device).float(), seen[images].to(device), rows.to(device)))

    def at(some: Tensor) -> Tensor:
        return y[some].to(device)

    found = train(make, said, at, training, validation, entry["seed"])
    n_parameters = found.module.n_parameters

    def make_control() -> ControlProbe:
        probe = ControlProbe(shape["width"], len(task["classes"]), n_parameters)
        probe.fit_scales(top[training])
        return probe.to(device)

    control = train(
        make_control, lambda probe, some: probe(top[some].to(device)), at, training, validation, entry["seed"]
    )
    whole = torch.from_numpy(states.layer("last", n_layers))
    tables = [predictions(problem, guess, _classes(guess)) for problem, guess in _guesses(control, problems, whole)]
    table = pd.concat(tables, ignore_index=True).assign(layer=np.int16(n_layers))
    told = _told(found) | {"items": [len(training), len(validation)], "width": shape["width"]}
    return (
        found.module.cpu(),
        table,
        told
        | {
            "control": _told(control) | {"parameters": control.module.n_parameters},
        },
    )


def _told(fitted: Fitted[Any]) -> dict[str, Any]:
    names = ("rate", "epochs", "loss_before", "loss")
    return {name: getattr(fitted, name) for name in names}


@torch.no_grad()
def _guesses(control: Fitted[ControlProbe], problems: list[Problem], top: Tensor) -> list[tuple[Problem, Guess]]:
    """The probe's held-out margins, label by label."""
    probe = control.module.cpu()

    def margins(rows: np.ndarray) -> np.ndarray:
        parts = torch.tensor(rows).split(ITEMS_AT_ONCE)
        logits = torch.cat([probe(top[some]) for some in parts]).double().numpy()
        return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits

    return [(problem, Guess({split: margins(problem.rows[split]) for split in HELD_OUT})) for problem in problems]


def _classes(guess: Guess) -> dict[str, np.ndarray]:
    return {split: predicted(scores) for split, scores in guess.scores.items()}
