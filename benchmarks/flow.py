"""How fast attention knockout is: blocked runs that reuse the unblocked run, compared with a forward pass for each.

Prints a Markdown table. A small LLaVA with random weights and 576 image tokens stands for a large one: the ways differ
in how often they run which tokens, whatever the model's size. They take turns and do the same six flows in the same
windows. The plain loop does all flows in one window a round, and its time is scaled to all windows, because a forward
pass takes equally long in each. Numbers are medians of CPU time. Host work (decoding, tokenizing) is left out.

    python benchmarks/flow.py --quick      about 2 minutes
    python benchmarks/flow.py --full       about 10 minutes
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import BatchFeature

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from extraction import IMAGE_TOKEN, PATCH, Shape, make_model, measured

from layerwise.flow.flows import FLOWS, windows
from layerwise.flow.free import free_runs
from layerwise.flow.knockout import Knockouts, blocked_runs, first_target, naive_knockout
from layerwise.flow.positions import PositionSets
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.memory import Room

# Tokens before the image, and after it (a GQA question and how to answer it). The object covers some patches.
BEFORE, SHORTEST, LONGEST, OBJECT = 5, 22, 34, range(200, 260)
# The paper's window for models of 7 billion parameters.
WINDOW = 7
LEAST_SPEED, MOST_DIFFERENCE = 10, 1e-6


class Questions:
    """Questions about one image, and the two ways to block attention in them."""

    def __init__(self, model: GenericModel, shape: Shape, number: int):
        draw = torch.Generator().manual_seed(1)
        side = PATCH * round(shape.image_tokens**0.5)
        self.model, self.windows = model, windows(shape.layers, WINDOW)
        pixels = torch.randn(1, 3, side, side, generator=draw)
        start = torch.cat(
            [
                torch.randint(0, IMAGE_TOKEN, (BEFORE,), generator=draw),
                torch.full((shape.image_tokens,), IMAGE_TOKEN),
            ]
        )
        self.prepared, self.sets = [], []
        for length in torch.randint(SHORTEST, LONGEST, (number,), generator=draw).tolist():
            ids = torch.cat([start, torch.randint(0, IMAGE_TOKEN, (length,), generator=draw)])[None]
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}
            self.prepared.append(BatchFeature(inputs))
            self.sets.append(_sets(shape.image_tokens, ids.shape[1]))
        self.answer_ids = [int(self._logits(inputs).argmax()) for inputs in self.prepared]

    def _logits(self, inputs: BatchFeature) -> Tensor:
        with torch.inference_mode():
            # A copy, because BatchFeature.to moves its own tensors, and a run begins with them on the host.
            moved = BatchFeature(dict(inputs)).to(self.model.device, self.model.dtype)
            return self.model.model(**moved).logits[0, -1]

    def plain(self, spans: Sequence[range]) -> list[Knockouts]:
        """One forward pass for each flow and window, and one with nothing blocked."""
        return [
            naive_knockout(self.model, inputs, sets, FLOWS, spans, answer)
            for inputs, sets, answer in zip(self.prepared, self.sets, self.answer_ids, strict=True)
        ]

    def fast(self, row: Room | None = None) -> list[Knockouts]:
        """Reuse one run of the image and one of each question; ``row`` as :func:`free_runs` takes it."""
        starts = [first_target(sets, FLOWS) for sets in self.sets]
        runs = free_runs(self.model, self.prepared, starts, row)
        return [
            blocked_runs(run, sets, FLOWS, self.windows, answer)
            for run, sets, answer in zip(runs, self.sets, self.answer_ids, strict=True)
        ]

    def token_blocks(self) -> tuple[float, float, float]:
        """Tokens times blocks: of the plain loop, of a loop that reuses only lower blocks, and of ours.

        The vision tower and the output head are left out.
        """
        layers = self.model.n_layers
        above = sum(layers - window[0] for window in self.windows)
        plain = lower = ours = 0
        image = 0
        for sets in self.sets:
            plain += sets.n_tokens * layers * (len(FLOWS) * len(self.windows) + 1)
            lower += sets.n_tokens * (layers + len(FLOWS) * above)
            own = [sets.n_tokens - first_target(sets, [flow]) for flow in FLOWS]
            image = int(sets["image"][-1]) + 1
            ours += (sets.n_tokens - image) * layers + sum(own) * above
        return plain, lower, ours + image * layers


def _sets(image_tokens: int, n_tokens: int) -> PositionSets:
    image = torch.arange(BEFORE, BEFORE + image_tokens)
    shown = torch.zeros(image_tokens, dtype=torch.bool)
    shown[OBJECT.start : OBJECT.stop] = True
    question = torch.arange(BEFORE + image_tokens, n_tokens - 1)
    last = torch.tensor([n_tokens - 1])
    sets = {"image": image, "object": image[shown], "other": image[~shown], "question": question, "last": last}
    return PositionSets(n_tokens, sets)


def compare(model: GenericModel, shape: Shape, number: int, rounds: int) -> tuple[str, list[str]]:
    """One row of the table, and the goals that it misses."""
    questions = Questions(model, shape, number)
    spans = questions.windows
    plain, fast, differences, effects = [], [], [], []
    ours = questions.fast()
    for turn in range(rounds):
        at = turn * (len(spans) - 1) // max(1, rounds - 1)
        theirs: list[Knockouts] = []
        cost = measured(lambda at=at, theirs=theirs: theirs.extend(questions.plain([spans[at]])))
        plain.append(cost.cpu)
        fast.append(measured(questions.fast).cpu)
        for one, other in zip(ours, theirs, strict=True):
            differences.append(float((one.blocked[:, at] - other.blocked[:, 0]).abs().max()))
            effects.append(float((other.blocked / other.free - 1).abs().max()))
    passes = len(FLOWS) * len(spans) + 1
    whole = statistics.median(plain) / (len(FLOWS) + 1) * passes / number
    each = statistics.median(fast) / number
    of_plain, of_lower, of_ours = questions.token_blocks()
    speed, theory = whole / each, of_plain / of_ours
    row = [
        f"{number}",
        f"{passes}",
        f"{1e3 * whole / passes:.0f}",
        f"{whole:.1f}",
        f"{each:.2f}",
        f"{max(differences):.0e}",
        f"{100 * max(effects):.0f} %",
        f"{100 * of_ours / of_plain:.1f} %",
        f"{of_plain / of_lower:.1f}",
        f"{speed:.1f}",
        f"{theory:.1f}",
    ]
    missed = []
    if speed < LEAST_SPEED:
        missed.append(f"{number} questions: {speed:.1f} times as fast")
    if max(differences) > MOST_DIFFERENCE:
        missed.append(f"{number} questions: probabilities differ by {max(differences):.0e}")
    return f"| {' | '.join(row)} |", missed


HEADER = (
    "| questions of the image | passes | a pass, ms | plain loop, s | fast, s | greatest difference "
    "| greatest effect of blocking | tokens x blocks run again | lower blocks alone, theory | speed-up | theory |"
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="24 blocks of width 256, five rounds (the default)")
    size.add_argument("--full", action="store_true", help="32 blocks of width 512, five rounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shape = Shape(width=512, layers=32, image_tokens=576) if args.full else Shape(256, 24, 576)
    print(
        f"Width {shape.width}, {shape.layers} blocks, {shape.image_tokens} image tokens followed by {SHORTEST} to "
        f"{LONGEST - 1} text tokens, {len(FLOWS)} flows, windows of {WINDOW} blocks, {args.threads} thread(s), "
        f"float32. CPU time per question, median of {args.rounds} rounds. Each round runs the plain loop in one "
        "window only and scales its time to all windows.\n"
    )
    print(HEADER)
    print("|" + " ---: |" * (HEADER.count("|") - 1))
    model = make_model(shape)
    # Weights as large as in a trained model. With smaller ones blocking would change almost nothing, so that equal
    # results would show nothing.
    for parameter in model.model.parameters():
        if parameter.dim() == 2:
            parameter.mul_(2)
    missed: list[str] = []
    for number in (1, 4):
        row, of_row = compare(model, shape, number, args.rounds)
        missed += of_row
        print(row, flush=True)
    print(
        f"\nGoal: at least {LEAST_SPEED} times as fast as the plain loop, with probabilities within "
        f"{MOST_DIFFERENCE:.0e} of its own."
    )
    print("\n".join(f"- MISSED: {line}" for line in missed) or "- met in all rows")
    print(
        "\nThe theory counts tokens times blocks. The image's tokens and each question's tokens run once. For each "
        "flow and window, the tokens from the first target on run again, in the blocks from the window's first block "
        "on."
    )


if __name__ == "__main__":
    main()
