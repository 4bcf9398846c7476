"""Let torchvision be imported beside any torch. Works in the older environment too (``envs/legacy.txt``).

The default wheel is built for CUDA. With a CPU-only torch its operators cannot be loaded, and importing it fails at the
first one that it declares. Processors and models need only its transforms of pictures, which use no operators. Most of
transformers imports torchvision, so the import itself is mended.
"""

import logging
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

log = logging.getLogger(__name__)

# Operators that torchvision declares when it is imported, even if it lacks them.
DESCRIBED_OPERATORS = ("nms", "qnms")


class _Loader(SourceFileLoader):
    """Declares the missing operators where torchvision fails without them."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except RuntimeError:
            import torch

            log.info("torchvision does not fit this torch; it is used without its compiled operators")
            for name in DESCRIBED_OPERATORS:
                torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
            super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds torchvision, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def mend_torchvision() -> None:
    """From now on, torchvision is imported even if its compiled operators are missing."""
    sys.meta_path.insert(0, _Finder())
