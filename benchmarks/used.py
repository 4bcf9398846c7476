"""How fast states are erased and steered at every block: the sweep over one free run, and a hooked forward pass each.

Prints a Markdown table. Small LLaVAs with random weights and 576 image tokens stand for large ones. At each block the
state of the last token is changed by an eraser and by steering with four strengths, each with ten controls. The ways
take turns. A forward pass of the input is timed with its hook and scaled to all changes, because it takes equally long
with each. Numbers are medians of CPU time. Host work (decoding, tokenizing) is left out.

    python benchmarks/used.py --quick      about 2 minutes: 8 and 16 blocks
    python benchmarks/used.py --full       about 10 minutes: also 32 blocks, and a width of 2048
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import BatchFeature

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from extraction import IMAGE_TOKEN, PATCH, Shape, make_model

from layerwise.flow.free import free_runs
from layerwise.models.adapters.generic import GenericModel
from layerwise.used.answering import Answering
from layerwise.used.changes import Changes
from layerwise.used.naive import changed_at_last
from layerwise.used.sweep import row_room, swept

# Tokens before the image, and after it.
BEFORE, BEHIND = 5, 40
STRENGTHS, DRAWS = 4, 10
VOCABULARY = 32000
# Two classes, each with the tokens of a word in lower case and capitalised, with a space and without.
TOKENS = {
    "no": [{"id": i, "text": "no"} for i in (11, 12, 13, 14)],
    "yes": [{"id": i, "text": "yes"} for i in (21, 22, 23, 24)],
}
MOST_PASSES, LEAST_SPEED = 3, 20
# Of the greatest log probability, by precision.
MOST_DIFFERENCE = {torch.float32: 1e-4, torch.bfloat16: 0.5}

HEADER = (
    "| width | blocks | changes | a pass, ms | all changes, hooked, s | sweep, s | sweep, in passes "
    "| tokens x blocks, in passes | speed-up | greatest difference of scores | greatest effect on them |"
)


class Sweeping:
    """One input, the changes of its last token, and both ways to run them."""

    def __init__(self, model: GenericModel, shape: Shape):
        draw = torch.Generator().manual_seed(1)
        side = PATCH * round(shape.image_tokens**0.5)
        ids = torch.cat(
            [
                torch.randint(0, IMAGE_TOKEN, (BEFORE,), generator=draw),
                torch.full((shape.image_tokens,), IMAGE_TOKEN),
                torch.randint(0, IMAGE_TOKEN, (BEHIND,), generator=draw),
            ]
        )[None]
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        pixels = torch.randn(1, 3, side, side, generator=draw)
        self.prepared = BatchFeature(inputs | {"pixel_values": pixels}).to(model.device, model.dtype)
        self.model, self.room = model, row_room(model.device)
        self.n_tokens = ids.shape[1]
        with torch.inference_mode():
            self.answering = Answering(model, TOKENS)
            sizes = self.free().last_states.float().std(1)
        self.changes = _changes(model, sizes, draw)

    @property
    def runs(self) -> int:
        """Changes at all blocks."""
        return sum(map(len, self.changes))

    def token_blocks(self) -> float:
        """Tokens times blocks that the sweep runs, the free run included, over those of a forward pass."""
        whole = self.n_tokens * self.model.n_layers
        return 1 + sum(int((self.model.n_layers - group.blocks).sum()) for group in self.changes) / whole

    def free(self):
        """The free run of the input."""
        (run,) = free_runs(self.model, [self.prepared], [self.n_tokens - 1], self.room)
        return run

    def fast(self) -> Tensor:
        """Scores of all changed runs."""
        return self.answering.of_states(swept(self.free(), self.changes, room=self.room).top)[0]

    def hooked(self, change: Changes | None) -> Tensor:
        """Scores of one changed run, by a forward pass of the whole model with a hook."""
        with torch.inference_mode(), changed_at_last(self.model.blocks, change):
            tops: list[Tensor] = []
            handle = self.model.blocks[-1].register_forward_hook(
                lambda _block, _args, output: tops.append(output[0, -1:] if output.dim() == 3 else output[-1:])
            )
            self.model.forward(**self.prepared, use_cache=False)
            handle.remove()
            return self.answering.of_states(tops[0])[0]


def _changes(model: GenericModel, sizes: Tensor, draw: torch.Generator) -> list[Changes]:
    """At each block erasers and steps, as large as a tenth of the state."""
    width, device, numbers = model.width, model.device, torch.arange(1, model.n_layers + 1)

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(*shape, width, device=device)

    blocks = numbers.repeat_interleave(1 + DRAWS)
    erasers = nn.functional.normalize(torch.randn(len(blocks), 1, width, generator=draw), dim=-1).to(device)
    none = torch.zeros(len(blocks), dtype=torch.bool)
    erased = Changes(blocks, erasers, erasers, zeros(len(blocks)), zeros(len(blocks)), none)
    blocks = numbers.repeat_interleave(STRENGTHS * (1 + DRAWS))
    steps = torch.randn(len(blocks), width, generator=draw).to(device) * sizes[blocks.to(device)][:, None] / 10
    none = torch.zeros(len(blocks), dtype=torch.bool)
    nothing = zeros(len(blocks), 0)
    return [erased, Changes(blocks, nothing, nothing, zeros(len(blocks)), steps, none)]


class Row(NamedTuple):
    """What was measured of one model, in seconds."""

    text: str
    missed: list[str]


def compare(model: GenericModel, shape: Shape, rounds: int, clock: Callable[[], float]) -> Row:
    """One row of the table, and the goals that it misses.

    Args:
        model: the model.
        shape: its shape.
        rounds: how often each way is timed.
        clock: seconds.
    """
    sweeping = Sweeping(model, shape)
    # An eraser and a step, each in the first, middle and last block.
    some = [group.one(i) for group in sweeping.changes for i in (0, len(group) // 2, len(group) - 1)]
    places, first = [], 0
    for group in sweeping.changes:
        places += [first, first + len(group) // 2, first + len(group) - 1]
        first += len(group)
    free = sweeping.hooked(None)
    ours, theirs = sweeping.fast(), torch.cat([sweeping.hooked(change) for change in some])
    off = float((ours[places] - theirs).abs().max())
    effect = float((ours - free).abs().max())
    a_pass, fast = [], []
    for _ in range(rounds):
        for seconds, run in ((a_pass, lambda: sweeping.hooked(some[0])), (fast, sweeping.fast)):
            began = clock()
            run()
            seconds.append(clock() - began)
    one, all_of_it = statistics.median(a_pass), statistics.median(fast)
    speed = one * sweeping.runs / all_of_it
    cells = [
        f"{shape.width}",
        f"{shape.layers}",
        f"{sweeping.runs}",
        f"{1e3 * one:.0f}",
        f"{one * sweeping.runs:.1f}",
        f"{all_of_it:.2f}",
        f"{all_of_it / one:.2f}",
        f"{sweeping.token_blocks():.2f}",
        f"{speed:.0f}",
        f"{off:.0e}",
        f"{effect:.0e}",
    ]
    name, missed = f"width {shape.width}, {shape.layers} blocks", []
    if all_of_it > MOST_PASSES * one:
        missed.append(f"{name}: {all_of_it / one:.1f} forward passes")
    if speed < LEAST_SPEED:
        missed.append(f"{name}: {speed:.0f} times as fast")
    if not off <= MOST_DIFFERENCE[model.dtype]:
        missed.append(f"{name}: scores differ by {off:.0e}")
    return Row(f"| {' | '.join(cells)} |", missed)


def _model(shape: Shape, device: str, dtype: torch.dtype) -> GenericModel:
    """A LLaVA of this shape, with the output head of a usual vocabulary."""
    model = make_model(shape, device, dtype)
    with torch.device(device):
        head = nn.Linear(shape.width, VOCABULARY, bias=False, dtype=dtype)
    model.model.set_output_embeddings(head.requires_grad_(False))
    return model


def main_gpu(shape: Shape, device: str, rounds: int) -> None:
    """Print the table of one model in bfloat16 on a card; wall time.

    Args:
        shape: of the model.
        device: as torch names it.
        rounds: how often each way is timed.
    """

    def clock() -> float:
        # The program is also tried without a card.
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    model = _model(shape, str(device), torch.bfloat16)
    _print([shape], [compare(model, shape, rounds, clock)])
    print(f"\nMost memory in use: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB.")


def _print(shapes: Sequence[Shape], rows: Sequence[Row]) -> None:
    print(HEADER)
    print("|" + " ---: |" * (HEADER.count("|") - 1))
    for row in rows:
        print(row.text)
    print(
        f"\nGoal: less than {MOST_PASSES} forward passes of the input with {shapes[0].image_tokens} image tokens for "
        f"the free run and all changes, and at least {LEAST_SPEED} times as fast as hooked forward passes, with equal "
        "scores but for rounding."
    )
    missed = [line for row in rows for line in row.missed]
    print("\n".join(f"- MISSED: {line}" for line in missed) or "- met in all rows")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="width 1024, 8 and 16 blocks (the default)")
    size.add_argument("--full", action="store_true", help="also 32 blocks, and a width of 2048")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shapes = [Shape(1024, 8, 576), Shape(1024, 16, 576)]
    if args.full:
        shapes += [Shape(1024, 32, 576), Shape(2048, 16, 576)]
    print(
        f"{shapes[0].image_tokens} image tokens followed by {BEHIND} of text, a vocabulary of {VOCABULARY}, "
        f"{args.threads} thread(s), float32. At each block one eraser and {STRENGTHS} strengths of steering, each with "
        f"{DRAWS} controls. CPU time, median of {args.rounds} rounds. One hooked pass is timed each round and scaled "
        "to all changes.\n"
    )
    rows = [compare(_model(shape, "cpu", torch.float32), shape, args.rounds, time.process_time) for shape in shapes]
    _print(shapes, rows)


if __name__ == "__main__":
    main()
