"""Ask a model questions and measure which attention its correct answers need.

The work is done in parts, so that a killed job can resume. A part is saved as tensors with one row per question, by the
names in ``MEASURED``.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.errors import InputError
from layerwise.flow.asking import Asking
from layerwise.flow.checks import check_knockout
from layerwise.flow.flows import Flow, windows
from layerwise.flow.free import check_served, free_runs, row_room
from layerwise.flow.head_runs import HEAD_DIFFERENCES, HEADS, HeadRuns
from layerwise.flow.knockout import blocked_runs, first_target
from layerwise.flow.positions import PositionSets, position_sets
from layerwise.flow.questions import objects_of, spans_of
from layerwise.flow.results import CASINGS, KEPT, NO_TOKEN, NORMS, WRONG
from layerwise.flow.tracing import trace
from layerwise.models.answer_tokens import answer_tokens, distractor_token
from layerwise.models.frozen import AnsweringModel, FrozenModel, Shown, pictures_of
from layerwise.models.greedy import Answer, greedy_answers
from layerwise.models.patches import Unmapped, object_tokens
from layerwise.states.image_checks import check_sight
from layerwise.states.images import read_images
from layerwise.states.named import naming, prepare_rows
from layerwise.states.shape_checks import check_pictures
from layerwise.states.work import WorkFolder
from layerwise.stimuli.question_prompts import order_of_pictures

log = logging.getLogger(__name__)

# A killed job loses at most this many questions.
QUESTIONS_PER_PART = 32
# The longest texts that are saved, in bytes; longer ones are cut off.
ANSWER_BYTES, REASON_BYTES = 96, 200
# What is saved for each question: its outcome; the model's answer; the probability of the answer's first token, first
# with nothing blocked, then by flow and window (NaN if a flow has no source), then by norm, casing and layer; the
# number of the image's tokens, and of those that show the object; and, if none shows it, the reason.
MEASURED = ("outcome", "given", "p", "blocked", "traced", "image_tokens", "object_tokens", "unmapped")
# And of questions with distractors: how far the answer's logit is above the distractor's, first with nothing blocked,
# then by flow and window; and, if that is not measured, the reason.
AGAINST_DISTRACTORS = ("difference", "differences", "undecided")
TEXTS = ("given", "unmapped", "undecided")


def measure(
    model: FrozenModel,
    description: dict[str, Any],
    asked: pd.DataFrame,
    asking: Asking,
    batch_size: int,
    work: WorkFolder,
) -> list[dict[str, Any]]:
    """Check a model on a few questions, then measure all of them.

    Args:
        model: the loaded model.
        description: its ``model.json``.
        asked: rows of ``questions.parquet``.
        asking: how they are asked, and what is blocked.
        batch_size: questions that are answered together.
        work: where parts are kept.

    Returns:
        What was measured for each question, by the names in ``MEASURED``, and in ``AGAINST_DISTRACTORS`` if questions
        have distractors.

    Raises:
        InputError: when flow cannot be measured in this model, the model does not see its pictures, or it fails on a
            question.
        FloatingPointError: on a probability that is not finite.
    """
    if not isinstance(model, AnsweringModel):
        raise InputError(
            f"information flow cannot be measured in this model of type {model.model_type}: its adapter answers no "
            "questions; leave it out of `flow.models`"
        )
    check_served(model)
    # Questions about one image run together, so that the image runs once.
    order = np.argsort(asked["image_sha256"].to_numpy(), kind="stable")
    running = asked.iloc[order]
    first = _inputs(list(running.head(1).itertuples(index=False)), asking)
    check_sight(model, description["model"], first, untrained=description["weights"] == "random")
    parts = measure_parts(model, running, asking, batch_size, work)
    return [row for _, row in sorted(rows_of(work, parts, names_of(asking)), key=lambda found: order[found[0]])]


def names_of(asking: Asking) -> tuple[str, ...]:
    """The names of what is measured."""
    of_heads = (HEADS, *([HEAD_DIFFERENCES] if asking.distractors else [])) if asking.head_flows else ()
    return MEASURED + (AGAINST_DISTRACTORS if asking.distractors else ()) + of_heads


def measure_parts(
    model: AnsweringModel, asked: pd.DataFrame, asking: Asking, batch_size: int, work: WorkFolder
) -> list[tuple[int, int]]:
    """Make every part that is missing.

    Args:
        model: one that :func:`layerwise.flow.free.check_served` accepts.
        asked: rows of ``questions.parquet`` in running order, questions about one image together.
        asking, batch_size, work: see :func:`measure`.

    Returns:
        The parts as (first row, row after the last).

    Raises:
        InputError: when the model lacks heads of a group, when blocked runs of the first question differ from whole
            forward passes, or when the model refuses a question's picture or wording (the message names the question).
        FloatingPointError: on a probability that is not finite.
    """
    ranges = [(i, min(i + QUESTIONS_PER_PART, len(asked))) for i in range(0, len(asked), QUESTIONS_PER_PART)]
    check_pictures(model, _inputs(list(asked.itertuples(index=False)), asking))
    heads = HeadRuns(model, asking) if asking.head_flows else None
    _check(model, next(asked.itertuples(index=False)), asking, heads)
    with tqdm(total=len(asked), unit="question", mininterval=5) as progress:
        for start, stop in ranges:
            if work.load(start, stop, names_of(asking)) is None:
                rows = list(asked.iloc[start:stop].itertuples(index=False))
                work.save(start, stop, _measure(model, rows, asking, batch_size, heads))
            else:
                log.info("questions %d to %d were finished by an earlier job", start, stop)
            progress.update(stop - start)
    return ranges


def _check(model: AnsweringModel, row: Any, asking: Asking, heads: HeadRuns | None) -> None:
    """Compare the blocked runs of one question with whole forward passes, whether or not it is answered correctly."""
    shown = _inputs([row], asking)
    (answer,) = _answers(model, shown)
    inputs = prepare_rows(model, shown)
    sets, _ = _sets(model, row, read_images(row.image), inputs, asking)
    flows = [flow for flow in asking.flows if sets.has(flow)]
    check_knockout(model, inputs, sets, flows, windows(model.n_layers, asking.width), answer.first_id)
    if heads is not None:
        heads.check(model, inputs, sets, answer.first_id)


def _measure(
    model: AnsweringModel, rows: Sequence[Any], asking: Asking, batch_size: int, heads: HeadRuns | None = None
) -> dict[str, Tensor]:
    """One part: tensors by name, with one row per question."""
    images = [read_images(row.image) for row in rows]
    tokens = [_first_tokens(model, row, asking) for row in rows]
    shown = _inputs(rows, asking)
    answers: list[Answer] = []
    for i in range(0, len(rows), batch_size):
        answers += _answers(model, shown.iloc[i : i + batch_size])
    layers, n, flows = model.n_layers, len(rows), asking.flows
    found = {
        "outcome": torch.full((n,), KEPT, dtype=torch.int8),
        "given": _as_bytes([answer.text for answer in answers], ANSWER_BYTES),
        "p": torch.full((n,), torch.nan),
        "blocked": torch.full((n, len(flows), layers), torch.nan),
        "traced": torch.full((n, len(NORMS), len(CASINGS), layers + 1), torch.nan),
        "image_tokens": torch.zeros(n, dtype=torch.int32),
        "object_tokens": torch.zeros(n, dtype=torch.int32),
        "difference": torch.full((n,), torch.nan),
        "differences": torch.full((n, len(flows), layers), torch.nan),
    }
    found |= {} if heads is None else heads.empty(n)
    unmapped, undecided = [""] * n, [""] * n
    for i, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        if tokens[i] is None:
            found["outcome"][i] = NO_TOKEN
        elif not answer.is_right(row.answer):
            found["outcome"][i] = WRONG
    kept = [i for i in range(n) if found["outcome"][i] == KEPT]
    row_of_runs = row_room(model.device)
    for _, about in groupby(kept, key=lambda i: rows[i].image_sha256):
        of_image = list(about)
        prepared = [prepare_rows(model, shown.iloc[[i]]) for i in of_image]
        sets = []
        for i, inputs in zip(of_image, prepared, strict=True):
            one, unmapped[i] = _sets(model, rows[i], images[i], inputs, asking)
            sets.append(one)
        runs = free_runs(model, prepared, [first_target(one, flows) for one in sets], row_of_runs)
        for i, one, run in zip(of_image, sets, runs, strict=True):
            there = [f for f, flow in enumerate(flows) if _is_there(flow, one)]
            against, undecided[i] = _distractor(model, rows[i], answers[i], asking)
            result = blocked_runs(
                run, one, [flows[f] for f in there], windows(layers, asking.width), answers[i].first_id, against
            )
            found["p"][i], found["blocked"][i, there] = result.free, result.blocked
            if result.differences is not None:
                found["difference"][i], found["differences"][i, there] = result.free_difference, result.differences
            of_heads = {}
            if heads is not None:
                of_heads = heads.blocked(run, one, [flows[f] for f in there], answers[i].first_id, against)
            for name, values in of_heads.items():
                found[name][i] = values
            for k, norm in enumerate(NORMS):
                traced = trace(run, tokens[i], final_norm=norm)
                found["traced"][i, k] = torch.stack([traced[casing] for casing in CASINGS])
            found["image_tokens"][i], found["object_tokens"][i] = len(one["image"]), len(one["object"])
            measured = (found["p"][i], result.blocked, found["traced"][i])
            if not all(torch.isfinite(values).all() for values in measured):
                raise FloatingPointError(
                    f"the answer's probability is not a number, question {rows[i].question_id}; a model in float16 may "
                    "overflow: try dtype bfloat16 or float32"
                )
    texts = {"unmapped": unmapped, "undecided": undecided}
    found |= {name: _as_bytes(said, REASON_BYTES) for name, said in texts.items()}
    return {name: found[name] for name in names_of(asking)}


def _is_there(flow: Flow, sets: PositionSets) -> bool:
    """Whether a question has a flow. If no token shows the object, ``other`` is the whole image: a flow of its own."""
    return sets.has(flow) and not (flow.source == "other" and not len(sets["object"]))


def _inputs(rows: Sequence[Any], asking: Asking) -> pd.DataFrame:
    """What the model is shown of some questions: ``item_id``, ``image``, ``prompt``."""
    shown = {"item_id": [row.question_id for row in rows], "image": [row.image for row in rows]}
    return pd.DataFrame(shown | {"prompt": [asking.prompt(row) for row in rows]})


def _answers(model: AnsweringModel, shown: pd.DataFrame) -> list[Answer]:
    def answer(some: pd.DataFrame) -> list[Answer]:
        return greedy_answers(model, [read_images(cell) for cell in some["image"]], list(some["prompt"]))

    return naming(model, "answer", answer, shown)


def _first_tokens(model: AnsweringModel, row: Any, asking: Asking) -> dict[str, list[int]] | None:
    """The tokens with which an answer may begin, by casing; None if the tokenizer has none."""
    try:
        tokens = answer_tokens(model, asking.prompt(row), row.answer, asking.pictures)
    except InputError as error:
        log.info("%s", error)
        return None
    unknown = model.processor.tokenizer.unk_token_id
    known = {name: [one for one in ids if one != unknown] for name, ids in tokens.items()}
    return known if all(known.values()) else None


def _distractor(model: AnsweringModel, row: Any, answer: Answer, asking: Asking) -> tuple[int | None, str]:
    """The token with which a question's distractor begins, or None and the reason."""
    if not asking.distractors:
        return None, ""
    if not row.distractor:
        return None, "it has no distractor"
    prompt, said = asking.prompt(row), answer.first_id
    token = distractor_token(model, prompt, row.answer, said, row.distractor, asking.pictures)
    if token is None:
        return None, "it is not known with which token its distractor begins"
    return (None, "its distractor begins with the same token as its answer") if token == said else (token, "")


def _sets(model: AnsweringModel, row: Any, image: Shown, inputs: Any, asking: Asking) -> tuple[PositionSets, str]:
    """A question's positions, and the reason if its object is not among them."""
    objects, reason = _object_tokens(model, row, image, inputs, asking) if asking.boxes else ({}, "")
    sets = position_sets(model, inputs, asking.prompt(row), row.question, objects, asking.takes, spans_of(row))
    return sets, reason


def _object_tokens(
    model: AnsweringModel, row: Any, image: Shown, inputs: Any, asking: Asking
) -> tuple[dict[int, list[int]], str]:
    """By picture the tokens that show an object, and the reason if there are none."""
    of_picture, pictures = model.picture_tokens(inputs)[0], pictures_of(image)
    order = order_of_pictures(asking.template, len(pictures))
    counts = [int((of_picture == number).sum()) for number in order]
    image_processor, objects = getattr(model.processor, "image_processor", None), objects_of(row)
    found = {}
    try:
        for place, number in enumerate(order):
            own, size = [one for one in objects if one.image == number], pictures[number - 1].size
            patches = object_tokens(own, model.model.config, image_processor, size, inputs, counts, place)
            found[number] = patches.tolist()
    except Unmapped as error:
        return {}, str(error)
    return found, "" if any(found.values()) else "no image token shows its object"


def rows_of(
    work: WorkFolder, parts: Sequence[tuple[int, int]], names: Sequence[str] = MEASURED
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every question's place in running order and what was measured of it, with texts decoded."""
    for start, measured in work.assemble(parts, names):
        texts = {name: _as_texts(measured[name]) for name in TEXTS if name in names}
        numbers = {name: measured[name] for name in names if name not in texts}
        for i in range(len(measured["outcome"])):
            yield start + i, {name: values[i] for name, values in (texts | numbers).items()}


def _as_bytes(texts: Sequence[str], size: int) -> Tensor:
    """Texts in UTF-8, cut off at ``size`` bytes and padded with zeros, shape (texts, size)."""
    rows = [list(text.encode()[:size].ljust(size, b"\0")) for text in texts]
    return torch.tensor(rows, dtype=torch.uint8)


def _as_texts(rows: np.ndarray) -> list[str]:
    return [bytes(row.tolist()).rstrip(b"\0").decode(errors="ignore") for row in rows]
