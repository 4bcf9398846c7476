"""What the runners share: wait for a line on standard input, extract all states, answer with a line of JSON.

A runner runs in its tool's own environment and imports nothing of this project. It loads the model once, so that the
driver can let the tools take turns.
"""

import argparse
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

# Entries of the inputs file: ``id``, ``image`` (a path) and ``text``.
Inputs = list[dict[str, Any]]
# From inputs to float32 states of the last token, shape (inputs, L + 1, width): embeddings, blocks 1 to L - 1, and the
# final norm.
# These are what `output_hidden_states` returns, so that every tool can give them.
Extract = Callable[[Inputs], np.ndarray]


def serve(load: Callable[[argparse.Namespace], Extract]) -> None:
    """Run one tool until standard input ends.

    Args:
        load: imports the tool, loads the model and returns what extracts.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--inputs", type=Path, required=True, help="JSON file of the inputs")
    parser.add_argument("--states", type=Path, required=True, help="file to write states to")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1, help="inputs in a batch")
    parser.add_argument("--work", type=Path, required=True, help="folder for other files")
    parser.add_argument("--source", help="folder of the tool's code, where it is no package")
    args = parser.parse_args()
    # Libraries print to standard output. The answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    inputs = json.loads(args.inputs.read_text())
    mend_torchvision()
    extract = load(args)
    print(json.dumps({"cpu": time.process_time()}), file=answers)
    for _ in sys.stdin:
        reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        states = extract(inputs)
        save_file({"states": np.ascontiguousarray(states)}, args.states)
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak_mib": peak_mib()}
        print(json.dumps(spent), file=answers)


def mend_torchvision() -> None:
    """Let torchvision's default wheel, which is built for CUDA, be imported beside a torch that is not.

    Declares the operators that it describes when it is imported. Transforms of pictures use none of them.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        import torch

        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")


def reset_peak() -> None:
    """Return freed memory and reset the process's peak, if Linux allows it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError) as error:
        print(f"the peak of memory includes loading the model: {error}", file=sys.stderr)


def peak_mib() -> float | None:
    """The most memory that the process had since the reset, with its weights; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM")), None)
