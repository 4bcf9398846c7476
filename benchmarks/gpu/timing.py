"""Time on a device: wall time from one synchronisation to the next, of ways that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch


def on_card() -> bool:
    """Whether there is a GPU."""
    return torch.cuda.is_available()


def synchronise() -> None:
    """Wait until the device has finished."""
    if on_card():
        torch.cuda.synchronize()


@dataclass
class Timing:
    """One way's runs.

    Attributes:
        seconds: of each run.
        gib: the most memory that torch had allocated during a run; NaN without a GPU.
    """

    seconds: list[float] = field(default_factory=list)
    gib: float = float("nan")

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The slowest run less the fastest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one run, and the most GiB that were allocated meanwhile; NaN without a GPU."""
    synchronise()
    if on_card():
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    run()
    synchronise()
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated() / 2**30 if on_card() else float("nan")


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int, warm_ups: int = 1) -> dict[str, Timing]:
    """Run all ways in turns, so that a slower or faster spell of the machine meets all of them.

    Args:
        ways: by name.
        rounds: how often each is measured.
        warm_ups: rounds before, which are not counted.
    """
    timings = {name: Timing() for name in ways}
    for turn in range(warm_ups + rounds):
        for name, run in ways.items():
            seconds, gib = timed(run)
            if turn >= warm_ups:
                timings[name].seconds.append(seconds)
                timings[name].gib = max(gib, timings[name].gib) if timings[name].seconds[1:] else gib
    return timings
