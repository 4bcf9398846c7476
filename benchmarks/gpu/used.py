"""What erasing and steering at every block costs, if benchmarks/used.py measures it."""

import importlib.util
from contextlib import redirect_stdout
from importlib import import_module

from gpu.card import Card
from gpu.results import Results


class _Page:
    """Standard output that goes to the results as it is written."""

    def __init__(self, results: Results):
        self.results, self.rest = results, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.results.line(line)
        return len(text)

    def flush(self) -> None:
        """Whole lines are written at once."""


def run(card: Card, results: Results) -> None:
    """What ``main_gpu(shape, device, rounds)`` prints or returns."""
    if importlib.util.find_spec("used") is None:
        results.line("not built")
        return
    with redirect_stdout(_Page(results)):
        returned = import_module("used").main_gpu(card.shape, card.device, card.rounds)
    if returned is not None:
        results.line(str(returned))
        results.record(what="used", returned=str(returned))
