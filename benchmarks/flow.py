"""How fast attention knockout is: blocked runs that reuse the unblocked run, compared with a forward pass for each.

Prints two Markdown tables: windows of blocks; and single heads, and attention from one picture to a later one. A small
LLaVA with random weights and 576 image tokens stands for a large one: the ways differ in how often they run which
tokens, whatever the model's size. They take turns and do the same flows in the same windows or heads. The plain loop
does all flows in one window a round, or in the heads of one block, and its time is scaled to all, because a forward
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

from layerwise.figures.names import arrow
from layerwise.flow.flows import FLOWS, Flow, windows
from layerwise.flow.free import free_runs
from layerwise.flow.heads import Where, heads_of, single_heads
from layerwise.flow.knockout import Knockouts, blocked_runs, first_target, naive_knockout
from layerwise.flow.positions import PositionSets
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.memory import Room

# Tokens before the image, and after it (a GQA question and how to answer it). The object covers some patches.
BEFORE, SHORTEST, LONGEST, OBJECT = 5, 22, 34, range(200, 260)
# The paper's window for models of 7 billion parameters.
WINDOW = 7
LEAST_SPEED, MOST_DIFFERENCE = 10, 1e-6
LEAST_SPEED_OF_HEADS, LEAST_SPEED_BETWEEN = 50, 2


class Questions:
    """Questions about one image, and the two ways to block attention in them."""

    def __init__(self, model: GenericModel, shape: Shape, number: int, pictures: int = 1):
        draw = torch.Generator().manual_seed(1)
        side = PATCH * round(shape.image_tokens**0.5)
        self.model, self.windows = model, windows(shape.layers, WINDOW)
        pixels = torch.randn(pictures, 3, side, side, generator=draw)
        before = torch.randint(0, IMAGE_TOKEN, (BEFORE,), generator=draw)
        start = torch.cat([before, torch.full((pictures * shape.image_tokens,), IMAGE_TOKEN)])
        self.prepared, self.sets = [], []
        for length in torch.randint(SHORTEST, LONGEST, (number,), generator=draw).tolist():
            ids = torch.cat([start, torch.randint(0, IMAGE_TOKEN, (length,), generator=draw)])[None]
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}
            self.prepared.append(BatchFeature(inputs))
            self.sets.append(_sets(shape.image_tokens, ids.shape[1], pictures))
        self.answer_ids = [int(self._logits(inputs).argmax()) for inputs in self.prepared]

    def _logits(self, inputs: BatchFeature) -> Tensor:
        with torch.inference_mode():
            # A copy, because BatchFeature.to moves its own tensors, and a run begins with them on the host.
            moved = BatchFeature(dict(inputs)).to(self.model.device, self.model.dtype)
            return self.model.model(**moved).logits[0, -1]

    def plain(self, where: Sequence[Where], flows: Sequence[Flow] = FLOWS) -> list[Knockouts]:
        """One forward pass for each flow and window, and one with nothing blocked."""
        return [
            naive_knockout(self.model, BatchFeature(dict(inputs)), sets, flows, where, answer)
            for inputs, sets, answer in zip(self.prepared, self.sets, self.answer_ids, strict=True)
        ]

    def fast(
        self, row: Room | None = None, where: Sequence[Where] | None = None, flows: Sequence[Flow] = FLOWS
    ) -> list[Knockouts]:
        """Reuse one run of the image and one of each question; ``row`` as :func:`free_runs` takes it."""
        starts = [first_target(sets, flows) for sets in self.sets]
        runs = free_runs(self.model, self.prepared, starts, row)
        return [
            blocked_runs(run, sets, flows, where or self.windows, answer)
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


def _sets(image_tokens: int, n_tokens: int, pictures: int) -> PositionSets:
    of_each = torch.arange(BEFORE, BEFORE + pictures * image_tokens).split(image_tokens)
    shown = torch.zeros(image_tokens, dtype=torch.bool)
    shown[OBJECT.start : OBJECT.stop] = True
    sets = {"image": torch.cat(of_each), "object": of_each[0][shown], "other": of_each[0][~shown]}
    sets |= {"question": torch.arange(int(of_each[-1][-1]) + 1, n_tokens - 1), "last": torch.tensor([n_tokens - 1])}
    return PositionSets(n_tokens, sets | {f"image {i}": one for i, one in enumerate(of_each, start=1)})


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


HEADS, BETWEEN = Flow("image", "last"), Flow("image 1", "image 2")


def compare_others(model: GenericModel, shape: Shape, rounds: int) -> tuple[list[str], list[str]]:
    """Rows of the second table, and the goals that they miss."""
    heads, spans = single_heads(heads_of(model)), windows(shape.layers, WINDOW)
    per_block = len(heads) // shape.layers
    each_head, between = Questions(model, shape, 1), Questions(model, shape, 1, pictures=2)
    found = [
        _row(f"each of {len(heads)} heads", each_head, HEADS, heads, per_block, rounds, LEAST_SPEED_OF_HEADS),
        _row(f"{len(spans)} windows", between, BETWEEN, spans, 1, rounds, LEAST_SPEED_BETWEEN),
    ]
    return [row for row, _ in found], [line for _, missed in found for line in missed]


def _row(
    name: str, questions: Questions, flow: Flow, where: Sequence[Where], at_once: int, rounds: int, goal: float
) -> tuple[str, list[str]]:
    """A row, and the goals that it misses. The plain loop does ``at_once`` of ``where`` a round."""

    def fast() -> list[Knockouts]:
        return questions.fast(None, where, [flow])

    (ours,) = fast()
    plain, seconds, differences, effects = [], [], [], []
    for turn in range(rounds):
        first = turn * (len(where) // at_once - 1) // max(1, rounds - 1) * at_once
        theirs: list[Knockouts] = []
        some = where[first : first + at_once]
        cost = measured(lambda some=some, theirs=theirs: theirs.extend(questions.plain(some, [flow])))
        plain.append(cost.cpu / (len(some) + 1))
        seconds.append(measured(fast).cpu)
        differences.append(float((ours.blocked[0, first : first + at_once] - theirs[0].blocked[0]).abs().max()))
        effects.append(float((theirs[0].blocked / theirs[0].free - 1).abs().max()))
    a_pass, each, passes = statistics.median(plain), statistics.median(seconds), len(where) + 1
    speed = a_pass * passes / each
    row = [name, arrow(flow.name), f"{passes}", f"{1e3 * a_pass:.0f}", f"{a_pass * passes:.1f}", f"{each:.2f}"]
    row += [f"{max(differences):.0e}", f"{100 * max(effects):.1f} %", f"{speed:.1f}"]
    missed = [f"{name}: {speed:.1f} times as fast, less than {goal}"] * (speed < goal)
    missed += [f"{name}: probabilities differ by {max(differences):.0e}"] * (max(differences) > MOST_DIFFERENCE)
    return f"| {' | '.join(row)} |", missed


HEADER = (
    "| questions of the image | passes | a pass, ms | plain loop, s | fast, s | greatest difference "
    "| greatest effect of blocking | tokens x blocks run again | lower blocks alone, theory | speed-up | theory |"
)


OTHERS = (
    "| blocked in | flow | passes | a pass, ms | plain loop, s | fast, s | greatest difference "
    "| greatest effect of blocking | speed-up |"
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
    rows, of_others = compare_others(model, shape, args.rounds)
    print("", OTHERS, "|" + " ---: |" * (OTHERS.count("|") - 1), *rows, sep="\n")
    missed += of_others
    print(
        f"\nGoal: at least {LEAST_SPEED} times as fast as the plain loop (heads: {LEAST_SPEED_OF_HEADS} times, from "
        f"picture to picture: {LEAST_SPEED_BETWEEN} times), with probabilities within {MOST_DIFFERENCE:.0e} of its own."
    )
    print("\n".join(f"- MISSED: {line}" for line in missed) or "- met in all rows")
    print(
        "\nThe theory counts tokens times blocks. The image's tokens and each question's tokens run once. For each "
        "flow and window, the tokens from the first target on run again, in the blocks from the window's first block "
        "on."
    )


if __name__ == "__main__":
    main()
