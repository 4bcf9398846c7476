"""Weights in safetensors files, read in slices and without torch.

A file is mapped, not read: only the rows that are asked for come into memory. Weights are given as float32, after
rounding to the precision in which the model runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerwise.errors import InputError

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class StoredWeight:
    """A weight in a file.

    Attributes:
        file: its path.
        offset: of the first byte.
        dtype: of its numbers, as safetensors names it.
        shape: of the weight.
    """

    file: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def rows(self, which: slice | Sequence[int] = slice(None), rounded_to: str = "float32") -> np.ndarray:
        """Some entries along the first dimension, float32.

        Args:
            which: their places.
            rounded_to: the precision in which the model runs: float32, bfloat16 or float16.

        Raises:
            InputError: when the file is gone or too short, or the weight is quantized.
        """
        if self.dtype not in DTYPES:
            raise InputError(
                f"{self.file}: the output head or the final norm is stored as {self.dtype}, as quantized weights are; "
                "its answers cannot be read. Take a checkpoint that is not quantized, and give `quantization` in its "
                "entry"
            )
        try:
            mapped = np.memmap(self.file, DTYPES[self.dtype], "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.file}: its weights cannot be read ({error}); run `snakemake models`") from error
        found = np.asarray(mapped[which if isinstance(which, slice) else list(which)])
        if self.dtype == "BF16":
            return _rounded(_from_bits(found), rounded_to)
        return _rounded(found.astype(np.float32), rounded_to)


def stored_weights(folder: str | Path, single: str | None = None) -> dict[str, StoredWeight]:
    """The weights of a model's folder, by the names that its files give them. Only the files' headers are read.

    Args:
        folder: of the model.
        single: the file that config.json names (``transformers_weights``), if it does.

    Raises:
        InputError: when files are missing or damaged.
    """
    folder = Path(folder)
    files = [folder / (single or SINGLE)]
    if not files[0].is_file():
        try:
            listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise InputError(
                f"{folder}: has neither {files[0].name} nor a whole {INDEX} ({error}); run `snakemake models`"
            ) from error
        files = [folder / name for name in sorted(set(listed))]
    return {name: weight for file in files for name, weight in _listed(file).items()}


def _listed(file: Path) -> dict[str, StoredWeight]:
    try:
        with open(file, "rb") as content:
            length = int.from_bytes(content.read(8), "little")
            header = json.loads(content.read(length))
        return {
            name: StoredWeight(str(file), 8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise InputError(f"{file}: is missing, damaged or no safetensors file ({error}); replace it") from error


def _from_bits(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bits to float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _rounded(values: np.ndarray, precision: str) -> np.ndarray:
    if precision == "float16":
        return values.astype(np.float16).astype(np.float32)
    if precision == "bfloat16":
        bits = np.ascontiguousarray(values).view(np.uint32)
        return _from_bits(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16))
    return values
