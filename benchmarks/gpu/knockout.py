"""Attention knockout of a 7B LLaVA: blocked runs that reuse the unblocked run, and a forward pass for each.

In windows of blocks, in each head by itself, and from one picture to a later one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from flow import BETWEEN, HEADS, WINDOW, Questions
from torch import nn
from transformers import BatchFeature

from gpu.card import Card
from gpu.results import Results
from gpu.timing import Timing, in_turns
from layerwise.flow.flows import FLOWS, Flow, windows
from layerwise.flow.heads import Where, heads_of, single_heads
from layerwise.flow.knockout import Knockouts, naive_knockout
from layerwise.models.memory import Room

# A round of all ways takes some seconds.
ROUNDS = 2


def run(card: Card, results: Results) -> None:
    """Six questions about one image; the plain loop on one of them in three windows, scaled to all."""
    number, plain = (3, 1) if card.small else (6, 1)
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

        timings = in_turns({"loop": loop, "fast": fast}, ROUNDS)
        _told(results, questions, plain, some, (ours, theirs), timings)
        _by_row(card, results, questions)
        _others(card, results)


def _told(
    results: Results,
    questions: Questions,
    plain: int,
    some: list[int],
    found: tuple[list[Knockouts], list[Knockouts]],
    timings: dict[str, Timing],
) -> None:
    (ours, theirs), spans, number = found, questions.windows, len(questions.prepared)
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
        f"loop ran on {plain} of them in {len(some)} windows and is scaled to all."
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


def _by_row(card: Card, results: Results, questions: Questions) -> None:
    """Long rows cost the host fewer kernels, and the card more attention between tokens of different runs."""
    sizes = (64, 512) if card.small else (512, 1536, 3072, 6144)
    ways = {f"{size}": lambda size=size: questions.fast(Room(size, "tokens of blocked runs")) for size in sizes}
    results.line("\nBlocked runs packed in a row, by the most tokens that a row may have.")
    results.table("tokens in a row", "fast, s per question", "GiB")
    for size, timing in in_turns(ways, ROUNDS).items():
        each = timing.median / len(questions.prepared)
        cells = [size, f"{each:.3f}", f"{timing.gib:.1f}"]
        results.row(cells, what="row", size=int(size), seconds=timing.seconds, gib=timing.gib)


def _others(card: Card, results: Results) -> None:
    """Single heads, and attention from one picture to another; the plain loop in a few, scaled to all."""
    heads, spans = single_heads(heads_of(card.model)), windows(card.shape.layers, WINDOW)
    results.line(
        "\nIn each head by itself, and from one picture to a later one; one question. The plain loop is scaled."
    )
    results.table(
        *("blocked in", "passes", "a pass, ms", "plain loop, s", "fast, s", "speed-up", "greatest difference"),
        *("greatest effect", "GiB"),
    )
    for name, flow, pictures, where in (
        (f"{len(heads)} heads", HEADS, 1, heads),
        (f"{len(spans)} windows", BETWEEN, 2, spans),
    ):
        questions = Questions(card.model, card.shape, 1, pictures)
        _other(results, name, questions, flow, where)


def _other(results: Results, name: str, questions: Questions, flow: Flow, where: Sequence[Where]) -> None:
    some = sorted({0, len(where) // 2, len(where) - 1})
    ours: list[Knockouts] = []
    theirs: list[Knockouts] = []

    def loop() -> None:
        theirs[:] = questions.plain([where[at] for at in some], [flow])

    def fast() -> None:
        ours[:] = questions.fast(None, where, [flow])

    timings = in_turns({"loop": loop, "fast": fast}, ROUNDS)
    a_pass, passes = timings["loop"].median / (len(some) + 1), len(where) + 1
    off = float((ours[0].blocked[0, some] - theirs[0].blocked[0]).abs().max() / theirs[0].free)
    effect = float((ours[0].blocked[0] / ours[0].free - 1).abs().max())
    each = timings["fast"].median
    cells = [name, f"{passes}", f"{1e3 * a_pass:.1f}", f"{a_pass * passes:.1f}", f"{each:.3f}"]
    cells += [f"{a_pass * passes / each:.1f}", f"{off:.1e}", f"{effect:.1e}", f"{timings['fast'].gib:.1f}"]
    results.row(
        cells,
        what="others",
        blocked_in=name,
        passes=passes,
        a_pass=a_pass,
        fast=timings["fast"].seconds,
        loop=timings["loop"].seconds,
        off=off,
        effect=effect,
        gib=timings["fast"].gib,
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
