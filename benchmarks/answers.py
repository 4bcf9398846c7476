"""How long it takes to read a model's answers off finished hidden states.

A cell of few items is read, with the width and the vocabulary of a large model. Scores take time by item and layer;
the mass of all tokens takes time by state, which are all items at the top and 2,000 in every other layer. Both are
measured and scaled to a large cell. Numbers are medians of CPU time.

    python benchmarks/answers.py --quick
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from storage import synthetic_states
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from safetensors.numpy import save_file

from layerwise.answers.head_file import Conversation, Head, Norm
from layerwise.answers.lens import MASS_ITEMS, Answering, log_partition, read_layers
from layerwise.answers.table import Answers, write_answers
from layerwise.models.head import Bending
from layerwise.models.stored import stored_weights
from layerwise.states.shards import open_states
from layerwise.states.store import from_bits
from layerwise.states.writing import new_states, write_rows

WIDTH, VOCABULARY, LAYERS, ITEMS = 4096, 32000, 34, 50_000
TOKENS = {"present": [{"id": i, "text": str(i)} for i in (5, 40, 91, 700)], "absent": [{"id": 41, "text": "41"}]}
MOST_HOURS = 1


def make_head(folder: Path) -> Head:
    """A head of 32,000 tokens on disk, and an RMSNorm."""
    draw = np.random.default_rng(0)
    rows = (0.02 * draw.standard_normal((VOCABULARY, WIDTH), np.float32)).astype(np.float16)
    save_file({"lm_head.weight": rows}, folder / "model.safetensors")
    norm = Norm(np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32), centred=False, eps=1e-5)
    spoken = Conversation(("", ""), ("", ""), "", None)
    stored = stored_weights(folder)["lm_head.weight"]
    return Head("llava", "d", norm, stored, None, "float16", Bending(), spoken)


def seconds(run: Callable[[], object], rounds: int) -> float:
    """Median CPU time."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="1,024 items, 4 layers, three rounds (the default)")
    size.add_argument("--full", action="store_true", help="4,096 items, 8 layers, five rounds")
    args = parser.parse_args()
    items, layers, rounds = (4096, 8, 5) if args.full else (1024, 4, 3)
    values = synthetic_states(items, layers, WIDTH)
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        head = make_head(folder)
        ids = [f"item {i}" for i in range(items)]
        with new_states(
            folder / "s.h5", positions=["last"], layers=[str(i) for i in range(layers)], rows=items, width=WIDTH,
            dtype="bfloat16", item_ids=ids, row_of_item=range(items), cell={},
        ) as datasets:  # fmt: skip
            write_rows(datasets["last"], 0, from_bits(values).swapaxes(0, 1))
        with open_states([folder / "s.h5"]) as states:
            one_layer = states.layer("last", 0)
            answering = Answering(head, TOKENS)
            read = seconds(lambda: states.layer("last", 1), rounds) / items
            score = seconds(lambda: answering.logits(one_layer, normed=False), rounds) / items
            mass = seconds(lambda: log_partition(one_layer, np.arange(items), head, normed=False), rounds) / items
            table = pd.concat(read_layers(states, head, TOKENS, mass_items=16), ignore_index=True)
        answers = Answers(list(TOKENS), TOKENS, {}, table)
        write = seconds(lambda: write_answers(folder / "a.parquet", answers), rounds) / len(table)
        stored = (folder / "a.parquet").stat().st_size / len(table)
    in_all = {
        "reading a layer's states": read * ITEMS * LAYERS,
        "scores of the answers": score * ITEMS * LAYERS,
        "mass: all items at the top": mass * ITEMS,
        f"mass: {MASS_ITEMS:,} items in every other layer": mass * MASS_ITEMS * (LAYERS - 1),
        "writing the table": write * ITEMS * LAYERS,
    }
    each = [read, score, mass, mass, write]
    print(
        f"Width {WIDTH}, vocabulary {VOCABULARY:,}, float32 products, one thread. Measured on {items:,} items, scaled "
        f"to {ITEMS:,} items and {LAYERS} layers; the table takes {stored * ITEMS * LAYERS / 1e6:.0f} MB.\n"
    )
    print(f"| step | µs each | s for {ITEMS:,} items |")
    print("|---|---:|---:|")
    for (step, whole), one in zip(in_all.items(), each, strict=True):
        print(f"| {step} | {1e6 * one:.1f} | {whole:.0f} |")
    hours = sum(in_all.values()) / 3600
    print(f"| together | | {3600 * hours:.0f} |")
    met = "Met" if hours <= MOST_HOURS else "Missed"
    print(f"\nGoal: at most {MOST_HOURS} core hour for such a cell. {met} ({hours:.2f}).")


if __name__ == "__main__":
    main()
