"""How fast hidden states are written, and how fast one layer is read, by layout and compression.

Rounds are interleaved, and numbers are medians. Run it from the repository's root:

    python benchmarks/storage.py --quick
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import h5py
import hdf5plugin
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.states.writing import ROWS_PER_CHUNK, to_bits

LEAST_READ = 1.0  # GB/s of decompressed layer


def synthetic_states(rows: int, layers: int, width: int) -> np.ndarray:
    """bfloat16 bits of shape (layers, rows, width) that compress as hidden states do: a spectrum, a mean, outliers."""
    rng = np.random.default_rng(0)
    scale = 1 / np.sqrt(np.arange(1, width + 1))
    states = rng.normal(size=(layers, rows, width)).astype(np.float32) * scale.astype(np.float32)
    states += rng.normal(size=width).astype(np.float32)
    states[:, :, :4] *= 100
    return to_bits(states)


def layouts(layers: int, rows: int, width: int) -> dict[str, dict]:
    """Ways to lay the same array out in a file; ours is the first."""
    one_layer = (1, min(ROWS_PER_CHUNK, rows), width)
    compressed = {"compression": hdf5plugin.Bitshuffle(cname="lz4")}
    return {
        "a layer at a time, bitshuffle + LZ4, checksums (ours)": {
            "chunks": one_layer,
            "fletcher32": True,
            **compressed,
        },
        "the same without checksums": {"chunks": one_layer, **compressed},
        "a layer at a time, uncompressed": {"chunks": one_layer},
        "a layer at a time, gzip 1": {"chunks": one_layer, "compression": "gzip", "compression_opts": 1},
        "a sample at a time, bitshuffle + LZ4": {"chunks": (layers, 1, width), **compressed},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="9 layers, three rounds")
    size.add_argument("--full", action="store_true", help="33 layers, five rounds (the default)")
    args = parser.parse_args()
    rows, layers, width, rounds = (1536, 9, 2048, 3) if args.quick else (1536, 33, 2048, 5)
    states = synthetic_states(rows, layers, width)
    layer_bytes = states[0].nbytes
    written: dict[str, list[float]] = {}
    read: dict[str, list[float]] = {}
    size = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, options in layouts(layers, rows, width).items():
                path = Path(folder) / "states.h5"
                start = time.perf_counter()
                with h5py.File(path, "w") as file:
                    file.create_dataset("last", data=states, **options)
                written.setdefault(name, []).append(time.perf_counter() - start)
                size[name] = path.stat().st_size / states.nbytes
                with h5py.File(path) as file:
                    for layer in range(layers):
                        start = time.perf_counter()
                        values = file["last"][layer]
                        read.setdefault(name, []).append(time.perf_counter() - start)
                        assert values[0, 0] == states[layer, 0, 0]
    print(
        f"{rows} rows x {layers} layers x {width}, 16 bit, medians of {rounds} rounds, with files in the page cache.\n"
    )
    print("| layout | size | write MB/s | read one layer, ms | GB/s |")
    print("|---|---:|---:|---:|---:|")
    for name in written:
        seconds = median(read[name])
        speed = layer_bytes / seconds / 1e9
        print(
            f"| {name} | {size[name]:.2f} | {states.nbytes / median(written[name]) / 1e6:.0f} | "
            f"{seconds * 1e3:.1f} | {speed:.2f} |"
        )
    ours = layer_bytes / median(next(iter(read.values()))) / 1e9
    met = "Met" if ours >= LEAST_READ else "Missed"
    print(f"\nGoal: read one layer at {LEAST_READ:.0f} GB/s or more. {met} ({ours:.2f}).")


if __name__ == "__main__":
    main()
