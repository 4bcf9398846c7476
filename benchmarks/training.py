"""Time per step of the embedded model's optimiser, on this processor and without bfloat16 instructions.

Ours orthogonalises in float32, torch's Muon in bfloat16. Rounds are interleaved, and numbers are medians. For the
second row, oneDNN, which multiplies bfloat16 matrices, may use AVX2 at most. Run it from the repository's root:

    python benchmarks/training.py --quick
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

ROWS = {"as it is": {}, "at most AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}


def measure(rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time for a step over the decoder's matrices on one thread, by optimiser."""
    import torch

    from layerwise.models.embedded.architecture import LAYERS, WIDTH
    from layerwise.models.embedded.optimizers import Muon

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    # Four of attention and three of the MLP in each block.
    shapes = [(WIDTH, WIDTH)] * (7 * LAYERS)
    optimizers = {
        "ours": lambda matrices: Muon(matrices, lr=1e-2),
        "torch": lambda matrices: torch.optim.Muon(matrices, lr=1e-2, momentum=0.95, weight_decay=0.0),
    }
    ready = {}
    for name, make in optimizers.items():
        matrices = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        ready[name] = make(matrices)
        ready[name].step()
    taken: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, optimizer in ready.items():
            start = time.process_time()
            optimizer.step()
            taken[name].append(1e3 * (time.process_time() - start))
    return {name: median(times) for name, times in taken.items()}


def main() -> None:
    """Print the table. Each row has its own process, because oneDNN reads its limit when it is loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="7 rounds")
    size.add_argument("--full", action="store_true", help="30 rounds (the default)")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.json:
        print(json.dumps(measure(7 if args.quick else 30)))
        return
    print("| processor | float32 (ours), ms a step | bfloat16 (torch's Muon), ms a step | torch's / ours |")
    print("| --- | ---: | ---: | ---: |")
    for name, limits in ROWS.items():
        command = [sys.executable, __file__, "--json", "--quick" if args.quick else "--full"]
        done = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"| {name} | {found['ours']:.0f} | {found['torch']:.0f} | {found['torch'] / found['ours']:.1f} |")


if __name__ == "__main__":
    main()
