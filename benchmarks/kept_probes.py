"""What it costs to keep probes: time beside that of fitting them, and bytes, for a model of 33 layers.

Fits one layer of drawn states by the workflow's engine, and writes its probes as those of every layer. In CPU time.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.probes.fits import choose
from layerwise.probes.kept import KeptProbes, probes_file
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import Problem, Standardisation

LAYERS, LABELS, WIDTH = 33, 80, 4096
C = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
# A goal for what keeping adds to fitting.
MOST = 0.02


def drawn(items: int) -> tuple[np.ndarray, list[Problem]]:
    """States of a layer, shape (items, WIDTH), and labels that are noisy linear functions of them."""
    rng = np.random.default_rng(0)
    states = rng.standard_normal((items, WIDTH)).astype(np.float32)
    y = states @ rng.standard_normal((WIDTH, LABELS)).astype(np.float32) / 64 + rng.standard_normal((items, LABELS)) > 0
    splits = {"train": np.arange(items * 4 // 5), "val": np.arange(items * 4 // 5, items)}

    def problem(label: int) -> Problem:
        of_splits = {split: y[rows, label].astype(int) for split, rows in splits.items()}
        return Problem(f"l{label}", 2, splits, splits, splits, of_splits)

    return states, [problem(label) for label in range(LABELS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; 2,500 items")
    size.add_argument("--full", action="store_true", help="10,000 items")
    items = 10_000 if parser.parse_args().full else 2_500

    states, problems = drawn(items)
    began = time.process_time()
    standardisation = Standardisation.of(states, problems[0].rows["train"])
    standardised = standardisation.apply(states.copy())
    paths = TorchEngine(1).fit(standardised, problems, C)
    fits = [
        choose(path, standardised, problem.rows["val"], problem.y["val"])
        for path, problem in zip(paths, problems, strict=True)
    ]
    fitting = time.process_time() - began

    names = [problem.label for problem in problems]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kept.probes.h5")
        began = time.process_time()
        with probes_file(file, [str(k) for k in range(LAYERS)], names, ["no", "yes"], {}) as keep:
            for _ in range(LAYERS):
                keep(fits, standardisation)
        keeping, bytes_kept = (time.process_time() - began) / LAYERS, file.stat().st_size
        began = time.process_time()
        with KeptProbes(file) as kept:
            probe = kept.layer(LAYERS // 2)
        reading = time.process_time() - began
    wrong = max(
        np.abs(probe.margins(states, name)[:, 0] - fit.scores(standardised)[:, 0]).max()
        for name, fit in zip(names, fits, strict=True)
    )
    print(f"{LAYERS} layers, {LABELS} labels, width {WIDTH:,}; {items:,} items, {len(C)} C, without controls.\n")
    print("| fitting a layer, s | keeping it, s | keeping / fitting | file, MB | reading a layer, ms | greatest "
          "difference of a margin |\n|---:|---:|---:|---:|---:|---:|")  # fmt: skip
    print(f"| {fitting:.1f} | {keeping:.4f} | {100 * keeping / fitting:.2f} % | {bytes_kept / 1e6:.1f} | "
          f"{1e3 * reading:.1f} | {wrong:.0e} |")  # fmt: skip
    met = "Met" if keeping < MOST * fitting else "MISSED"
    print(f"\nGoal: keeping adds less than {100 * MOST:.0f} % to fitting. {met}.")


if __name__ == "__main__":
    main()
