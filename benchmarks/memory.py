"""The peak memory of extraction and probing, which should not grow with the number of items.

Runs the workflow's own programs on a small LLaVA with random weights and on made-up hidden states, with n, 2 n and 4 n
items. Meanwhile it reads the kernel's numbers for the process. They count private memory only, not pages of files,
which the kernel can reclaim.

    python benchmarks/memory.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.stimuli import write_stimuli

from layerwise.models.embedded.architecture import make_model, make_processor
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.models.registration import describe_model
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import items_digest

ROOT = Path(__file__).resolve().parents[1]
# Even in the smallest set, a layer has more states than the job may hold in memory.
PROBE_MEMORY_MB, WIDTH, LAYERS = 64, 2048, 2
INPUTS, ROWS = 1500, 6000


def peak_mib(command: list[str]) -> tuple[float, float]:
    """Largest private memory of a program in MiB, and its seconds."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors)
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                break
            peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
            time.sleep(0.01)
        if process.wait():
            errors.seek(0)
            raise SystemExit(errors.read().decode())
    return peak / 2**10, time.perf_counter() - start


def small_llava(folder: Path) -> dict:
    """A LLaVA of the demo's shape with random weights, and its description."""
    tokenizer = train_tokenizer(["Is there a red circle in the image?"] * 50)
    make_model(tokenizer, seed=0).save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)
    entry = {"source": str(folder), "weights": "pretrained", "dtype": "float32"}
    return describe_model("small", entry | {"adapter": "generic", "conversation": "auto"}, None, seed=0)


def extraction(folder: Path, inputs: int, sharing: str) -> list[str]:
    """The command that extracts states of this many inputs, five per image."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(inputs // 5):
        path = folder / f"{i}.jpg"
        if not path.exists():
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        rows += [(f"{i}-{j}", str(path), str(i), f"Is there a {'red ' * j}circle?", None) for j in range(5)]
    items = pd.DataFrame(rows, columns=["item_id", "image", "image_sha256", "text", "category"])
    stimuli = folder / f"stimuli-{inputs}"
    stimuli.mkdir(exist_ok=True)
    items.to_parquet(stimuli / "items.parquet")
    description = {"digest": items_digest(items, []), "categories": []}
    (stimuli / "stimuli.json").write_text(json.dumps(description))
    model = json.loads((folder / "model.json").read_text())
    cell = {"model_digest": model["digest"], "stimuli_digest": description["digest"], "prompt": "text"}
    cell |= {"prompt_entry": {"text": "{text}"}, "positions": ["last"], "dtype": "float32"}
    command = [
        sys.executable,
        ROOT / "scripts/extract_states.py",
        "--model",
        folder / "model.json",
        "--stimuli",
        stimuli,
    ]
    command += ["--cell", json.dumps(cell), "--batch-size", 8, "--sharing", sharing, "--threads", 1]
    return list(map(str, [*command, "--work", folder / "work", "--out", folder / "states.h5"]))


def probing(folder: Path, rows: int, labels: int) -> list[str]:
    """The command that probes this many rows: for one label, or for several labels with their own rows."""
    rng = np.random.default_rng(0)
    ids = [f"i{i}" for i in range(rows)]
    names = [f"label {i}" for i in range(labels)]
    y = rng.integers(0, 2, rows)
    stimuli = folder / f"stimuli-{rows}"
    cell = {"prompt": f"{rows}-{labels}"} | write_stimuli(stimuli, ids, ids)
    states = folder / f"{rows}-{labels}.h5"
    with new_states(
        *(states,),
        positions=["last"],
        layers=["embeddings", *(f"block {i}" for i in range(1, LAYERS + 1)), "final norm"],
        rows=rows,
        width=WIDTH,
        dtype="bfloat16",
        item_ids=ids,
        row_of_item=range(rows),
        cell=cell,
    ) as datasets:
        for start in range(0, rows, 1024):
            stop = min(start + 1024, rows)
            block = rng.standard_normal((stop - start, LAYERS + 2, WIDTH), dtype=np.float32)
            block[:, :, 0] += y[start:stop, None]
            write_rows(datasets["last"], start, block)
    task = folder / f"task-{rows}-{labels}"
    task.mkdir(exist_ok=True)
    table = pd.DataFrame({"item_id": ids, "image_id": ids, "group": ids, "y": y})
    table["label"] = [names[i % labels] for i in range(rows)]
    table["split"] = np.array(["train", "train", "train", "val", "test"])[np.arange(rows) // labels % 5]
    table.to_parquet(task / "labels.parquet")
    described = {"task": "made up", "labels": names, "classes": ["no", "yes"], "metric": "accuracy"}
    (task / "task.json").write_text(json.dumps(described))
    command = [sys.executable, ROOT / "scripts/fit_probes.py", "--states", states, "--cell", json.dumps(cell)]
    command += ["--stimuli", stimuli, "--task", task, "--position", "last", "--engine", "torch"]
    command += ["--C", 0.001, 0.1, "--resamples", 1000]
    command += ["--seed", 0, "--threads", 1, "--memory-mb", PROBE_MEMORY_MB, "--work", folder / "work"]
    command += ["--random-labels", 1, "--description-length", "--scores", folder / "scores.parquet"]
    command += ["--predictions", folder / "predictions.parquet", "--curve", folder / "curve.parquet"]
    return list(map(str, command))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; about two minutes")
    size.add_argument("--full", action="store_true", help="four times as many items")
    scale = 4 if parser.parse_args().full else 1
    print("Largest private memory of the process in MiB, for n, 2 n and 4 n items.\n")
    print("| program | n | n | 2 n | 4 n | 4 n / n |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        (folder / "model").mkdir()
        (folder / "model.json").write_text(json.dumps(small_llava(folder / "model")))
        programs = {
            "extraction, plain batches": (INPUTS, lambda n: extraction(folder, n, "never")),
            "extraction, shared prefix": (INPUTS, lambda n: extraction(folder, n, "always")),
            "probes, one label": (ROWS, lambda n: probing(folder, n, 1)),
            "probes, 20 labels with their own rows": (ROWS, lambda n: probing(folder, n, 20)),
        }
        for program, (few, command) in programs.items():
            peaks = [peak_mib(command(scale * few * times))[0] for times in (1, 2, 4)]
            shown = " | ".join(f"{peak:.0f}" for peak in peaks)
            print(f"| {program} | {scale * few} | {shown} | {peaks[2] / peaks[0]:.2f} |", flush=True)
    layers = ", ".join(f"{4 * scale * ROWS * times * WIDTH / 2**20:.0f}" for times in (1, 2, 4))
    print(
        f"\nProbes were given {PROBE_MEMORY_MB} MB. A layer of their states has {layers} MiB; the part that does not "
        "fit is on disk. Before they read anything, the programs take about 250 MiB for torch and other libraries. "
        "Three things still grow with the items: ids and labels; bootstrap counts (2 kB a held-out item, 6 kB if "
        "images share texts); and the rows of labels that have their own rows (at most 1,024 rows)."
    )


if __name__ == "__main__":
    main()
