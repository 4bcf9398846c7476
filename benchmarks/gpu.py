"""The same on a GPU: a 7B LLaVA-1.5 with random weights in bfloat16, and probes of a layer as wide as its states.

Prints Markdown tables. Ways take turns, and numbers are medians. Time is wall time, after the device has finished.
Memory is the most that torch allocated. `--small` runs a tiny shape on any device, to try the program without a GPU.

    python benchmarks/gpu.py
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from extraction import Shape, Ways, make_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.probes.problems import Problem, standardise
from layerwise.probes.torch_engine import TorchEngine

LLAVA_7B = Shape(width=4096, layers=32, image_tokens=576, vision_width=1024, vision_layers=24, heads=32)
SMALL = Shape(width=128, layers=2, image_tokens=16)
C = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one run, and the most GiB that were allocated; NaN without a GPU."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    run()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() / 2**30 if cuda else float("nan")


def extraction(shape: Shape, device: str, rounds: int) -> None:
    """A row for each number of texts per image."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = make_model(shape, device, dtype)
    print("| texts | alone ms | padded ms | shared ms | pure ms | shared tokens/s | GiB | speed-up | of pure |")
    print("|" + " ---: |" * 9)
    for texts in (1, 5, 18, 80):
        ways = Ways(model, shape, texts)
        seconds: dict[str, list[float]] = {name: [] for name in ("alone", "padded", "shared", "pure")}
        memory = []
        with torch.inference_mode():
            for turn in range(rounds + 1):
                for name, taken in seconds.items():
                    of_run, peak = timed(getattr(ways, name))
                    # The first turn warms up.
                    if turn:
                        taken.append(of_run * (ways.scale if name in ("alone", "padded") else 1))
                        memory += [peak] if name == "shared" else []
        median = {name: statistics.median(taken) for name, taken in seconds.items()}
        tokens = ways.prefix + texts * ways.text
        times = " | ".join(f"{1e3 * median[name] / texts:.2f}" for name in seconds)
        print(
            f"| {texts} | {times} | {tokens / median['shared']:,.0f} | {max(memory):.1f} "
            f"| {median['alone'] / median['shared']:.1f} | {median['pure'] / median['shared']:.2f} |",
            flush=True,
        )


def probes(n: int, width: int, labels: int, layers: int, device: str) -> None:
    """The time of one layer, and an estimate for all layers of the model."""
    rng = np.random.default_rng(0)
    scale = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    states = rng.standard_normal((n, width), dtype=np.float32) * scale
    score = states[:, :200] @ rng.standard_normal((min(200, width), labels), dtype=np.float32)
    y = (score + rng.standard_normal(score.shape) * score.std() > 0).astype(np.int64)
    rows = {"train": np.arange(n * 4 // 5), "val": np.arange(n * 4 // 5, n)}
    problems = [
        Problem(f"{i}", 2, rows, rows, rows, {split: y[index, i] for split, index in rows.items()})
        for i in range(labels)
    ]
    states = standardise(states, rows["train"])
    engine = TorchEngine(device=device)
    engine.fit(states, problems, C[:1])
    engine.products = 0.0
    taken, memory = timed(lambda: engine.fit(states, problems, C))
    pairs = engine.products / labels / len(C)
    print(
        f"\n{labels} labels x {len(C)} C, n = {n:,}, width {width}: {taken:.1f} s a layer, "
        f"{layers * taken / 60:.1f} min for {layers} layers; {pairs:.1f} matrix-product pairs per label and C, "
        f"{memory:.1f} GiB."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.small:
        raise SystemExit("no CUDA device; --small tries the program without one")
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    shape = SMALL if args.small else LLAVA_7B
    print(f"{name}; width {shape.width}, {shape.layers} layers, {shape.image_tokens} image tokens; times per text.\n")
    extraction(shape, device, args.rounds)
    n, width, labels = (500, 64, 4) if args.small else (50_000, 4096, 80)
    torch.cuda.empty_cache()
    probes(n, width, labels, shape.layers + 1, device)


if __name__ == "__main__":
    main()
