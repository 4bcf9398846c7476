"""The card, the libraries, and the ceilings that shares are quoted against."""

import os
import platform
import subprocess
import time

import torch
import transformers

from gpu.card import DATASHEET, Card, copy_peak, matmul_peak
from gpu.results import Results
from gpu.timing import on_card, synchronise, timed


def run(card: Card, results: Results) -> None:
    """Measure the ceilings."""
    name = torch.cuda.get_device_name() if on_card() else f"{platform.machine()} without a GPU"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if on_card() else float("nan")
    about = {
        "card": name,
        "memory_gib": memory,
        "driver": _driver(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    results.record(what="about", **about)
    results.line(
        f"{name}, {memory:.0f} GiB, driver {about['driver']}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, Python {about['python']}, {about['cores']} cores."
    )
    shape = card.shape
    results.line(
        f"The model: width {shape.width}, {shape.layers} blocks, {shape.image_tokens} image tokens, a vision tower of "
        f"{shape.vision_layers} blocks of width {shape.vision_width}, random weights, {str(card.dtype)[6:]}."
    )
    results.table("ceiling", "measured", "datasheet")
    for dtype in (torch.bfloat16, torch.float32):
        size, kind = 256 if card.small else 8192, str(dtype)[6:]
        tflops = matmul_peak(card.device, dtype, size)
        cells = [f"{kind} product of {size} x {size}, TFLOP/s", f"{tflops:.0f}", f"{DATASHEET[kind]:.0f}"]
        results.row(cells, what="matmul", dtype=str(dtype), tflops=tflops)
    speed = copy_peak(card.device, 2**20 if card.small else 2**32)
    results.row(["copy within the card, GB/s", f"{speed:.0f}", "3350 (H100), 4800 (H200)"], what="copy", gbps=speed)
    host = torch.empty(2**20 if card.small else 2**28, dtype=torch.uint8).fill_(1)
    for kind, source in (("pageable", host), ("pinned", host.pin_memory() if on_card() else host)):
        seconds = min(timed(lambda source=source: source.to(card.device, copy=True)) for _ in range(4))
        speed = len(host) / seconds / 1e9
        results.row([f"host to card, {kind}, GB/s", f"{speed:.1f}", ""], what=f"to card, {kind}", gbps=speed)
    launch = _launch(card)
    results.row(["host's time to start a kernel, us", f"{1e6 * launch:.1f}", ""], what="launch", seconds=launch)


def _driver() -> str:
    if not on_card():
        return "none"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _launch(card: Card) -> float:
    """Seconds that the host needs for one small kernel, with none waiting."""
    number, x = 1000, torch.zeros(16, device=card.device)
    for _ in range(2):
        synchronise()
        start = time.perf_counter()
        for _ in range(number):
            x.add_(1)
        seconds = time.perf_counter() - start
    synchronise()
    return seconds / number
