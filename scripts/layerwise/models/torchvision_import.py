"""Import torchvision beside any torch. Works in the older environment too (``envs/legacy.txt``)."""

import importlib
import importlib.util
import logging

import torch

log = logging.getLogger(__name__)

# Operators that torchvision declares when it is imported, even if it lacks them.
DESCRIBED_OPERATORS = ("nms", "qnms")


def import_torchvision() -> None:
    """Import torchvision, if it is installed, even if its compiled operators are missing.

    The default wheel is built for CUDA. With a CPU-only torch its operators cannot be loaded, and importing it fails at
    the first one that it declares. Processors and models need only its transforms of pictures, which use no operators.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        log.info("torchvision does not fit this torch; it is used without its compiled operators")
        for name in DESCRIBED_OPERATORS:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        importlib.import_module("torchvision")
