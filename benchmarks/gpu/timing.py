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
        gib: the most memory that torch had allocated during a run, weights included; NaN without a GPU.
        working: the same without what was allocated before the run.
    """

    seconds: list[float] = field(default_factory=list)
    gib: float = float("nan")
    working: float = float("nan")

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The slowest run less the fastest, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    synchronise()
    start = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - start


def with_memory(run: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of one run, and :class:`Timing`'s ``gib`` and ``working``."""
    if not on_card():
        return timed(run), float("nan"), float("nan")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    seconds, peak = timed(run), torch.cuda.max_memory_allocated()
    return seconds, peak / 2**30, (peak - before) / 2**30


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
            seconds, gib, working = with_memory(run)
            if turn >= warm_ups:
                timings[name].seconds.append(seconds)
                timings[name].gib, timings[name].working = gib, working
    return timings
