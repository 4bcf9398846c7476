"""Attention knockout of a 7B LLaVA: blocked runs that reuse the unblocked run, and a forward pass for each."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from flow import WINDOW, Questions
from torch import nn
from transformers import BatchFeature

from gpu.card import Card
from gpu.results import Results
from gpu.timing import in_turns
from layerwise.flow.flows import FLOWS
from layerwise.flow.knockout import Knockouts, naive_knockout


def run(card: Card, results: Results) -> None:
    """Twenty questions about one image; the plain loop on two of them in three windows, scaled to all."""
    number, plain = (3, 1) if card.small else (20, 2)
    with _larger_weights(card.model.model):
        questions = Questions(card.model, card.shape, number)
        spans = questions.windows
        some = sorted({0, len(spans) // 2, len(spans) - 1})
        theirs: list[Knockouts] = []
        ours: list[Knockouts] = []

        def loop() -> None:
            theirs[:] = [
                naive_knockout(
                    card.model,
                    BatchFeature(dict(questions.prepared[i])),
                    questions.sets[i],
                    FLOWS,
                    [spans[at] for at in some],
                    questions.answer_ids[i],
                )
                for i in range(plain)
            ]

        def fast() -> None:
            ours[:] = questions.fast()

        timings = in_turns({"loop": loop, "fast": fast}, max(2, card.rounds // 2))
    a_pass = timings["loop"].median / plain / (len(FLOWS) * len(some) + 1)
    passes = len(FLOWS) * len(spans) + 1
    each = timings["fast"].median / number
    # Probabilities relative to those with nothing blocked, where both ways measured.
    off = [
        (one.blocked[:, some] - other.blocked).abs().max() / other.free
        for one, other in zip(ours, theirs, strict=False)
    ]
    effects = [(other.blocked / other.free - 1).abs().max() for other in theirs]
    of_plain, of_lower, of_ours = questions.token_blocks()
    results.line(
        f"{number} questions about one image, {len(FLOWS)} flows, {len(spans)} windows of {WINDOW} blocks. The plain "
        f"loop ran on {plain} questions in {len(some)} windows and is scaled to all."
    )
    results.table(
        *("passes of a question", "a pass, ms", "plain loop, s per question", "fast, s per question", "speed-up"),
        *("theory (tokens x blocks)", "greatest difference", "greatest effect", "GiB"),
    )
    results.row(
        [
            *(f"{passes}", f"{1e3 * a_pass:.1f}", f"{a_pass * passes:.2f}", f"{each:.3f}"),
            *(f"{a_pass * passes / each:.1f}", f"{of_plain / of_ours:.1f}", f"{float(max(off)):.1e}"),
            *(f"{float(max(effects)):.1e}", f"{timings['fast'].gib:.1f}"),
        ],
        what="knockout",
        questions=number,
        passes=passes,
        a_pass=a_pass,
        fast=[seconds / number for seconds in timings["fast"].seconds],
        loop=timings["loop"].seconds,
        token_blocks=[of_plain, of_lower, of_ours],
        off=[float(value) for value in off],
        effects=[float(value) for value in effects],
    )


@contextmanager
def _larger_weights(model: nn.Module) -> Iterator[None]:
    """Matrices twice as large, as in benchmarks/flow.py: with smaller ones blocking would change almost nothing."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]

    def scale(by: float) -> None:
        with torch.inference_mode():
            for matrix in matrices:
                matrix.mul_(by)

    scale(2)
    try:
        yield
    finally:
        scale(0.5)
