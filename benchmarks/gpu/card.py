"""What is measured, on what, and where results go: given to every section."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from extraction import Shape, make_model

from gpu.results import recorded
from gpu.timing import on_card, timed
from layerwise.models.adapters.generic import GenericModel

LLAVA_7B = Shape(width=4096, layers=32, image_tokens=576, vision_width=1024, vision_layers=24, heads=32)
SMALL = Shape(width=128, layers=2, image_tokens=16, vision_width=128)
# Peaks of the datasheet in TFLOP/s, without sparsity: NVIDIA H100 and H200 (SXM), bfloat16 on tensor cores and float32.
DATASHEET = {"bfloat16": 989.0, "float32": 67.0}


@dataclass
class Card:
    """The device and the shape.

    Attributes:
        folder: of the results.
        small: whether to try the program on tiny shapes.
        rounds: how often each way is measured.
    """

    folder: Path
    small: bool
    rounds: int

    @property
    def device(self) -> str:
        return "cuda" if on_card() else "cpu"

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if on_card() else torch.float32

    @property
    def shape(self) -> Shape:
        return SMALL if self.small else LLAVA_7B

    @cached_property
    def model(self) -> GenericModel:
        """The model of this shape with random weights, made once in a process."""
        return make_model(self.shape, self.device, self.dtype)

    @cached_property
    def peak(self) -> float:
        """Measured TFLOP/s of a large matrix product in the model's precision."""
        for record in recorded(self.folder, "environment"):
            if record.get("what") == "matmul" and record["dtype"] == str(self.dtype):
                return record["tflops"]
        return matmul_peak(self.device, self.dtype, 256 if self.small else 8192)

    def shares(self, operations: float, seconds: float) -> tuple[float, float, float]:
        """TFLOP/s, and their shares of the measured peak and of the datasheet's."""
        rate = operations / seconds / 1e12
        return rate, rate / self.peak, rate / DATASHEET["bfloat16" if self.dtype == torch.bfloat16 else "float32"]


def matmul_peak(device: str, dtype: torch.dtype, size: int) -> float:
    """TFLOP/s of a square matrix product of random numbers: the median of ten."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / _median(lambda: a @ b) / 1e12


def copy_peak(device: str, size: int) -> float:
    """GB/s of a copy within the device's memory, bytes read and written."""
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _median(lambda: target.copy_(source)) / 1e9


def _median(run: Callable[[], object]) -> float:
    return statistics.median([timed(run) for _ in range(13)][3:])
