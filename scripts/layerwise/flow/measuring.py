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
from layerwise.flow.checks import check_knockout
from layerwise.flow.flows import FLOWS, Flow, windows
from layerwise.flow.free import check_served, free_runs, row_room
from layerwise.flow.knockout import blocked_runs, first_target
from layerwise.flow.patches import Unmapped, object_tokens
from layerwise.flow.positions import PositionSets, QuestionTokens, position_sets
from layerwise.flow.questions import objects_of
from layerwise.flow.results import CASINGS, KEPT, NO_TOKEN, NORMS, WRONG
from layerwise.flow.tracing import trace
from layerwise.models.answer_tokens import answer_tokens
from layerwise.models.frozen import AnsweringModel, FrozenModel
from layerwise.models.greedy import Answer, greedy_answers
from layerwise.states.image_checks import check_sight
from layerwise.states.images import read_image
from layerwise.states.named import naming, prepare_rows
from layerwise.states.shape_checks import check_pictures
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)

# A killed job loses at most this many questions.
QUESTIONS_PER_PART = 32
# The longest texts that are saved, in bytes; longer ones are cut off.
ANSWER_BYTES, REASON_BYTES = 96, 200
# What is saved for each question: its outcome; the model's answer; the probability of the answer's first token, first
# with nothing blocked, then by flow and window (NaN if a flow has no source), then by norm, casing and layer; the
# number of the image's tokens, and of those that show the object; and, if none shows it, the reason.
MEASURED = ("outcome", "given", "p", "blocked", "traced", "image_tokens", "object_tokens", "unmapped")


def measure(
    model: FrozenModel,
    description: dict[str, Any],
    asked: pd.DataFrame,
    cell: dict[str, Any],
    batch_size: int,
    work: WorkFolder,
    flows: Sequence[Flow] = FLOWS,
) -> list[dict[str, Any]]:
    """Check a model on a few questions, then measure all of them.

    Args:
        model: the loaded model.
        description: its ``model.json``.
        asked: rows of ``questions.parquet``.
        cell: ``prompt_entry``, ``window`` and ``question_tokens``.
        batch_size: questions that are answered together.
        work: where parts are kept.
        flows: to block.

    Returns:
        What was measured for each question, by the names in ``MEASURED``.

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
    running, template = asked.iloc[order], cell["prompt_entry"]["text"]
    first = _inputs(list(running.head(1).itertuples(index=False)), _prompts(running.head(1), template))
    check_sight(model, description["model"], first, untrained=description["weights"] == "random")
    parts = measure_parts(model, running, template, cell["window"], cell["question_tokens"], batch_size, work, flows)
    return [row for _, row in sorted(rows_of(work, parts), key=lambda found: order[found[0]])]


def measure_parts(
    model: AnsweringModel,
    asked: pd.DataFrame,
    template: str,
    width: int,
    takes: QuestionTokens,
    batch_size: int,
    work: WorkFolder,
    flows: Sequence[Flow] = FLOWS,
) -> list[tuple[int, int]]:
    """Make every part that is missing.

    Args:
        model: one that :func:`layerwise.flow.free.check_served` accepts.
        asked: rows of ``questions.parquet`` in running order, questions about one image together.
        template: the prompt, with ``{text}`` for the question.
        width: of the windows, in blocks.
        takes: what counts as the question, see :func:`layerwise.flow.positions.position_sets`.
        batch_size: questions that are answered together.
        work: where parts are kept.
        flows: to block.

    Returns:
        The parts as (first row, row after the last).

    Raises:
        InputError: when blocked runs of the first question differ from whole forward passes, or when the model refuses
            a question's picture or wording (the message names the question).
        FloatingPointError: on a probability that is not finite.
    """
    ranges = [(i, min(i + QUESTIONS_PER_PART, len(asked))) for i in range(0, len(asked), QUESTIONS_PER_PART)]
    prompts = _prompts(asked, template)
    check_pictures(model, _inputs(list(asked.itertuples(index=False)), prompts))
    _check(model, next(asked.itertuples(index=False)), prompts[0], width, takes, flows)
    with tqdm(total=len(asked), unit="question", mininterval=5) as progress:
        for start, stop in ranges:
            if work.load(start, stop, MEASURED) is None:
                rows = list(asked.iloc[start:stop].itertuples(index=False))
                work.save(start, stop, _measure(model, rows, prompts[start:stop], width, takes, batch_size, flows))
            else:
                log.info("questions %d to %d were finished by an earlier job", start, stop)
            progress.update(stop - start)
    return ranges


def _check(
    model: AnsweringModel, row: Any, prompt: str, width: int, takes: QuestionTokens, flows: Sequence[Flow]
) -> None:
    """Compare the blocked runs of one question with whole forward passes, whether or not it is answered correctly."""
    image = read_image(row.image)
    (answer,) = _answers(model, _inputs([row], [prompt]))
    inputs = prepare_rows(model, _inputs([row], [prompt]))
    sets, _ = _sets(model, row, image.size, prompt, inputs, takes)
    there = [flow for flow in flows if sets.has(flow)]
    check_knockout(model, inputs, sets, there, windows(model.n_layers, width), answer.first_id)


def _measure(
    model: AnsweringModel,
    rows: Sequence[Any],
    prompts: Sequence[str],
    width: int,
    takes: QuestionTokens,
    batch_size: int,
    flows: Sequence[Flow] = FLOWS,
) -> dict[str, Tensor]:
    """One part: tensors by name, with one row per question."""
    images = [read_image(row.image) for row in rows]
    tokens = [_first_tokens(model, prompt, row.answer) for prompt, row in zip(prompts, rows, strict=True)]
    shown = _inputs(rows, prompts)
    answers: list[Answer] = []
    for i in range(0, len(rows), batch_size):
        answers += _answers(model, shown.iloc[i : i + batch_size])
    layers, n = model.n_layers, len(rows)
    found = {
        "outcome": torch.full((n,), KEPT, dtype=torch.int8),
        "given": _as_bytes([answer.text for answer in answers], ANSWER_BYTES),
        "p": torch.full((n,), torch.nan),
        "blocked": torch.full((n, len(flows), layers), torch.nan),
        "traced": torch.full((n, len(NORMS), len(CASINGS), layers + 1), torch.nan),
        "image_tokens": torch.zeros(n, dtype=torch.int32),
        "object_tokens": torch.zeros(n, dtype=torch.int32),
    }
    unmapped = [""] * n
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
            one, unmapped[i] = _sets(model, rows[i], images[i].size, prompts[i], inputs, takes)
            sets.append(one)
        runs = free_runs(model, prepared, [first_target(one, flows) for one in sets], row_of_runs)
        for i, one, run in zip(of_image, sets, runs, strict=True):
            # If no token shows the object, `other` would be the whole image, and that is a flow of its own.
            there = [f for f, flow in enumerate(flows) if one.has(flow)]
            there = [f for f in there if not (unmapped[i] and flows[f].source == "other")]
            blocked = [flows[f] for f in there]
            result = blocked_runs(run, one, blocked, windows(layers, width), answers[i].first_id)
            found["p"][i], found["blocked"][i, there] = result.free, result.blocked
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
    return found | {"unmapped": _as_bytes(unmapped, REASON_BYTES)}


def _prompts(asked: pd.DataFrame, template: str) -> list[str]:
    return [template.replace("{text}", question) for question in asked["question"]]


def _inputs(rows: Sequence[Any], prompts: Sequence[str]) -> pd.DataFrame:
    """What the model is shown of some questions: ``item_id``, ``image``, ``prompt``."""
    return pd.DataFrame(
        {"item_id": [row.question_id for row in rows], "image": [row.image for row in rows], "prompt": list(prompts)}
    )


def _answers(model: AnsweringModel, shown: pd.DataFrame) -> list[Answer]:
    def answer(some: pd.DataFrame) -> list[Answer]:
        return greedy_answers(model, [read_image(path) for path in some["image"]], list(some["prompt"]))

    return naming(model, "answer", answer, shown)


def _first_tokens(model: AnsweringModel, prompt: str, answer: str) -> dict[str, list[int]] | None:
    """The tokens with which an answer may begin, by casing; None if the tokenizer has none."""
    try:
        tokens = answer_tokens(model, prompt, answer)
    except InputError as error:
        log.info("%s", error)
        return None
    unknown = model.processor.tokenizer.unk_token_id
    known = {name: [one for one in ids if one != unknown] for name, ids in tokens.items()}
    return known if all(known.values()) else None


def _sets(
    model: AnsweringModel, row: Any, size: tuple[int, int], prompt: str, inputs: Any, takes: QuestionTokens
) -> tuple[PositionSets, str]:
    """A question's positions, and the reason if its object is not among them."""
    n_tokens = int(model.image_tokens(inputs).sum())
    image_processor = getattr(model.processor, "image_processor", None)
    try:
        patches = object_tokens(objects_of(row), model.model.config, image_processor, size, inputs, n_tokens).tolist()
        reason = "" if patches else "no image token shows its object"
    except Unmapped as error:
        patches, reason = [], str(error)
    return position_sets(model, inputs, prompt, row.question, {1: patches}, takes), reason


def rows_of(work: WorkFolder, parts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every question's place in running order and what was measured of it, with texts decoded."""
    for start, measured in work.assemble(parts, MEASURED):
        texts = {name: _as_texts(measured[name]) for name in ("given", "unmapped")}
        numbers = {name: measured[name] for name in MEASURED if name not in texts}
        for i in range(len(measured["outcome"])):
            yield start + i, {name: values[i] for name, values in (texts | numbers).items()}


def _as_bytes(texts: Sequence[str], size: int) -> Tensor:
    """Texts in UTF-8, cut off at ``size`` bytes and padded with zeros, shape (texts, size)."""
    rows = [list(text.encode()[:size].ljust(size, b"\0")) for text in texts]
    return torch.tensor(rows, dtype=torch.uint8)


def _as_texts(rows: np.ndarray) -> list[str]:
    return [bytes(row.tolist()).rstrip(b"\0").decode(errors="ignore") for row in rows]
