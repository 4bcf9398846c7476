"""Find out how many inputs fit in a device's memory, by halving their number when they do not."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from layerwise.errors import InputError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Messages about lacking memory that come as plain errors: from PyTorch about main memory, from cuBLAS and cuDNN, and
# from the driver when other programs hold the card's memory.
SAID = ("DefaultCPUAllocator", "_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def lacking_memory(error: Exception) -> str | None:
    """What an error says about lacking memory; None for an error about something else."""
    text = str(error)
    begin = next((text.index(words) for words in SAID if words in text), None)
    if begin is None and not isinstance(error, torch.OutOfMemoryError | MemoryError):
        return None
    return text[begin or 0 :].split(". ")[0].splitlines()[0] if text else "no more of it"


class Room:
    """A number of inputs that run together; halved for good whenever the device's memory does not hold them.

    Attributes:
        size: how many run at once.
        what: the name of what is counted, in the plural, for messages.
    """

    def __init__(self, size: int, what: str):
        self.size = size
        self.what = what

    def over(self, count: int, run: Callable[[int, int], Result]) -> list[Result]:
        """Results of ``run(start, stop)`` over consecutive ranges that cover ``range(count)``.

        Raises:
            InputError: when the device's memory does not hold a single one.
        """
        results: list[Result] = []
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            try:
                results.append(run(start, stop))
                start = stop
                continue
            except (RuntimeError, MemoryError) as error:
                reason = lacking_memory(error)
                if reason is None:
                    raise
            # Outside `except`, so that the traceback no longer holds GPU tensors.
            self._halve(stop - start, reason)
        return results

    def fitted(self, run: Callable[[int], Result], least: int) -> Result | None:
        """Result of ``run(size)``, with the size halved until memory holds it; None if it comes to ``least``."""
        while self.size > least:
            try:
                return run(self.size)
            except (RuntimeError, MemoryError) as error:
                reason = lacking_memory(error)
                if reason is None:
                    raise
            self._halve(self.size, reason)
        return None

    def _halve(self, tried: int, reason: str) -> None:
        if tried == 1:
            raise InputError(
                f"the device's memory is too small for a single one of the {self.what} ({reason}); end other programs "
                "on it, load the model as bfloat16 (models.NAME.dtype), or use a larger device (without a card: more "
                "memory for the job, models.NAME.mem_mb)"
            )
        self.size = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning(
            "out of device memory with %d %s at once (%s); going on with %d", tried, self.what, reason, self.size
        )
