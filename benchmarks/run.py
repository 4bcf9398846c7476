"""Run all benchmarks and write their tables to docs/benchmarks.md. Nothing else should run on the machine."""

import argparse
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent
SECTIONS = {
    "extraction.py": "Extraction by shared prefix",
    "peers/drive.py": "Beside other tools",
    "flow.py": "Attention knockout that reuses the unblocked run",
    "used.py": "Erasing and steering at every block over one free run",
    "probes.py": "Probes: all labels and all C of one layer",
    "carried.py": "Probes: carrying kept ones beside fitting",
    "kept_probes.py": "Keeping probes",
    "storage.py": "Storage of hidden states",
    "answers.py": "Answers read off hidden states",
    "memory.py": "Peak memory as items double",
    "planning.py": "Planning large studies",
    "training.py": "The optimiser of the embedded model",
    "page.py": "The page one plays with",
    "cost.py": "The cost model compared with the demo",
    "precision.py": "Rounding, and what the start-up checks allow",
    "ground_truth.py": "Planted signals: layers, intervals and tests compared with the truth",
    "used_truth.py": "Planted use: a decoder whose use of what it knows is known",
}
HEAD = """# Benchmarks

Made by `make bench` on {date}: {cpu}, {cores} cores, Python {python}, torch {torch}. Each section
compares several ways to do the same thing, in turns and within one run. So read the ratios rather than the seconds.
[benchmarks-gpu.md](benchmarks-gpu.md) measures on a GPU.
"""


def main() -> None:
    """Run each program and put its output under a heading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["quick", "full"], default="quick")
    parser.add_argument("--out", type=Path, default=FOLDER.parent / "docs/benchmarks.md")
    args = parser.parse_args()

    head = HEAD.format(
        date=date.today().isoformat(),
        cpu=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        torch=torch.__version__.split("+")[0],
    )
    parts = [head]
    for program, title in SECTIONS.items():
        print(f"{title} ...", file=sys.stderr)
        flag = f"--{args.size}"
        done = subprocess.run([sys.executable, FOLDER / program, flag], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{program} failed:\n{done.stderr}")
        parts.append(f"## {title}\n\n`python benchmarks/{program} {flag}`\n\n{done.stdout.strip()}\n")
    args.out.write_text("\n".join(parts))
    print("\n".join(parts))


if __name__ == "__main__":
    main()
