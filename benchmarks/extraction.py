"""How fast hidden states are made: the shared prefix and three other ways, for several numbers of texts per image.

Prints a Markdown table. A small LLaVA with random weights stands for a large one: the ways differ in how often they run
which tokens, whatever the model's size. All ways take turns, and each number is a median. Host work (decoding,
tokenizing) is left out. Ratios use CPU time, which other programs disturb least; with more than one thread it includes
waiting.

    python benchmarks/extraction.py --quick      about 2 minutes
    python benchmarks/extraction.py --full       about 15 minutes
"""

import argparse
import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.prefix.split import PromptGroup, split_prefix

PATCH, VOCABULARY = 14, 512
IMAGE_TOKEN = VOCABULARY - 1
# One text at a time and padded batches cost the same for every text. So only this many are timed, and scaled.
TEXTS_TIMED = 16
SHORTEST, LONGEST = 11, 24


@dataclass(frozen=True)
class Shape:
    """What is measured: the model's size, image tokens, and the vision tower's size."""

    width: int
    layers: int
    image_tokens: int
    vision_width: int = 96
    vision_layers: int = 4
    heads: int | None = None


class NoProcessor:
    """Takes the place of a processor: the benchmark makes its own tensors."""

    image_token = "<image>"
    chat_template = None


def make_model(shape: Shape, device: str = "cpu", dtype: torch.dtype = torch.float32) -> GenericModel:
    """A LLaVA of this shape with random weights."""
    torch.manual_seed(0)
    heads = shape.heads or shape.width // 64
    side = PATCH * round(shape.image_tokens**0.5)
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=shape.vision_width,
            intermediate_size=4 * shape.vision_width,
            num_hidden_layers=shape.vision_layers,
            num_attention_heads=max(4, shape.vision_width // 64),
            image_size=side,
            patch_size=PATCH,
        ),
        text_config=transformers.LlamaConfig(
            hidden_size=shape.width,
            intermediate_size=int(shape.width * 2.6875),
            num_hidden_layers=shape.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            vocab_size=VOCABULARY,
            max_position_embeddings=4096,
        ),
        image_token_index=IMAGE_TOKEN,
        image_seq_length=shape.image_tokens,
    )
    # Weights are drawn on the device, because drawing a large model's on the host would take minutes.
    with torch.device(device):
        model = transformers.LlavaForConditionalGeneration._from_config(config, dtype=dtype).eval()
    return GenericModel(model.requires_grad_(False), NoProcessor(), "<image>\n{prompt}")


class Ways:
    """The ways to the same states, over one image and ``texts`` texts."""

    def __init__(self, model: GenericModel, shape: Shape, texts: int):
        draw = torch.Generator().manual_seed(1)
        side = PATCH * round(shape.image_tokens**0.5)
        self.model = model
        device, dtype = model.model.device, model.dtype
        self.pixels = torch.randn(1, 3, side, side, generator=draw).to(device, dtype)
        before = torch.randint(0, IMAGE_TOKEN, (5,), generator=draw)
        behind = torch.randint(0, IMAGE_TOKEN, (1,), generator=draw)
        start = torch.cat([before, torch.full((shape.image_tokens,), IMAGE_TOKEN), behind])
        lengths = torch.randint(SHORTEST, LONGEST, (texts,), generator=draw).tolist()
        texts_ids = (torch.randint(0, IMAGE_TOKEN, (n,), generator=draw) for n in lengths)
        self.ids = [torch.cat([start, ids]).to(device) for ids in texts_ids]
        self.prefix, self.text = len(start), statistics.fmean(lengths)
        self.timed = min(texts, TEXTS_TIMED)
        self.scale = texts / self.timed

    def alone(self) -> Tensor:
        """One sample at a time with ``output_hidden_states``, the usual way."""
        states = []
        for ids in self.ids[: self.timed]:
            output = self.model.model(input_ids=ids[None], pixel_values=self.pixels, output_hidden_states=True)
            states.append(torch.stack([layer[0, -1] for layer in output.hidden_states]))
        return torch.stack(states)

    def padded(self) -> Tensor:
        """Left-padded batches of 16 with hooks: this project's plain path."""
        batch = self.ids[: self.timed]
        longest = max(map(len, batch))
        ids = torch.stack([nn.functional.pad(one, (longest - len(one), 0)) for one in batch])
        mask = torch.stack([nn.functional.pad(torch.ones_like(one), (longest - len(one), 0)) for one in batch])
        pixels = self.pixels.expand(len(batch), -1, -1, -1)
        inputs = transformers.BatchFeature({"input_ids": ids, "attention_mask": mask, "pixel_values": pixels})
        return self.model.run(inputs, ["last"])["last"]

    def shared(self) -> Tensor:
        """The shared prefix."""
        return self.model.run_shared(self.group(), ["last"])["last"]

    def group(self) -> PromptGroup:
        """The texts, cut at their common prefix."""
        first = self.ids[0][None]
        inputs = {"input_ids": first, "attention_mask": torch.ones_like(first), "pixel_values": self.pixels}
        return split_prefix(inputs, first == IMAGE_TOKEN, [ids.tolist() for ids in self.ids])

    def pure(self) -> None:
        """One forward pass of the same number of tokens in a row, without a cache, hooks or masks: the floor."""
        ids = torch.cat([self.ids[0][: self.prefix], *(one[self.prefix :] for one in self.ids)])
        self.model.model.base_model(input_ids=ids[None], pixel_values=self.pixels, use_cache=False)

    def vision(self) -> None:
        """The image's part alone."""
        self.model.model.base_model.get_image_features(self.pixels)


@dataclass(frozen=True)
class Cost:
    """One run: seconds of wall time and of all cores, and peak memory above the start, in MiB."""

    wall: float
    cpu: float
    memory: float


def measured(run: Callable[[], object]) -> Cost:
    """Run once and measure."""
    before = reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, (peak_memory("VmHWM") - before) / 2**10)


def reset_peak() -> float:
    """Return freed memory and reset the process's peak, if Linux allows it; returns the memory in use, in KiB."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return float("nan")
    return peak_memory("VmRSS")


def peak_memory(key: str) -> float:
    """A number from the kernel about this process's memory, in KiB; NaN if the system does not provide it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) for line in lines if line.startswith(key)), float("nan"))


# The goal: this share of the theory's speed-up and of the pure forward pass's speed, from this number of texts on.
LEAST_SHARE, GOAL_TEXTS = 0.9, 5


def compare(shape: Shape, texts: int, rounds: int, model: GenericModel) -> tuple[str, list[str]]:
    """One row of the table, and the goals that it misses."""
    ways = Ways(model, shape, texts)
    names = ("alone", "padded", "shared", "pure", "vision")
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    with torch.inference_mode():
        check(ways)
        for _ in range(rounds):
            for name in names:
                costs[name].append(measured(getattr(ways, name)))

    def median(name: str, of: str) -> float:
        scale = ways.scale if name in ("alone", "padded") and of != "memory" else 1
        return scale * statistics.median(getattr(cost, of) for cost in costs[name])

    alone, vision = median("alone", "cpu"), median("vision", "cpu")
    # The vision tower's cost, in decoder tokens.
    v = vision * texts * (ways.prefix + ways.text) / (alone - vision * texts)
    theory = texts * (ways.prefix + ways.text + v) / (ways.prefix + texts * ways.text + v)
    speed = alone / median("shared", "cpu")
    row = [
        f"{shape.image_tokens}",
        f"{texts}",
        *(f"{1e3 * median(name, 'cpu') / texts:.1f}" for name in ("alone", "padded", "shared", "pure")),
        f"{1e3 * median('shared', 'wall') / texts:.1f}",
        *(f"{median(name, 'memory'):.0f}" for name in ("alone", "padded", "shared", "pure")),
        f"{speed:.1f}",
        f"{theory:.1f}",
        f"{speed / theory:.2f}",
        f"{median('pure', 'cpu') / median('shared', 'cpu'):.2f}",
    ]
    reached = {"theory": speed / theory, "pure forward": median("pure", "cpu") / median("shared", "cpu")}
    missed = [
        f"{shape.image_tokens} image tokens, {texts} texts: {share:.2f} of the {of}"
        for of, share in reached.items()
        if texts >= GOAL_TEXTS and round(share, 2) < LEAST_SHARE
    ]
    return f"| {' | '.join(row)} |", missed


def check(ways: Ways) -> None:
    """Stop if the ways give different states, because comparing their speed would then mean nothing."""
    alone, padded, shared = ways.alone(), ways.padded(), ways.shared()[: ways.timed]
    for name, states, bound in (("padded", padded, 1e-5), ("shared", shared, 2e-6)):
        # transformers' own states lack the last block's output.
        states = torch.cat([states[:, :-2], states[:, -1:]], dim=1)
        difference = float(((states - alone).norm(dim=-1) / alone.norm(dim=-1)).max())
        if difference > bound:
            raise SystemExit(f"{name}: states differ by {difference:.1e} from those of one sample at a time")


HEADER = (
    "| image tokens | texts | alone ms | padded ms | shared ms | pure ms | shared, wall ms "
    "| alone MiB | padded MiB | shared MiB | pure MiB | speed-up | theory | of theory | of pure |"
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two layers, five rounds (the default)")
    size.add_argument("--full", action="store_true", help="eight layers, five rounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="how often each way is measured")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    width, layers, rounds = (1024, 8, 5) if args.full else (1024, 2, 5)
    rounds = args.rounds or rounds
    print(
        f"Width {width}, {layers} layers, {args.threads} thread(s), float32. CPU time per text, median of {rounds} "
        "rounds.\n"
    )
    print(HEADER)
    print("|" + " ---: |" * (HEADER.count("|") - 1))
    missed: list[str] = []
    for image_tokens in (576, 64):
        shape = Shape(width, layers, image_tokens)
        model = make_model(shape)
        for texts in (1, 5, 18, 80):
            row, of_row = compare(shape, texts, rounds, model)
            missed += of_row
            print(row, flush=True)
    print(f"\nGoal from {GOAL_TEXTS} texts on: at least {LEAST_SHARE} of the theory and of the pure forward pass.")
    print("\n".join(f"- MISSED: {line}" for line in missed) or "- met in all rows")
    if missed:
        print(
            "\nThe theory counts tokens only. An image and its texts are two passes with fewer tokens each, and short "
            "passes are slower per token. This shows if both the image and the texts are short."
        )


if __name__ == "__main__":
    main()
