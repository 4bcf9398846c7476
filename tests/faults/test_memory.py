"""Memory that really runs out: an extraction whose process may have no more of it, and the allocator says no."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
from PIL import Image

from layerwise.states.work import WorkFolder
from tests.conftest import REPOSITORY
from tests.faults.reliability import fault

# Of some 350 tokens each: what their blocks compute is far more than what is read and prepared.
INPUTS = 64
# Runs the inputs as one batch, twice: with so many MiB beside what the loaded model takes, and with all there is.
CHILD = """
import logging, resource, sys
from pathlib import Path
import pandas as pd
import torch
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.extract import extract_shards
from layerwise.states.plan import plan_shards
from layerwise.states.work import WorkFolder

logging.basicConfig(level=logging.WARNING, format="%(message)s")
torch.set_num_threads(1)
source, folder, room = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) << 20
entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
model = generic.load(describe_model("tiny", {"source": source} | entry, None, seed=1), "cpu")
inputs = pd.read_parquet(folder / "inputs.parquet")
extract_shards(model, inputs[:2], plan_shards(inputs[:2], 0, 2), ["last"], WorkFolder(folder / "warm-up"))
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for name, limit in (("short", taken + room), ("all", resource.RLIM_INFINITY)):
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    extract_shards(model, inputs, plan_shards(inputs, 0, len(inputs)), ["last"], WorkFolder(folder / name))
"""


@fault(
    "the device's memory is too small for a batch",
    sees="a warning in the log that it continues with half of the batch",
    kept="the run and its results: the batch size changes them only by rounding",
)
def test_a_batch_that_the_memory_does_not_hold_is_run_in_parts(tiny_llava, tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    texts = [f"Is there a {'red ' * (300 - i)}circle?" for i in range(INPUTS)]
    inputs = pd.DataFrame({"image": str(tmp_path / "red.png"), "prompt": texts}).assign(item_id=texts)
    inputs.to_parquet(tmp_path / "inputs.parquet")
    for name in ("warm-up", "short", "all"):
        (tmp_path / name).mkdir()
    # Threads share one arena, and what is freed is given back: the limit is about the batch alone.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    environment["PYTHONPATH"] = str(REPOSITORY / "scripts")
    command = [sys.executable, "-c", CHILD, tiny_llava, tmp_path, "60"]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = f"out of device memory with {INPUTS} inputs in a batch at once (DefaultCPUAllocator: can't allocate memory"
    assert done.stderr.count(told) == 1, done.stderr
    short, all_of_it = (WorkFolder(tmp_path / name).load(0, INPUTS, ["last"])["last"] for name in ("short", "all"))
    assert np.isfinite(short).all()
    assert np.allclose(short, all_of_it, rtol=1e-4, atol=1e-5)
