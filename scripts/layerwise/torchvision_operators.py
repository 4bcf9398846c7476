"""Let torchvision be imported beside any torch. Imports no library itself; works in the older environment too.

PyPI's torchvision is built for CUDA. Beside a CPU-only torch its compiled operators cannot be loaded, and importing it
fails at the first one that it describes; with it fail most models and processors of transformers. They need only its
transforms of pictures, which use no operators.
"""

import sys
from typing import Any

# What torchvision describes when it is imported, whether its operators are there or not.
DESCRIBED = ("nms", "qnms")
ARGUMENTS = "(Tensor dets, Tensor scores, float threshold) -> Tensor"


def declare_before_import() -> None:
    """Declare the missing operators as soon as torchvision is imported, whoever imports it."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _Declaring) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Declaring())


class _Declaring:
    """A finder of modules that finds none itself. It runs once, before torchvision is looked for."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing()


def _declare_missing() -> None:
    # Imported here, because every program imports this module.
    from importlib.util import find_spec
    from pathlib import Path

    if (found := find_spec("torchvision")) is None or found.origin is None:
        return
    import torch

    try:
        for library in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
    except OSError:
        for operator in DESCRIBED:
            torch.library.define(f"torchvision::{operator}", ARGUMENTS)
