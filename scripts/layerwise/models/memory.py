"""How much is run at once on a device whose memory nobody knows beforehand."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from layerwise.errors import InputError

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Room:
    """A number of inputs that fit on the device together; halved for good whenever they turn out not to.

    Attributes:
        size: how many to run at once.
        what: what is counted, in the plural, for messages.
    """

    def __init__(self, size: int, what: str):
        self.size = size
        self.what = what

    def over(self, count: int, run: Callable[[int, int], Result]) -> list[Result]:
        """Results of ``run(start, stop)`` over consecutive ranges that cover ``range(count)``.

        Raises:
            InputError: when the device's memory does not even hold one.
        """
        results: list[Result] = []
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            try:
                results.append(run(start, stop))
                start = stop
                continue
            except torch.OutOfMemoryError as error:
                reason = str(error).split(". ")[0]
            # Out here the error is gone, and with it what its frames held of the device's memory.
            self._halve(stop - start, reason)
        return results

    def _halve(self, tried: int, reason: str) -> None:
        if tried == 1:
            raise InputError(
                f"the device's memory is too small for a single one of the {self.what} ({reason}); end other programs "
                "on it, load the model as bfloat16 (models.NAME.dtype), or use a larger device"
            )
        self.size = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning(
            "out of device memory with %d %s at once (%s); going on with %d", tried, self.what, reason, self.size
        )
